import { stat } from "node:fs/promises";
import { asUrl } from "../../node/address.ts";
import { attempt, filePath } from "../../node/file.ts";
import { mismatch, type SiglipError, shorten } from "../../support/error.ts";
import type { Entry, Source } from "../entry.ts";
import { type AskedShard, isInShard } from "../shard.ts";
import { archivePart, remoteArchivePart } from "./archive.ts";
import type { Context, Part } from "./context.ts";
import { holdingOf, isPictureName } from "./endings.ts";
import { folderPart } from "./folder.ts";
import { globPart, isGlob } from "./glob.ts";
import { jsonLinesPart, listPart, textsPart } from "./lists.ts";
import { pictures } from "./pictures.ts";

/** How a source is read. */
export interface SourceOptions {
  /** Only what lies in this shard; what does not is not even asked for its size and time. */
  readonly shard?: AskedShard;
  /** Told of what is left out because it cannot be read: a folder, the rest of a damaged archive. */
  readonly onProblem?: (error: SiglipError) => void;
  /** What "-" reads; stdin by default. */
  readonly stdin?: AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
}

/** What words name. It can be gone through more than once, unless a list on stdin is among them. */
export interface OpenSource extends Source {
  /** How many entries there are; undefined where only reading all of them would tell. */
  count(): Promise<number | undefined>;
}

/**
 * Opens what words name, in their order: a folder (its pictures, and those of the folders in it), a pattern, a picture by
 * its path or URL, a list on stdin for "-", a .tar of pictures by its path or URL, a .jsonl or .txt of texts. Rejects with a SiglipError, before
 * anything is loaded, for a word that names nothing, unless it looks like a picture's: that is an entry which says so.
 */
export async function openSources(words: readonly string[], options: SourceOptions = {}): Promise<OpenSource> {
  const { shard, onProblem = () => {}, signal, stdin = process.stdin } = options;
  if (words.filter((word) => word === "-").length > 1) {
    throw mismatch("bad-input", "-", "one list on stdin", "more", "name it once");
  }
  const parts: Part[] = [];
  for (const word of words) {
    signal?.throwIfAborted();
    parts.push(word === "-" ? listPart(stdin, "stdin") : await openWord(word));
  }
  const context: Context = { keep: keeper(shard), report: onProblem, signal };
  return {
    async *[Symbol.asyncIterator](): AsyncGenerator<Entry> {
      for (const part of parts) yield* part.entries(context);
    },
    async count() {
      let sum = 0;
      for (const { count } of parts) {
        if (!count) return undefined;
        sum += await count({ ...context, report() {} });
      }
      return sum;
    },
  };
}

/** Whether a name is wanted of a source that is split by names. */
function keeper(shard: AskedShard | undefined): (name: string) => boolean {
  if (!shard) return () => true;
  const { index, count } = shard;
  if (count === undefined) {
    throw mismatch("bad-input", "--shard", `${index} of how many, i/n`, `${index}`, "say n, or name a manifest alone");
  }
  return (name) => isInShard(name, { index, count });
}

async function openWord(word: string): Promise<Part> {
  const url = asUrl(word);
  if (url && url.protocol !== "file:") {
    const isArchive = /^https?:$/.test(url.protocol) && holdingOf(url.pathname) === "tar";
    return isArchive ? remoteArchivePart(url) : picturePart(word);
  }
  const path = url ? filePath(url) : word;
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory()) return folderPart(path);
  if (stats) return openFile(word, path);
  if (!url && isGlob(word)) return globPart(word, (one) => openFile(one, one));
  if (isPictureName(word)) return picturePart(word);
  await attempt(path, "read", () => stat(path));
  throw mismatch("not-found", shorten(word), "a file or folder", "nothing by this name", "check the path");
}

async function openFile(word: string, path: string): Promise<Part> {
  const holding = holdingOf(path);
  if (holding === "tar") return archivePart(path);
  if (holding === "txt") return textsPart(path);
  if (holding === "jsonl") return jsonLinesPart(path);
  return picturePart(word);
}

function picturePart(name: string): Part {
  return {
    entries: (context) => pictures([name], context),
    count: async ({ keep }) => (keep(name) ? 1 : 0),
  };
}
