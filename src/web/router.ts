import { byId, make, sentence } from "./dom.ts";

/** Mounts a view into its section, at its first visit; gives what to do when the view is left. */
export type Mount = (root: HTMLElement) => undefined | (() => void) | Promise<undefined | (() => void)>;

/**
 * Shows the view that the address names (`#search` is `<section id="view-search">`), the first of `views` by default,
 * and marks its link. A view is mounted once.
 */
export function route(views: Readonly<Record<string, Mount>>): void {
  const names = Object.keys(views);
  const main = byId("main", HTMLElement);
  const leave = new Map<string, Promise<undefined | (() => void)>>();
  let shown = "";

  async function show(byUser: boolean): Promise<void> {
    const asked = location.hash.slice(1);
    // An address within the page, such as the one that skips to the contents, is no view.
    if (shown && asked && !names.includes(asked)) return;
    const name = names.includes(asked) ? asked : names[0];
    if (name === shown) return;
    const left = leave.get(shown);
    shown = name;
    for (const other of names) byId(`view-${other}`, HTMLElement).hidden = other !== name;
    for (const link of document.querySelectorAll<HTMLAnchorElement>("nav a")) {
      if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const section = byId(`view-${name}`, HTMLElement);
    document.title = `${section.querySelector("h1")!.textContent} · SigLIP`;
    if (byUser) {
      scrollTo(0, 0);
      main.focus({ preventScroll: true });
    }
    if (!leave.has(name)) leave.set(name, mount(name, section));
    (await left)?.();
  }

  /** Mounts a view; where its script does not come, or fails, the view says so and is tried again at its next visit. */
  async function mount(name: string, section: HTMLElement): Promise<undefined | (() => void)> {
    section.querySelector(".unmounted")?.remove();
    try {
      return await views[name](section);
    } catch (error) {
      leave.delete(name);
      const told = `This view did not load (${sentence(error)}). Check the connection and reload the page.`;
      section.querySelector("h1")!.after(make("p", { class: "failed unmounted", role: "alert" }, told));
      return undefined;
    }
  }

  addEventListener("hashchange", () => void show(true));
  void show(false);
}
