import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { arrays } from "../../checkpoint/dtype.ts";
import type { TensorInfo } from "../../checkpoint/safetensors.ts";
import { bytesSource, type Source } from "../../checkpoint/source.ts";
import type { ModelFiles } from "../../files/model-files.ts";
import { openCheckpoint } from "../../files/read-model.ts";
import { PREFIX, TOKEN_TABLE } from "../../model/layouts/hugging-face.ts";
import type { Tower } from "../../model/towers.ts";
import type { KeepOptions } from "../../siglip/platform.ts";
import { mismatch, type SiglipError } from "../../support/error.ts";
import type { StoredDType } from "../../tensor/program.ts";
import { type CacheFolder, decodeJson, encodeJson, unreadable } from "./folder.ts";
import { KeptWeights } from "./weights.ts";

/** Which model a folder is a copy of; the file `manifest` in it. */
export interface Manifest {
  readonly model: string;
  readonly version: string;
  readonly dtype: StoredDType;
  /** Whether the server sends whole files only: it is not asked then whether it has others by now. */
  readonly whole: boolean;
}

/**
 * Both halves; a folder has a file of that name where the half is complete. It lists the files that a load of it reads,
 * in order.
 */
export const TOWERS: readonly Tower[] = ["image", "text"];

/** Larger files than any that a load reads whole are not kept. */
const SMALL = 2 ** 26;

/** Whether a load of these halves finds everything in the folder. */
export async function isComplete(folder: CacheFolder, towers: readonly Tower[]): Promise<boolean> {
  const names = await folder.names();
  for (const tower of towers) {
    const files = await folder.readJson<string[]>(tower).catch(() => undefined);
    if (!Array.isArray(files) || !files.every((file) => names.has(file))) return false;
  }
  return true;
}

/** The files of a model in a folder; what is missing there comes from their origin and is put there. */
export class CachedFiles implements ModelFiles {
  readonly name: string;
  private readonly folder: CacheFolder;
  private readonly manifest: Manifest;
  private readonly origin: ModelFiles;
  private readonly options: KeepOptions;
  /** The origin's, once it was needed and found to be what the folder is a copy of. */
  private checkpoint: Checkpoint | undefined;
  private kept: KeptWeights | undefined;
  /** Small files that were opened. */
  private readonly opened = new Set<string>();
  private readonly closed = new AbortController();

  /** `checkpoint` is the origin's where it is at hand already; small files then come from there, too. */
  constructor(
    folder: CacheFolder,
    manifest: Manifest,
    origin: ModelFiles,
    options: KeepOptions,
    checkpoint?: Checkpoint,
  ) {
    this.folder = folder;
    this.manifest = manifest;
    this.origin = origin;
    this.name = origin.name;
    this.options = options;
    this.checkpoint = checkpoint;
  }

  get version(): string {
    return this.manifest.version;
  }

  async open(file: string, signal?: AbortSignal): Promise<Source | undefined> {
    // A file that the origin lacks is kept as one of no bytes.
    const kept = this.checkpoint ? undefined : await this.read(file);
    const bytes = kept ?? (await this.download(file, signal));
    this.opened.add(file);
    return bytes.length > 0 ? bytesSource(bytes, `${file} of ${this.name}`) : undefined;
  }

  async weights(signal?: AbortSignal): Promise<KeptWeights> {
    let tensors = await this.readTensors();
    if (!tensors) {
      const bytes = encodeTensors(await this.fetch(signal));
      await this.folder.replace("tensors", bytes).catch(() => {});
      tensors = decodeJson<TensorInfo[]>(bytes);
    }
    const order: string[] = [];
    for (const tower of TOWERS) {
      const files = await this.folder.readJson<string[]>(tower).catch(() => []);
      if (Array.isArray(files)) for (const file of files) if (typeof file === "string") order.push(file);
    }
    this.kept = new KeptWeights({
      name: this.name,
      folder: this.folder,
      tensors: new Map(tensors.map((info) => [info.name, info])),
      present: await this.folder.names(),
      order: order.filter((file) => !file.startsWith(TOKEN_TABLE)),
      origin: (signal) => this.fetch(signal),
      onWarning: this.options.onWarning,
    });
    return this.kept;
  }

  afterLoad(): void {
    // Out of reach or closed: the next visit goes on with it.
    this.finish().catch(() => {});
  }

  async close(): Promise<void> {
    this.closed.abort();
    this.kept?.close();
    await this.origin.close();
  }

  /** Completes the copy and says so in it, or looks whether one that was complete is still what the origin has. */
  private async finish(): Promise<void> {
    const { towers, dtype } = this.options;
    if (await isComplete(this.folder, towers)) {
      if (navigator.onLine && !this.manifest.whole) await this.compare();
      return;
    }
    for (const tower of towers) {
      // A tower alone is all of its checkpoint, which is complete without the other's table.
      if (tower === "text" && this.kept?.tensors.has(TOKEN_TABLE))
        await this.kept.keepTable(TOKEN_TABLE, dtype === "f32" ? "f32" : "f16", this.closed.signal);
      await this.kept?.written();
      if (!this.kept || this.kept.lacking) return;
      const other = PREFIX[tower === "image" ? "text" : "image"];
      const files = [...this.opened, ...this.kept.files].filter((file) => !file.startsWith(other));
      await this.folder.replace(tower, encodeJson(files));
    }
  }

  private async compare(): Promise<void> {
    await this.fetch();
    for (const file of this.opened) {
      if (!file.endsWith(".json")) continue;
      const bytes = await readWhole(await this.origin.open(file));
      const kept = await this.folder.read(file);
      if (bytes.length !== kept?.length || bytes.some((byte, i) => byte !== kept[i])) {
        this.options.onWarning((await this.outdated(file)).message);
      }
    }
  }

  /** The origin's checkpoint, provided that it is what the folder is a copy of. */
  private async fetch(signal?: AbortSignal): Promise<Checkpoint> {
    if (this.checkpoint) return this.checkpoint;
    const checkpoint = await openCheckpoint(this.origin, signal);
    if (this.origin.version !== this.version) {
      const error = await this.outdated(`version ${this.version.slice(0, 100)}`);
      this.options.onWarning(error.message);
      throw error;
    }
    this.checkpoint = checkpoint;
    return checkpoint;
  }

  /** The next load asks the origin first, for no half is complete any more. */
  private async outdated(what: string): Promise<SiglipError> {
    for (const tower of TOWERS) await this.folder.remove(tower);
    return mismatch(
      "network",
      this.name,
      `${what} as it is in the browser's cache`,
      "another on the server by now",
      "load the model again to have it",
    );
  }

  private async download(file: string, signal?: AbortSignal): Promise<Uint8Array> {
    const bytes = await readWhole(await this.origin.open(file, signal), signal);
    await this.folder.replace(file, bytes).catch(() => {});
    return bytes;
  }

  /** What `tensors` holds, where that is what was written there. */
  private async readTensors(): Promise<TensorInfo[] | undefined> {
    try {
      const tensors = await this.folder.readJson<TensorInfo[]>("tensors");
      if (tensors === undefined || (Array.isArray(tensors) && tensors.every(isTensor))) return tensors;
      this.options.onWarning(unreadable("tensors", "no list of tensors").message);
    } catch (error) {
      this.options.onWarning((error as Error).message);
    }
    return undefined;
  }

  private async read(file: string): Promise<Uint8Array | undefined> {
    try {
      return await this.folder.read(file);
    } catch (error) {
      this.options.onWarning((error as Error).message);
      return undefined;
    }
  }
}

async function readWhole(source: Source | undefined, signal?: AbortSignal): Promise<Uint8Array> {
  if (!source) return new Uint8Array(0);
  if (source.size <= SMALL) return source.read(0, source.size, signal);
  throw mismatch(
    "bad-checkpoint",
    source.name,
    `at most ${SMALL} bytes`,
    `${source.size}`,
    "check the model's address",
  );
}

/** What the file `tensors` says: all of a checkpoint's, wherever they lie. */
export function encodeTensors({ tensors }: Checkpoint): Uint8Array {
  return encodeJson([...tensors.values()].map(({ source: _, ...info }) => info));
}

function isTensor(info: TensorInfo | null): boolean {
  const isSize = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  if (typeof info !== "object" || info === null || typeof info.name !== "string") return false;
  return (
    typeof info.dtype === "string" &&
    Object.hasOwn(arrays, info.dtype) &&
    Array.isArray(info.shape) &&
    [...info.shape, info.begin, info.end].every(isSize)
  );
}
