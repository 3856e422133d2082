import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, vi } from "vitest";
import type { KeptFilesOptions } from "../../src/node/cache/cache.ts";
import { keptHubFiles } from "../../src/node/cache/hub-files.ts";
import { pattern } from "../long/interrupt.ts";
import { type Hub, serveHub } from "./hub.ts";
import { digest } from "./server.ts";

// A Hub and empty caches for each test of a file that calls `useHubCaches`.

export const ID = "google/tiny";
/** Larger than what is looked through whenever it is opened. */
export const WEIGHTS = pattern(17 * 2 ** 20 + 12345, 1);
export const FILES = {
  "config.json": '{"model_type": "siglip"}',
  "spiece.model": pattern(200_000, 2),
  "model.safetensors": WEIGHTS,
};
export const sha256 = digest("sha256", WEIGHTS);

export let hub: Hub;
export let home = "";
export let warnings: string[] = [];

/** To be called by each file, since files of one worker share this module. */
export function useHubCaches(): void {
  beforeEach(async () => {
    hub = await serveHub();
    home = mkdtempSync(join(tmpdir(), "siglip-hub-"));
    vi.stubEnv("HF_HOME", join(home, "hf"));
    vi.stubEnv("HF_HUB_CACHE", "");
    vi.stubEnv("HF_HUB_OFFLINE", "");
    vi.stubEnv("XDG_CACHE_HOME", join(home, "cache"));
    warnings = [];
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await hub[Symbol.asyncDispose]();
    rmSync(home, { recursive: true });
  });
}

export const open = (revision = "main", more: Partial<KeptFilesOptions> = {}) =>
  keptHubFiles(
    { id: ID, revision },
    {
      endpoint: hub.endpoint,
      trusted: hub.endpoint,
      pause: 1,
      onWarning: (message) => warnings.push(message),
      ...more,
    },
  );

export const model = (...path: string[]) => join(home, "hf", "hub", "models--google--tiny", ...path);
export const hubFolder = (endpoint = hub.endpoint) =>
  join(home, "cache", "siglip", "hubs", encodeURIComponent(endpoint));
export const parts = (endpoint?: string) => join(hubFolder(endpoint), "google--tiny", "parts");
export const asked = () => [hub.site, hub.cdn].map(({ requests }) => requests.length);

/** Reads some of a file, all of it by default. */
export async function read(
  name: string,
  revision?: string,
  length?: number,
  more?: Partial<KeptFilesOptions>,
): Promise<Buffer | undefined> {
  const files = open(revision, more);
  try {
    await files.open("config.json");
    const source = await files.open(name);
    return source && Buffer.from(await source.read(0, length ?? source.size));
  } finally {
    await files.close();
  }
}

export async function download(revision?: string, more?: Partial<KeptFilesOptions>) {
  const files = open(revision, more);
  try {
    for (const name of Object.keys(FILES)) await files.open(name);
    return await files.complete();
  } finally {
    await files.close();
  }
}

export function put(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

export function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] ^= 1;
  writeFileSync(path, bytes);
}
