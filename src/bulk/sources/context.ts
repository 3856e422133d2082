import type { SiglipError } from "../../support/error.ts";
import type { Shard } from "../shard.ts";
import type { FoundEntry } from "./archive.ts";

/** What all that reads a source goes by. */
export interface Context {
  /** Whether a name is wanted; asked before anything is found out about what it names. */
  keep(name: string): boolean;
  /** Told of what is left out because it cannot be read, such as a folder: nobody could say what lies in there. */
  report(error: SiglipError): void;
  /** Of a source that was split when it was planned. */
  readonly shard?: Shard;
  readonly signal?: AbortSignal;
}

/** One word of a source: what is found under it. */
export interface Part {
  entries(context: Context): AsyncIterable<FoundEntry>;
  /** How many shards it was planned in, where it was. */
  readonly shards?: number;
  /** How many entries there are, where that is cheap to find out. */
  count?(context: Context): Promise<number>;
}
