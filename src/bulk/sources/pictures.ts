import { stat } from "node:fs/promises";
import { asUrl } from "../../node/address.ts";
import { filePath } from "../../node/file.ts";
import type { Entry, Source } from "../entry.ts";
import type { Context } from "./context.ts";

/** How many files are asked for their size and time together: on a network's disk each takes a while. */
const TOGETHER = 64;

/** A picture by its path or URL. What is not there is an entry all the same: loading it says so. */
export async function pictureEntry(name: string, path = pathOf(name)): Promise<Entry> {
  const stamp = path === undefined ? "" : await stampOf(path);
  return { kind: "image", name, stamp, load: async () => path ?? name };
}

/** Pictures by their paths and URLs, in the order given. */
export async function* pictures(names: Iterable<string> | AsyncIterable<string>, context: Context): Source {
  let part: string[] = [];
  for await (const name of names) {
    if (!context.keep(name)) continue;
    part.push(name);
    if (part.length < TOGETHER) continue;
    yield* await Promise.all(part.map((one) => pictureEntry(one)));
    part = [];
    context.signal?.throwIfAborted();
  }
  yield* await Promise.all(part.map((one) => pictureEntry(one)));
}

/** A file's size and the millisecond of its last change; "" where it is not there. */
export async function stampOf(path: string): Promise<string> {
  const stats = await stat(path).catch(() => undefined);
  // Runtimes differ in what they make of the nanoseconds.
  return stats ? `${stats.size}-${Math.floor(stats.mtimeMs)}` : "";
}

/** Where a picture's file is; undefined for a URL of another kind, and for what begins like one and is none. */
function pathOf(name: string): string | undefined {
  try {
    const url = asUrl(name);
    if (!url) return name;
    return url.protocol === "file:" ? filePath(url) : undefined;
  } catch {
    return undefined;
  }
}
