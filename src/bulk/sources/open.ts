import { stat } from "node:fs/promises";
import { addAbortSignal } from "node:stream";
import { asUrl } from "../../node/address.ts";
import { attempt, filePath } from "../../node/file.ts";
import { mismatch, type SiglipError, shorten } from "../../support/error.ts";
import type { Source } from "../entry.ts";
import { type AskedShard, isInShard, type Shard } from "../shard.ts";
import { archivePart, type FoundEntry, remoteArchivePart } from "./archive.ts";
import type { Context, Part } from "./context.ts";
import { holdingOf, isPictureName } from "./endings.ts";
import { folderPart } from "./folder.ts";
import { globPart, isGlob } from "./glob.ts";
import { jsonLinesPart, listPart, textsPart } from "./lists.ts";
import { isManifest, manifestPart } from "./manifest.ts";
import { pictures } from "./pictures.ts";

/** How a source is read. */
export interface SourceOptions {
  /**
   * Only what lies in this shard, by its name, or by the manifest that it stands in; what does not is not even asked
   * for its size and time.
   */
  readonly shard?: AskedShard;
  /**
   * Told of what is left out because it cannot be read: a folder, the rest of a damaged archive. What lies there is not
   * known to be gone.
   */
  readonly onProblem?: (error: SiglipError) => void;
  /** What "-" reads; stdin by default. */
  readonly stdin?: AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
}

/** What words name. It can be gone through more than once, unless a list on stdin is among them. */
export interface OpenSource extends Source {
  /** The shard that this is, of how many; undefined where none was asked for. */
  readonly shard?: Shard;
  [Symbol.asyncIterator](): AsyncIterator<FoundEntry>;
  /** How many entries there are; undefined where only reading all of them would tell. */
  count(): Promise<number | undefined>;
}

/**
 * Opens what words name, in their order: a folder (its pictures, and those of the folders in it), a pattern, a picture
 * by its path or URL, a list on stdin for "-", a .tar of pictures by its path or URL, a .jsonl or .txt of texts, a
 * manifest. Rejects with a SiglipError, before anything is loaded, for a word that names nothing, unless it looks like
 * a picture's: that is an entry which says so.
 */
export async function openSources(words: readonly string[], options: SourceOptions = {}): Promise<OpenSource> {
  const { onProblem = () => {}, signal, stdin = ownStdin(signal) } = options;
  if (words.filter((word) => word === "-").length > 1) {
    throw mismatch("bad-input", "-", "one list on stdin", "more", "name it once");
  }
  const parts: Part[] = [];
  for (const word of words) {
    signal?.throwIfAborted();
    parts.push(word === "-" ? listPart(stdin, "stdin") : await openWord(word));
  }
  const shard = findShard(options.shard, parts);
  const keep = shard ? (name: string) => isInShard(name, shard) : () => true;
  const context: Context = { keep, shard, report: onProblem, signal };
  return {
    shard,
    async *[Symbol.asyncIterator]() {
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

/** The process's stdin, which an abort ends although nobody writes to it. */
async function* ownStdin(signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  yield* signal ? addAbortSignal(signal, process.stdin) : process.stdin;
}

/** The shard asked for, of as many as there are in a manifest, which is split as it was planned. */
function findShard(asked: AskedShard | undefined, parts: readonly Part[]): Shard | undefined {
  if (!asked) return undefined;
  const { index } = asked;
  const count = asked.count ?? parts[0]?.shards;
  if (count === undefined || (asked.count === undefined && parts.some(({ shards }) => shards !== count))) {
    throw mismatch("bad-input", "--shard", "i/n, or i of one manifest", `${index}`, "say of how many shards");
  }
  const planned = parts.find(({ shards = count }) => shards !== count)?.shards;
  if (planned === undefined && index < count) return { index, count };
  const last = (planned ?? count) - 1;
  const wanted = `a shard of the ${last + 1} that were planned, 0/${last + 1} to ${last}/${last + 1}`;
  throw mismatch("bad-input", "--shard", wanted, `${index}/${count}`, "name one of them");
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
  if (holding === "jsonl") return (await isManifest(path)) ? manifestPart(path) : jsonLinesPart(path);
  return picturePart(word);
}

function picturePart(name: string): Part {
  return {
    entries: (context) => pictures([name], context),
    count: async ({ keep }) => (keep(name) ? 1 : 0),
  };
}
