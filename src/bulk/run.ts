import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { attempt } from "../node/file.ts";
import type { Format, OpenVectors } from "../node/formats/formats.ts";
import { linkTarget } from "../node/link-target.ts";
import type { NodeImage } from "../node/platform.ts";
import { removeAbandoned } from "../node/run-name.ts";
import type { Kind, VectorHeader } from "../search/vectors.ts";
import { mismatch, SiglipError } from "../support/error.ts";
import { Assembled } from "./assembled.ts";
import type { Source } from "./entry.ts";
import { Failures } from "./failures.ts";
import { type JournalHeader, Journals, journalled } from "./journal.ts";
import { Keys, nameText, parseKey } from "./keys.ts";
import { Lanes } from "./lanes.ts";
import { Ledger } from "./ledger.ts";
import { difference } from "./origin.ts";

/** Embeds items of one kind in order: for each its embedding, of length 1, or what is wrong with it. */
export type EmbedItems = (
  kind: Kind,
  items: AsyncIterable<NodeImage | string>,
) => AsyncIterable<{ readonly embeddings: readonly (Float32Array | SiglipError)[] }>;

/** What is to be embedded, and into what. */
export interface EmbedJob {
  readonly source: Source;
  readonly path: string;
  readonly format: Format;
  /** Of the embeddings: `difference` tells whether those that are there can stay. */
  readonly header: JournalHeader;
  /** Called once for each kind of which something is missing: the model need not be loaded before. */
  readonly embed: EmbedItems;
  /** Whether a file of other embeddings is replaced; by default that is an error. */
  readonly overwrite?: boolean;
  /** Whether there may be nothing to embed, as in a shard. */
  readonly mayBeEmpty?: boolean;
  /** Whether, at the source's end, some of it could not be listed: what is not known to be gone stays in the file. */
  readonly lacking?: () => boolean;
  /** Told how many are done, and how many of them were made by this run. */
  readonly onProgress?: (done: number, made: number) => void;
  readonly signal?: AbortSignal;
}

/** What became of a job. */
export interface EmbedOutcome {
  /** Embeddings in the file. */
  readonly counts: VectorHeader["counts"];
  /** How many of them were made by this run; the others were there. */
  readonly made: number;
  /** Whether the file was written; not where it held just these already, and where nothing at all could be made. */
  readonly written: boolean;
  readonly failures: Failures;
}

/**
 * Embeds a source into a file, by what is there already: rows of the file, and what runs that were interrupted have left
 * in the journals of the folder `FILE.part`. All that is made goes into a journal there, batch by batch, so that a run
 * may be killed at any moment; at its end the file is put in place as a whole and the folder is removed. Several runs at
 * once do the same work and put the same file in place.
 */
export async function embedInto(job: EmbedJob): Promise<EmbedOutcome> {
  const { path, header, overwrite, signal } = job;
  const part = partFolder(path);
  const ledger = new Ledger();
  const before = overwrite ? undefined : await openBefore(job);
  let journals: Journals | undefined;
  try {
    if (before) for await (const key of before.keys(signal)) ledger.addRow(key);
    const take = (key: string, place: number) => ledger.addRecord(key, place);
    journals = await Journals.open(part, header, take, { overwrite, signal });
    return await run(job, ledger, journals, before);
  } finally {
    await journals?.close();
    await before?.close();
  }
}

/** Where the journals of a file's runs lie. */
export function partFolder(path: string): string {
  return `${path.replace(/[/\\]+$/, "")}.part`;
}

async function run(
  job: EmbedJob,
  ledger: Ledger,
  journals: Journals,
  before: OpenVectors | undefined,
): Promise<EmbedOutcome> {
  const { path, format, header, signal } = job;
  const failures = new Failures();
  const lanes = new Lanes(job, ledger, journals, failures);
  let counts: VectorHeader["counts"];
  try {
    await lanes.run();
    if (before && job.lacking?.()) {
      await ledger.wantRest(before.keys(signal), await journalledNames(ledger, journals));
    }
    if (ledger.wanted("image") + ledger.wanted("text") === 0 && !job.mayBeEmpty) {
      throw mismatch("bad-input", path, "something to embed", "nothing", "name pictures or texts");
    }
    const unchanged = before !== undefined && ledger.unchanged();
    const vectors = await Assembled.make(header, ledger, journals, before, signal);
    counts = vectors.header.counts;
    const { made } = lanes;
    const hopeless = failures.count > 0 && counts.image + counts.text === 0;
    if (hopeless) {
      await journals.tidy();
      return { counts, made, written: false, failures };
    }
    if (!unchanged) {
      await removeAbandoned(dirname(await attempt(path, "write", () => linkTarget(path))));
      await format.write(path, vectors, signal);
    }
    await journals.remove();
    return { counts, made, written: !unchanged, failures };
  } catch (error) {
    await journals.tidy();
    throw withKept(error, lanes.made, journals.folder, signal);
  }
}

/** The names of what stands in journals: what the file of before has under these has changed since. */
async function journalledNames(ledger: Ledger, journals: Journals): Promise<Keys> {
  const names = new Keys();
  for (const kind of ["image", "text"] as const) {
    for (const { place } of ledger.wantedPlaces(kind)) {
      if (journalled(place)) names.add(nameText(parseKey((await journals.read(place)).key)!));
    }
  }
  return names;
}

/** The file as it stands, undefined where there is none. Rejects where it holds other embeddings. */
async function openBefore({ path, format, header, signal }: EmbedJob): Promise<OpenVectors | undefined> {
  const found = await stat(path).catch((error) => error as NodeJS.ErrnoException);
  if (found instanceof Error && found.code === "ENOENT") return undefined;
  const advice = "choose another name, or --overwrite";
  let before: OpenVectors;
  try {
    before = await format.open(path, signal);
  } catch (error) {
    if (!(error instanceof SiglipError && error.code === "bad-input")) throw error;
    const found = `something else (${error.message.replace(/\.$/, "")})`;
    throw mismatch("bad-input", path, "embeddings to go on from", found, advice, error);
  }
  const differs = difference(header, before.header);
  if (!differs) return before;
  await before.close();
  throw mismatch("bad-input", path, differs.wanted, differs.found, advice);
}

/** The same error, which says in addition where what was done is. */
function withKept(error: unknown, made: number, folder: string, signal?: AbortSignal): unknown {
  if (made === 0) return error;
  const kept = `the ${made} embeddings made so far are in ${folder}, and the same command goes on from there`;
  if (signal?.aborted) return new DOMException(`interrupted: ${kept}.`, "AbortError");
  if (!(error instanceof SiglipError)) return error;
  return new SiglipError(`${error.message.replace(/\.$/, "")}; ${kept}.`, { code: error.code, cause: error });
}
