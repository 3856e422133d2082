import { createHash } from "node:crypto";
import { homedir } from "node:os";
import { join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

/** This package's own cache: `$XDG_CACHE_HOME/siglip`, else `~/.cache/siglip`. */
export function cacheFolder(): string {
  return join(userCache(process.env), "siglip");
}

/**
 * What came from one Hub, apart from what came from any other: a Hub may say of a commit and of a content what it
 * likes, and is believed in its own folder only.
 */
export function endpointFolder(endpoint: string): string {
  const name = encodeURIComponent(endpoint).replaceAll("*", "%2A");
  const short = name.length <= 150 ? name : createHash("sha256").update(endpoint).digest("hex");
  return join(cacheFolder(), "hubs", short);
}

/** Where Hugging Face's libraries keep what they know: HF_HOME, else `huggingface` in the user's cache. */
export function huggingFaceHome(env: Environment = process.env): string {
  return expand(env.HF_HOME || join(userCache(env), "huggingface"));
}

/** Where Hugging Face's libraries keep what they download: HF_HUB_CACHE, else `hub` in their home. */
export function hubCacheFolder(env: Environment = process.env): string {
  return expand(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(huggingFaceHome(env), "hub"));
}

function userCache(env: Environment): string {
  return env.XDG_CACHE_HOME || join(homedir(), ".cache");
}

function expand(path: string): string {
  return path.replace(/^~(?=[/\\]|$)/, homedir());
}
