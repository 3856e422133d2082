import type { Source } from "../bulk/entry.ts";
import type { Failures } from "../bulk/failures.ts";
import { type EmbedOutcome, embedInto } from "../bulk/run.ts";
import { type AskedShard, isInShard, showShard } from "../bulk/shard.ts";
import { textEntry } from "../bulk/sources/items.ts";
import { openSources } from "../bulk/sources/open.ts";
import type { Format } from "../node/formats/formats.ts";
import type { VectorDType } from "../search/vectors.ts";
import type { SiglipError } from "../support/error.ts";
import type { EmbedModels } from "./embed-models.ts";

/** What is to be embedded, by what, and into what. */
export interface EmbedSources {
  /** Sources, as `openSources` takes them, and texts after them. */
  readonly words: readonly string[];
  readonly texts: readonly string[];
  /** Only what lies in it. */
  readonly shard?: AskedShard;
  readonly models: EmbedModels;
  readonly out: { readonly path: string; readonly format: Format };
  readonly vectors: VectorDType;
  readonly overwrite?: boolean;
  /** Takes what is left out because it cannot be read. */
  readonly problems: Failures;
  readonly signal: AbortSignal;
  /** Told how many are done, how many of them were made by this run, and of how many, 0 where that is not known. */
  readonly onProgress: (done: number, made: number, total: number) => void;
}

/** Embeds what words name into a file, as `embedInto` does. */
export async function embedSources(options: EmbedSources): Promise<EmbedOutcome> {
  const { words, models, out, vectors, overwrite, problems, signal, onProgress } = options;
  const onProblem = (error: SiglipError) => problems.add(error);
  const sources = await openSources(words, { shard: options.shard, signal, onProblem });
  const { shard } = sources;
  const texts = options.texts.filter((text) => !shard || isInShard(text, shard));
  const { origin, width } = await models.provenance();
  let total = 0;
  // Files are counted meanwhile; where that fails it will be told otherwise.
  const count = (found: number | undefined) => {
    total = found === undefined ? 0 : found + texts.length;
  };
  sources.count().then(count, () => {});
  return embedInto({
    ...out,
    source: joined(sources, texts),
    header: { width, dtype: vectors, origin: shard ? { ...origin, shard: showShard(shard) } : origin },
    embed: (kind, items) => models.embed(kind, items),
    overwrite,
    mayBeEmpty: shard !== undefined,
    lacking: () => problems.count > 0,
    onProgress: (done, made) => onProgress(done, made, total),
    signal,
  });
}

async function* joined(sources: Source, texts: readonly string[]): Source {
  yield* sources;
  for (const text of texts) yield textEntry(text);
}
