/** The element of the page with that id, which has to be of that class. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`Wanted #${id} as ${type.name}, found ${found?.nodeName ?? "none"}.`);
}

/** Makes an element; strings among its children become text, never markup. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: (string | Node)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** An error as the page shows it: the library's sentence, or what the platform says. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
