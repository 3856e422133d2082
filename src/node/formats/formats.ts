import type { Kind, Vectors } from "../../search/vectors.ts";
import type { FileVectors } from "../../search/vectors-file.ts";

/** Embeddings of a file that is held open. */
export interface OpenVectors extends Vectors, Partial<Pick<FileVectors, "stored">> {
  /** Nothing can be read any more. */
  close(): Promise<void>;
}

/** What a format does with a file. */
export interface FormatModule {
  /**
   * Rejects with a SiglipError now, before any work, for what could not be written: a path, these kinds in one file, a
   * package that is missing. What stands there is left alone.
   */
  check(path: string, kinds?: readonly Kind[]): Promise<void>;
  /** Writes a file, and puts it in place when all of it is on disk; until then what stood there stays. */
  write(path: string, vectors: Vectors, signal?: AbortSignal): Promise<void>;
  /** Opens a file. Rejects, as do reads, with a SiglipError for one that is damaged or holds something else. */
  open(path: string, signal?: AbortSignal): Promise<OpenVectors>;
}

/** A format of files of embeddings. */
export interface Format extends FormatModule {
  /** How the names of its files end, in lower case and with the point. */
  readonly ending: string;
}

const FORMATS: readonly Format[] = [
  lazy(".safetensors", () => import("./safetensors.ts")),
  lazy(".npy", () => import("./npy.ts")),
  lazy(".jsonl", () => import("./jsonl.ts")),
  lazy(".parquet", () => import("./parquet.ts")),
  lazy(".sqlite", () => import("./sqlite.ts")),
  lazy(".lance", () => import("./lance.ts")),
];

/** How the names of files of embeddings end. */
export const ENDINGS: readonly string[] = FORMATS.map(({ ending }) => ending);

/** The format that the end of a file's name asks for; undefined for none of them. */
export function formatOf(path: string): Format | undefined {
  const name = path.toLowerCase().replace(/[/\\]+$/, "");
  return FORMATS.find(({ ending }) => name.endsWith(ending));
}

/** A format whose code, and whatever package it stands on, is loaded when it is used. */
function lazy(ending: string, load: () => Promise<FormatModule>): Format {
  return {
    ending,
    check: async (...args) => (await load()).check(...args),
    write: async (...args) => (await load()).write(...args),
    open: async (...args) => (await load()).open(...args),
  };
}
