import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { normalize } from "node:path";
import { attempt } from "../../node/file.ts";
import { mismatch, SiglipError } from "../../support/error.ts";
import type { Context, Part } from "./context.ts";
import { isPictureName } from "./endings.ts";
import { pictures } from "./pictures.ts";

/** Folders that systems put beside people's files; hidden ones begin with a dot. */
const FOREIGN = new Set(["@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "__MACOSX", "lost+found"]);

/** Folders are followed no deeper than this. */
const DEEPEST = 100;

/** Which files of a folder are wanted. */
export interface Wanted {
  /** Whether a file is, by its path within the folder, with forward slashes. */
  accept(path: string): boolean;
  /** How deep folders are looked into; 0 is the folder alone. */
  readonly depth?: number;
}

const anyPicture: Wanted = { accept: isPictureName };

/** The pictures in a folder and those in it. Rejects with a SiglipError where there is none. */
export async function folderPart(folder: string, wanted = anyPicture): Promise<Part> {
  await attempt(folder, "read", () => readdir(folder));
  const walkAll = (context: Context) => walk(folder, wanted, context);
  await checkSome(walkAll, folder, "pictures in this folder");
  return {
    entries: (context) => pictures(walkAll(context), context),
    count: (context) => countKept(walkAll(context), context),
  };
}

/** Rejects with a SiglipError where nothing is found. */
export async function checkSome(
  find: (context: Context) => AsyncIterable<string>,
  name: string,
  wanted: string,
): Promise<void> {
  const problems: SiglipError[] = [];
  for await (const _ of find({ keep: () => true, report: (error) => problems.push(error) })) return;
  if (problems.length > 0) throw problems[0];
  throw mismatch("bad-input", name, wanted, "none", "check the path, and the endings of the names");
}

/** How many names are wanted. */
export async function countKept(names: AsyncIterable<string>, { keep, signal }: Context): Promise<number> {
  let count = 0;
  for await (const name of names) {
    if (keep(name)) count++;
    signal?.throwIfAborted();
  }
  return count;
}

/** A path with forward slashes; only Windows has others. */
export function slashed(path: string): string {
  return process.platform === "win32" ? path.replaceAll("\\", "/") : path;
}

/** A folder on the way down. */
interface Level {
  /** With the folder that the walk began in, and within it. */
  readonly path: string;
  readonly within: string;
  /** Device and number, by which a folder is known however it is reached. */
  readonly id: string;
  /** Names yet to be looked at, the next one last; folders end in a slash, what may be one in two. */
  readonly names: string[];
}

/**
 * Paths of files in a folder and those in it, with forward slashes: each folder's names in the order of their code
 * units, so that it is the same on every machine. Holds the names of the folders on one way down, no more. Links are
 * followed, but not into a folder on the way to them; what is hidden or a system's own is passed over.
 */
export async function* walk(
  folder: string,
  { accept, depth = DEEPEST }: Wanted,
  { report, signal }: Context,
): AsyncGenerator<string> {
  const levels: Level[] = [];
  const enter = async (path: string, within: string) => {
    signal?.throwIfAborted();
    try {
      const id = await attempt(path || ".", "read", () => idOf(path || "."));
      if (levels.some((level) => level.id === id)) return;
      const found = await attempt(path, "read", () => readdir(path || ".", { withFileTypes: true }));
      levels.push({ path, within, id, names: interesting(found, within, accept) });
    } catch (error) {
      if (!(error instanceof SiglipError)) throw error;
      report(error);
    }
  };
  const root = slashed(normalize(folder)).replace(/(?<=.)\/$/, "");
  await enter(root === "." ? "" : root, "");
  for (let level = levels.at(-1); level; level = levels.at(-1)) {
    const marked = level.names.pop();
    if (marked === undefined) {
      levels.pop();
      continue;
    }
    const name = marked.replace(/\/+$/, "");
    const path = level.path === "" ? name : `${level.path.replace(/\/$/, "")}/${name}`;
    const kind = marked.endsWith("//") ? await kindOf(path) : marked.endsWith("/") ? "folder" : "file";
    if (kind === "folder") {
      if (levels.length <= depth) await enter(path, `${level.within}${name}/`);
    } else if (kind === "file" && accept(level.within + name)) yield path;
  }
}

/** Names in the reverse of their order, marked by what they are. */
function interesting(found: readonly Dirent[], within: string, accept: Wanted["accept"]): string[] {
  const sorted = [...found].sort((a, b) => (a.name < b.name ? 1 : -1));
  return sorted.flatMap((one) => {
    const { name } = one;
    if (name.startsWith(".") || FOREIGN.has(name)) return [];
    if (one.isFile()) return accept(within + name) ? [name] : [];
    if (one.isDirectory()) return [`${name}/`];
    const special = one.isFIFO() || one.isSocket() || one.isBlockDevice() || one.isCharacterDevice();
    return special ? [] : [`${name}//`];
  });
}

async function idOf(path: string): Promise<string> {
  const { dev, ino } = await stat(path, { bigint: true });
  return `${dev}-${ino}`;
}

/** What a link leads to, or something that the file system did not tell the kind of. */
async function kindOf(path: string): Promise<"file" | "folder" | "other"> {
  const stats = await stat(path).catch(() => undefined);
  // A link to nothing counts as a file: loading it says what is wrong.
  if (!stats || stats.isFile()) return "file";
  return stats.isDirectory() ? "folder" : "other";
}
