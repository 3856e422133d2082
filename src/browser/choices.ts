/** The forms chosen on an adapter so far, as a map that keeps what is added in localStorage, where there is one. */
export function keptChoices(adapter: string): Map<string, string> {
  const key = `siglip kernel forms, ${adapter}`;
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(key) ?? "{}") ?? {};
  } catch {} // no storage in workers, or none allowed: the trials are made again
  const map = new Map<string, string>(Object.entries(kept));
  const add = map.set.bind(map);
  map.set = (name, value) => {
    add(name, value);
    try {
      localStorage.setItem(key, JSON.stringify(Object.fromEntries(map)));
    } catch {}
    return map;
  };
  return map;
}
