import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cacheFolder } from "./folders.ts";

/** Where the kernel forms that trials have chosen are kept, by adapter. */
function choicesFile(): string {
  return join(cacheFolder(), "kernel-forms.json");
}

/**
 * The forms chosen on an adapter so far, as a map that writes down what is added. A cache: nothing fails for want of
 * it.
 */
export function keptForms(adapter: string): Map<string, string> {
  const map = new Map(Object.entries(readAll()[adapter] ?? {}));
  const add = map.set.bind(map);
  map.set = (key, name) => {
    add(key, name);
    try {
      const file = choicesFile();
      mkdirSync(dirname(file), { recursive: true });
      // Read again: another process may have chosen meanwhile. A rename leaves no half-written file.
      const all = { ...readAll(), [adapter]: Object.fromEntries(map) };
      const temporary = `${file}.${process.pid}`;
      // Never through a link that somebody put there.
      rmSync(temporary, { force: true });
      writeFileSync(temporary, JSON.stringify(all, undefined, 1), { flag: "wx" });
      renameSync(temporary, file);
    } catch {}
    return map;
  };
  return map;
}

function readAll(): Record<string, Record<string, string>> {
  try {
    const all: unknown = JSON.parse(readFileSync(choicesFile(), "utf8"));
    return typeof all === "object" && all !== null && !Array.isArray(all) ? (all as ReturnType<typeof readAll>) : {};
  } catch {
    return {};
  }
}
