import { constants } from "node:fs";
import { mkdir, readdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { Descriptor, NO_FOLLOW } from "../node/descriptor.ts";
import { attempt } from "../node/file.ts";
import { isAbandoned, runName } from "../node/run-name.ts";
import type { VectorHeader } from "../search/vectors.ts";
import { mismatch } from "../support/error.ts";
import { difference } from "./origin.ts";
import { encodeRecord, type Record } from "./record.ts";
import { RecordFile } from "./record-file.ts";

/** What is said of all embeddings of a journal. */
export type JournalHeader = Pick<VectorHeader, "width" | "dtype" | "origin">;

/** Where a record is: the number of its file, and its offset there. A number of 0 is of no journal. */
export type Place = number;

const FILE = 2 ** 40;
/** Whether a place is one in a journal, and not a row of the file of before. */
export function journalled(place: Place): boolean {
  return place >= FILE;
}

const ENDING = ".journal";
const VERSION = 1;

/** More journals of other runs than this are written anew as one: each takes an open file and a header to be read. */
const MANY = 16;

/** Records that are written at a time. */
const SOME = 64;

/**
 * The records of runs that have not put their file in place, in a folder beside it: every run appends to a file of its
 * own and reads those of all others. Nothing is locked. A record is a claim that its own digest proves: what a killed
 * run was just writing, and what a disk has lost, are not there.
 */
export class Journals {
  readonly folder: string;
  private readonly header: JournalHeader;
  private readonly files: RecordFile[] = [];
  private own: Promise<RecordFile> | undefined;
  private folded = false;
  /** Records in the own journal. */
  private count = 0;

  private constructor(folder: string, header: JournalHeader) {
    this.folder = folder;
    this.header = header;
  }

  /**
   * Opens the journals of a folder, which need not be there. `take` is told of every record. Rejects with a SiglipError
   * for a journal of other embeddings, of another model, width or dtype, unless such are to be removed.
   */
  static async open(
    folder: string,
    header: JournalHeader,
    take: (key: string, place: Place) => void,
    { overwrite = false, signal }: { readonly overwrite?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<Journals> {
    const journals = new Journals(folder, header);
    try {
      for (const name of await listJournals(folder)) {
        const file = await RecordFile.open(join(folder, name));
        if (!file) continue; // somebody has just put it all in place
        const index = journals.files.push(file);
        let begun = false;
        for await (const { key, offset } of file.records(signal)) {
          if (begun) take(key, index * FILE + offset);
          // Without its header nobody knows what a journal's records are of.
          else if (offset > 0 || !(await journals.check(key, file.path, overwrite))) break;
          begun = true;
        }
      }
      return journals;
    } catch (error) {
      await journals.close();
      throw error;
    }
  }

  /** Begins an own journal, in which records can be written from now on. */
  begin(): Promise<RecordFile> {
    this.own ??= this.create();
    return this.own;
  }

  private async create(): Promise<RecordFile> {
    const path = join(this.folder, `${runName()}${ENDING}`);
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW;
    const { width, dtype, origin } = this.header;
    const key = JSON.stringify({ version: VERSION, width, dtype, origin });
    return attempt(path, "write", async () => {
      for (let tries = 3; ; tries--) {
        try {
          await mkdir(this.folder, { recursive: true });
          const file = new RecordFile(path, await Descriptor.open(path, flags));
          this.files.push(file);
          await file.append([encodeRecord({ key, scale: 1, values: new Uint8Array() })]);
          return file;
        } catch (error) {
          // Another run may remove the folder, for it is done.
          if (tries === 0 || (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
        }
      }
    });
  }

  /** Appends records; gives their places once they are written. */
  async append(records: readonly Record[]): Promise<Place[]> {
    const own = await this.begin();
    const offsets = await attempt(own.path, "write", () => own.append(records.map(encodeRecord)));
    this.count += records.length;
    return offsets.map((offset) => (this.files.indexOf(own) + 1) * FILE + offset);
  }

  /** The record at a place that was told, where it is in memory already. */
  ready(place: Place): Record | undefined {
    return this.files[Math.floor(place / FILE) - 1].ready(place % FILE);
  }

  /** The record at a place that was told. */
  async read(place: Place): Promise<Record> {
    const file = this.files[Math.floor(place / FILE) - 1];
    const record = await file.read(place % FILE);
    if (record) return record;
    throw mismatch(
      "storage",
      file.path,
      "a record as it was read before",
      "it damaged",
      "check the disk and try again",
    );
  }

  /**
   * Where there are many journals of runs that have ended, writes what `wanted` says of them into the own one, tells
   * `moved` of it, and removes them.
   */
  async fold(
    wanted: (key: string, place: Place) => boolean,
    moved: (key: string, place: Place) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    if (this.folded || this.files.length <= MANY) return;
    this.folded = true;
    const own = await this.begin();
    for (const [index, file] of this.files.entries()) {
      if (file === own || !(await isAbandoned(file.path))) continue;
      let some: Record[] = [];
      const flush = async () => {
        const places = await this.append(some);
        for (const [at, { key }] of some.entries()) moved(key, places[at]);
        some = [];
      };
      for await (const record of file.records(signal)) {
        if (wanted(record.key, (index + 1) * FILE + record.offset)) some.push(record);
        if (some.length === SOME) await flush();
      }
      await flush();
      await attempt(own.path, "write", () => own.sync());
      await rm(file.path, { force: true });
      await file.close();
    }
  }

  /** Removes all journals, for what they hold is in place. */
  async remove(): Promise<void> {
    await this.close();
    try {
      for (const name of await listJournals(this.folder)) await rm(join(this.folder, name), { force: true });
      await rmdir(this.folder);
    } catch {
      // Another run may be at the same, or somebody has put something else there.
    }
  }

  /** Removes the own journal if there is nothing in it, and the folder with the last one. */
  async tidy(): Promise<void> {
    if (!this.own || this.count > 0) return;
    const own = await this.own.catch(() => undefined);
    await own?.close();
    if (own) await rm(own.path, { force: true }).catch(() => {});
    await rmdir(this.folder).catch(() => {});
  }

  async close(): Promise<void> {
    await Promise.all(this.files.map((file) => file.close()));
  }

  /** Whether a journal's records are believed, by its header. */
  private async check(text: string, path: string, overwrite: boolean): Promise<boolean> {
    const found = parseHeader(text);
    const differs = found ? difference(this.header, found) : { wanted: "a journal of this version", found: "another" };
    if (!differs) return true;
    const advice = "use the same options as before, or remove that folder";
    if (!overwrite) throw mismatch("bad-input", this.folder, differs.wanted, differs.found, advice);
    await attempt(path, "write", () => rm(path, { force: true }));
    return false;
  }
}

/** A journal's header, undefined for one of another version. */
function parseHeader(text: string): Partial<JournalHeader> | undefined {
  try {
    const found = JSON.parse(text);
    return found.version === VERSION ? found : undefined;
  } catch {
    return undefined;
  }
}

async function listJournals(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith(ENDING)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    return attempt(folder, "read", () => Promise.reject(error));
  }
}
