import { lstat, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseIndex } from "../../checkpoint/checkpoint.ts";
import { DEFAULT_ENDPOINT } from "../../network/hub.ts";
import { isWeights } from "../../network/urls.ts";
import { attempt } from "../file.ts";
import { BLOCK } from "./blocks.ts";
import { cacheFolder, endpointFolder, hubCacheFolder } from "./folders.ts";
import { isFolderInside, readNote } from "./inside.ts";
import { ADDRESS, partName } from "./partial-store.ts";

/** A model in this machine's caches. */
export interface CachedModel {
  /** As it was named to `Siglip.load`, without a revision: `org/name` or a URL. */
  readonly model: string;
  /** The Hub that it came from; undefined for a URL. */
  readonly endpoint?: string;
  /** What it takes on disk, all its revisions together. */
  readonly bytes: number;
  /** Whether the weights are there as a whole, of one revision at least. */
  readonly complete: boolean;
  /** The folders that hold it. Those of Hugging Face's own Hub are shared with Hugging Face's tools. */
  readonly folders: readonly string[];
}

/**
 * The models in this machine's caches: this package's own, and SigLIP's among those in the one that Hugging Face's tools
 * share. What cannot be read counts as absent.
 */
export async function listCached(): Promise<CachedModel[]> {
  const models: CachedModel[] = [];
  for (const endpoint of await endpoints()) {
    const own = endpointFolder(endpoint);
    const shared = endpoint === DEFAULT_ENDPOINT ? hubCacheFolder() : own;
    const ids = new Map<string, string[]>();
    for (const name of await ownFolders(own)) if (!name.startsWith("models--")) ids.set(name, [join(own, name)]);
    for (const name of await (shared === own ? ownFolders(own) : namesIn(shared))) {
      const id = /^models--(.+--.+)$/.exec(name)?.[1];
      const folder = join(shared, name);
      if (id && (ids.has(id) || (await isSiglip(folder)))) ids.set(id, [...(ids.get(id) ?? []), folder]);
    }
    for (const [id, folders] of ids) models.push(await describe(id.replace("--", "/"), folders, endpoint));
  }
  const urls = join(cacheFolder(), "urls");
  for (const name of await ownFolders(urls)) {
    const folder = join(urls, name);
    models.push(await describe((await readNote(join(folder, ADDRESS))) ?? folder, [folder]));
  }
  return models;
}

/**
 * Deletes a model as `listCached` gives it, all models of a name, or every model from this machine's caches. What is
 * shared with Hugging Face's tools is gone for them, too. Rejects with a SiglipError where a file cannot be deleted.
 */
export async function deleteCached(model?: CachedModel | string): Promise<void> {
  for (const found of await listCached()) {
    const same =
      typeof model === "object"
        ? found.model === model.model && found.endpoint === model.endpoint
        : model === undefined || found.model === model;
    for (const folder of same ? found.folders : []) await remove(folder);
  }
  // Everything: with what former versions kept apart.
  if (model === undefined) for (const name of ["hub", "hubs", "urls"]) await remove(join(cacheFolder(), name));
}

function remove(folder: string): Promise<void> {
  return attempt(folder, "write", () => rm(folder, { recursive: true, force: true }));
}

async function describe(model: string, folders: readonly string[], endpoint?: string): Promise<CachedModel> {
  let bytes = 0;
  let complete = false;
  for (const folder of folders) {
    bytes += await bytesIn(folder);
    const snapshots = join(folder, "snapshots");
    for (const commit of await namesIn(snapshots)) complete ||= await isWhole(join(snapshots, commit));
    // Parts of a Hub's models lie by commit, those of a URL's by name alone.
    for (const commit of [".", ...(await namesIn(folder))]) complete ||= await hasAllParts(folder, commit);
  }
  return { model, endpoint, bytes, complete, folders };
}

/** The Hubs of which something is kept, Hugging Face's first. */
async function endpoints(): Promise<string[]> {
  const kept = (await ownFolders(join(cacheFolder(), "hubs"))).flatMap((name) => {
    const endpoint = /^https?%3A/.test(name) ? decoded(name) : undefined;
    return endpoint !== undefined && endpointFolder(endpoint).endsWith(name) ? [endpoint] : [];
  });
  return [...new Set([DEFAULT_ENDPOINT, ...kept])];
}

function decoded(name: string): string | undefined {
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
}

/** The folders in one of this package's own, which whoever lists or deletes them reaches by no planted link. */
async function ownFolders(folder: string): Promise<string[]> {
  if (!(await isFolderInside(cacheFolder(), folder))) return [];
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
}

async function isSiglip(repository: string): Promise<boolean> {
  const snapshots = join(repository, "snapshots");
  for (const commit of await namesIn(snapshots)) {
    const config = await readFile(join(snapshots, commit, "config.json"), "utf8").catch(() => "");
    if (/"model_type"\s*:\s*"siglip/.test(config)) return true;
  }
  return false;
}

/** Whether a snapshot has the weights, in one file or in all its shards. */
async function isWhole(snapshot: string): Promise<boolean> {
  const names = await namesIn(snapshot);
  if (names.includes("model.safetensors")) return true;
  try {
    const { files } = parseIndex(await readFile(join(snapshot, "model.safetensors.index.json"), "utf8"));
    return files.every((file) => names.includes(file));
  } catch {
    return false;
  }
}

/** Whether partial files hold all of the weights that notes tell of; there is at least one. */
async function hasAllParts(folder: string, commit: string): Promise<boolean> {
  const weights = (await namesIn(join(folder, commit))).filter(isWeights);
  for (const name of weights) {
    const [, size, etag] = /^(\d{1,15}) (\S{1,200})\n$/.exec((await readNote(join(folder, commit, name))) ?? "") ?? [];
    if (etag === undefined) return false;
    const journal = await readFile(
      join(folder, "parts", `${partName(join(commit, name), etag)}.journal`),
      "utf8",
    ).catch(() => "");
    const blocks = new Set<string>();
    for (const [, block, digest] of journal.matchAll(/^(\d+) (\S+)$/gm)) {
      if (digest === "gone") blocks.delete(block);
      else blocks.add(block);
    }
    if (blocks.size < Math.ceil(Number(size) / BLOCK)) return false;
  }
  return weights.length > 0;
}

/** What regular files take on disk: of partial ones no more than is there of them. */
async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) bytes += await bytesIn(path);
    else if (entry.isFile()) {
      const { size = 0, blocks } = (await lstat(path).catch(() => undefined)) ?? {};
      bytes += Math.min(size, blocks ? 512 * blocks : size);
    }
  }
  return bytes;
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).sort();
}
