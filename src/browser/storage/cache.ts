import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import type { TensorInfo } from "../../checkpoint/safetensors.ts";
import type { ModelFiles } from "../../files/model-files.ts";
import { openCheckpoint } from "../../files/read-model.ts";
import { TOKEN_TABLE, towerOf } from "../../model/layouts/hugging-face.ts";
import { type Tower, weightBytes } from "../../model/towers.ts";
import type { KeepOptions } from "../../siglip/platform.ts";
import { mismatch } from "../../support/error.ts";
import type { StoredDType } from "../../tensor/program.ts";
import { CachedFiles, encodeTensors, isComplete, type Manifest, TOWERS } from "./files.ts";
import { CacheFolder, encodeJson, reasonOf } from "./folder.ts";
import { removeForgotten } from "./spool.ts";

/** A model in the browser's cache, in one precision. */
export interface CachedModel {
  /** As it was named to `Siglip.load`; a URL in full. */
  readonly model: string;
  /** Of its weights: a commit, or what the server says to tell contents from each other. */
  readonly version: string;
  /** The precision of the weights, which a load has to ask for. */
  readonly dtype: StoredDType;
  /** The halves that are kept, whole or in part. */
  readonly towers: readonly Tower[];
  /** What it takes in the browser's storage. */
  readonly bytes: number;
  /** Whether these halves load without the network. */
  readonly complete: boolean;
}

/** The folder of all models, with a folder for each in each precision. Another layout will have another name. */
const ROOT = "siglip-weights-1";

/**
 * The same files, kept in the browser's private file system as they are read, weights in the precision of the load. A
 * copy that is complete serves without the network, and whether it is still what the origin has is looked up
 * afterwards; any other begins with that. Without storage, without room in it, and where the origin tells no version, a
 * warning says so and the files come back as they were.
 */
export async function keepFiles(origin: ModelFiles, options: KeepOptions): Promise<ModelFiles> {
  try {
    return (await findCopy(origin, options)) ?? origin;
  } catch (error) {
    if (!options.signal?.aborted) {
      const found = `found ${reasonOf(error)}; they are fetched anew at every visit`;
      options.onWarning(`${origin.name}: wanted to keep the weights in the browser's cache, ${found}.`);
    }
    return origin;
  }
}

async function findCopy(origin: ModelFiles, options: KeepOptions): Promise<ModelFiles | undefined> {
  const { dtype, towers, signal } = options;
  const root = await openRoot(true);
  await removeForgotten();
  const model = origin.key ?? origin.name;
  const prefix = `${await hash(model)}-${dtype}-`;
  let partial: CachedFiles | undefined;
  for (const [name, folder] of await foldersOf(root)) {
    const manifest = name.startsWith(prefix) && (await readManifest(folder));
    if (!manifest || manifest.model !== model) continue;
    partial = new CachedFiles(folder, manifest, origin, options);
    if (await isComplete(folder, towers)) return partial;
  }
  let checkpoint: Checkpoint;
  try {
    checkpoint = await openCheckpoint(origin, signal);
  } catch {
    // Out of reach: what is there may do. Where nothing is, the load meets the same error in its own order.
    return partial;
  }
  const { version } = origin;
  if (version === undefined) throw new Error("a server that tells no version of its files (ETag)");
  const own = prefix + (await hash(version));
  for (const [old, folder] of await foldersOf(root)) {
    if (!old.startsWith(prefix) || (old === own && (await mayBe(folder, model, version)))) continue;
    await removeFolder(root, old).catch(() => {});
  }
  const folder = new CacheFolder(await root.getDirectoryHandle(own, { create: true }));
  const wanted = [...checkpoint.tensors.values()].filter(({ name }) => towers.some((tower) => isOf(tower, name)));
  const bytes = keptBytes(wanted, dtype) - (await folder.bytes());
  const { quota = Number.POSITIVE_INFINITY, usage = 0 } = await navigator.storage.estimate();
  if (bytes > quota - usage) {
    if (!(await readManifest(folder))) await removeFolder(root, own);
    throw new Error(`room for ${Math.max(0, quota - usage)} bytes where ${bytes} are needed`);
  }
  const whole = wanted.some(({ source }) => !source.stream);
  const manifest: Manifest = { model, version, dtype, whole };
  navigator.storage.persist?.().catch(() => {});
  await folder.replace("manifest", encodeJson(manifest));
  await folder.replace("tensors", encodeTensors(checkpoint));
  return new CachedFiles(folder, manifest, origin, options, checkpoint);
}

/** About what tensors take in the cache: as on the device, but that the token table has half precision at least. */
function keptBytes(tensors: readonly TensorInfo[], dtype: StoredDType): number {
  const shapes = (table: boolean) =>
    tensors.filter(({ name }) => (name === TOKEN_TABLE) === table).map(({ shape }) => shape);
  return weightBytes(shapes(false), dtype) + weightBytes(shapes(true), dtype === "f32" ? "f32" : "f16");
}

/** The models in the browser's cache; none where the browser has no storage for one. */
export async function listCached(): Promise<CachedModel[]> {
  const models: CachedModel[] = [];
  const root = await openRoot(false).catch(() => undefined);
  for (const folder of (await foldersOf(root)).values()) {
    const manifest = await readManifest(folder);
    if (!manifest) continue;
    const names = [...(await folder.names())];
    const towers = TOWERS.filter((tower) => names.some((name) => isOf(tower, name)));
    const complete = towers.length > 0 && (await isComplete(folder, towers));
    const { model, version, dtype } = manifest;
    models.push({ model, version, dtype, towers, bytes: await folder.bytes(), complete });
  }
  return models;
}

/** Deletes from the browser's cache a model as `listCached` gives it, all models of a name, or everything. */
export async function deleteCached(model?: CachedModel | string): Promise<void> {
  const root = await openRoot(false).catch(() => undefined);
  if (!root) return;
  await removeForgotten();
  for (const [name, folder] of await foldersOf(root)) {
    const found = await readManifest(folder);
    const same =
      typeof model === "object"
        ? found?.model === model.model && found.version === model.version && found.dtype === model.dtype
        : model === undefined || found?.model === model;
    if (same) await removeFolder(root, name);
  }
}

async function openRoot(create: boolean): Promise<FileSystemDirectoryHandle> {
  if (!globalThis.navigator?.storage?.getDirectory) {
    throw new Error("a page without private files (it has them in new browsers, over https)");
  }
  if (!globalThis.FileSystemFileHandle?.prototype.createWritable) {
    throw new Error("private files that this browser cannot write");
  }
  return (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, { create });
}

async function foldersOf(root?: FileSystemDirectoryHandle): Promise<Map<string, CacheFolder>> {
  const folders = new Map<string, CacheFolder>();
  for await (const [name, handle] of root?.entries() ?? []) {
    if (handle.kind === "directory") folders.set(name, new CacheFolder(handle));
  }
  return folders;
}

async function removeFolder(root: FileSystemDirectoryHandle, name: string): Promise<void> {
  await root.removeEntry(name, { recursive: true }).catch((cause: Error) => {
    if (cause.name === "NotFoundError") return;
    throw mismatch(
      "storage",
      "The browser's cache",
      "to delete a model",
      `it in use (${reasonOf(cause)})`,
      "close the pages that load it and try again",
      cause,
    );
  });
}

async function readManifest(folder: CacheFolder): Promise<Manifest | undefined> {
  const found = await folder.readJson<Manifest>("manifest").catch(() => undefined);
  const texts = [found?.model, found?.version, found?.dtype];
  return texts.every((text) => typeof text === "string") ? found : undefined;
}

function isOf(tower: Tower, tensor: string): boolean {
  return towerOf(tensor) === tower;
}

/** Whether a folder is of a model's version, or one that somebody has just begun: its manifest comes first. */
async function mayBe(folder: CacheFolder, model: string, version: string): Promise<boolean> {
  const manifest = await readManifest(folder);
  if (manifest) return manifest.model === model && manifest.version === version;
  return [...(await folder.names())].every((name) => name === "manifest");
}

/** A name as part of a file's name. */
async function hash(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest, 0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
