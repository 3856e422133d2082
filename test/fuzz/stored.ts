// What somebody has put where a browser keeps a model: files in its private file system, whole folders of another
// Hub's.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { deleteCached, keepFiles, listCached } from "../../src/browser/storage/cache.ts";
import { CachedFiles, isComplete } from "../../src/browser/storage/files.ts";
import { CacheFolder } from "../../src/browser/storage/folder.ts";
import { encodeHeader } from "../../src/checkpoint/safetensors.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import type { ModelFiles } from "../../src/files/model-files.ts";
import { openCheckpoint } from "../../src/files/read-model.ts";
import { hubFiles } from "../../src/network/hub.ts";
import { edge, join, mutateBytes, Random } from "./random.ts";
import type { Target } from "./targets.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);
const CONFIG = utf8('{"model_type": "siglip"}');

/** As much of a browser's private folder as is used of one. */
class Folder {
  readonly kind = "directory";
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly folders = new Map<string, Folder>();

  async getDirectoryHandle(name: string, { create = false } = {}) {
    if (!this.folders.has(name) && !create) throw new DOMException("none", "NotFoundError");
    if (!this.folders.has(name)) this.folders.set(name, new Folder());
    return this.folders.get(name)!;
  }

  async getFileHandle(name: string, { create = false } = {}) {
    if (!this.files.has(name) && !create) throw new DOMException("none", "NotFoundError");
    if (!this.files.has(name)) this.files.set(name, new Uint8Array(0));
    return {
      kind: "file",
      getFile: async () => new Blob([this.files.get(name)!]),
      createWritable: async () => ({
        write: async (bytes: Uint8Array) => void this.files.set(name, Uint8Array.from(bytes)),
        close: async () => {},
        abort: async () => {},
      }),
    };
  }

  async removeEntry(name: string): Promise<void> {
    this.files.delete(name);
    this.folders.delete(name);
  }

  async *keys() {
    yield* this.files.keys();
    yield* this.folders.keys();
  }

  async *values() {
    for (const name of this.files.keys()) yield await this.getFileHandle(name);
    yield* this.folders.values();
  }

  async *entries() {
    for (const name of this.files.keys()) yield [name, await this.getFileHandle(name)] as const;
    yield* this.folders.entries();
  }
}

const TENSORS = ["vision_model.a", "text_model.embeddings.token_embedding.weight"];
const SHAPE = [300, 8];
const VALUES = new Random("values").bytes(2 * TENSORS.length * SHAPE[0] * SHAPE[1]).map((byte) => byte & 0x3f);
const CHECKPOINT = join(encodeHeader(TENSORS.map((name) => ({ name, dtype: "F16", shape: SHAPE }) as const)), VALUES);
const tensorsFile = utf8(
  JSON.stringify(
    TENSORS.map((name, i) => ({ name, dtype: "F16", shape: SHAPE, begin: 4800 * i, end: 4800 * (i + 1) })),
  ),
);

const keyOf = (endpoint?: string) => hubFiles({ id: "org/tiny", revision: "main" }, { endpoint }).key!;

/** A model as its server has it, and what the server says of it. */
function filesOf(key: string, checkpoint: Uint8Array, version = "1"): ModelFiles {
  const source = bytesSource(checkpoint, "model.safetensors");
  return {
    name: "the model",
    key,
    version,
    open: async (name) =>
      name === "model.safetensors" ? source : name === "config.json" ? bytesSource(CONFIG, name) : undefined,
    async close() {},
  };
}

const ENTRIES: readonly [string, Uint8Array][] = [
  ["tensors", tensorsFile],
  ["image", utf8(JSON.stringify(["config.json", "vision_model.a.0"]))],
  ["text", utf8(JSON.stringify([`${TENSORS[1]}.0`]))],
  ["config.json", CONFIG],
  ["vision_model.a.0", VALUES.subarray(0, 4800)],
  [`${TENSORS[1]}.0`, VALUES.subarray(4800, 4800 + 16 * 256)],
];

export const browserStorage: Target = {
  name: "browser-storage",
  cases: 600,
  bound: (length) => 64 * length + 2 ** 22,
  make(random) {
    return ENTRIES.filter(() => random.chance(0.8)).map((entry) => {
      const at = ENTRIES.indexOf(entry);
      const bytes = random.chance(0.4) ? mutateBytes(random, entry[1], [entry[1], tensorsFile]) : entry[1];
      // Some with the digest that belongs to them, which whoever can write there can make.
      const signed = random.chance(0.7);
      const closing = signed ? createHash("sha256").update(bytes).digest() : random.bytes(random.below(40));
      return join(Uint8Array.of(at), bytes, closing);
    });
  },
  async read(entries) {
    const folder = new Folder();
    for (const [at, ...bytes] of entries) folder.files.set(ENTRIES[at][0], Uint8Array.from(bytes));
    const cache = new CacheFolder(folder as unknown as FileSystemDirectoryHandle);
    const origin = filesOf("the model", CHECKPOINT);
    const manifest = { model: "the model", version: "1", dtype: "f16", whole: false } as const;
    const options = { dtype: "f16", towers: ["image", "text"], onWarning: checkWarning } as const;
    const complete = await isComplete(cache, options.towers);
    assert(typeof complete === "boolean");
    const files = new CachedFiles(cache, manifest, origin, options);
    const weights = await files.weights();
    return async () => {
      await files.open("config.json");
      for (const name of weights.tensors.keys()) {
        const { shape } = weights.info(name);
        assert(shape.every((size) => Number.isSafeInteger(size) && size >= 0));
        let rows = 0;
        for await (const chunk of weights.rows(name, { as: "f16" })) rows += chunk.rows;
        assert(rows === (shape.length > 1 ? shape[0] : 1));
      }
      await weights.written();
      await files.close();
    };
  },
};

function checkWarning(message: string): void {
  assert.match(message, /^[^\r\n]{1,1000}\.$/);
}

const MIRROR = filesOf(
  keyOf("https://mirror.example"),
  join(
    CHECKPOINT.subarray(0, -VALUES.length),
    VALUES.map((byte) => byte ^ 1),
  ),
);
const HUB = filesOf(keyOf(), CHECKPOINT);
const MANIFESTS = ["null", "5", "[]", '{"model": 5, "version": "1", "dtype": "f16"}', '{"model": "org/tiny"}', "{"].map(
  utf8,
);
const signed = (bytes: Uint8Array) => join(bytes, createHash("sha256").update(bytes).digest());

/** Loads a model by way of the cache: the bytes of its config and of its tensors. */
async function visit(origin: ModelFiles): Promise<Uint8Array> {
  const files = await keepFiles(origin, { dtype: "f16", towers: ["image", "text"], onWarning: checkWarning });
  const config = (await files.open("config.json"))!;
  const weights = files.weights ? await files.weights() : await openCheckpoint(files);
  const parts = [await config.read(0, config.size)];
  for (const name of TENSORS) {
    for await (const { bytes } of weights.rows(name, { as: "f16" })) parts.push(Uint8Array.from(bytes));
  }
  // The copy becomes complete in the background.
  files.afterLoad?.();
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
  await files.close();
  return join(...parts);
}

export const browserCache: Target = {
  name: "browser-cache",
  cases: 150,
  harmless: true,
  bound: () => 2 ** 24,
  make(random) {
    // Whether a mirror was asked before, where its copy is put as if it were another's; and manifests that are none.
    const manifests = Array.from({ length: random.below(4) }, () => {
      const bytes = random.pick(MANIFESTS);
      return random.chance(0.5) ? signed(bytes) : mutateBytes(random, signed(bytes), MANIFESTS);
    });
    return [Uint8Array.of(random.below(2), random.below(3), edge(random, 100)), ...manifests];
  },
  async read([[visited, place], ...manifests]) {
    const storage = new Folder();
    Object.defineProperty(globalThis, "navigator", {
      configurable: true,
      value: { onLine: false, storage: { getDirectory: async () => storage, estimate: async () => ({}) } },
    });
    Object.assign(globalThis, {
      FileSystemFileHandle: class {
        createWritable() {}
      },
    });
    const expected = join(CONFIG, VALUES);
    if (visited) assert(Buffer.compare(await visit(MIRROR), expected) !== 0);
    const root = await storage.getDirectoryHandle("siglip-weights-1", { create: true });
    const [copy] = root.folders.keys();
    if (copy && place > 0) {
      // Where the Hub's own copy would be looked for, by name.
      const own = createHash("sha256").update("org/tiny").digest("hex").slice(0, 16);
      const folder = root.folders.get(copy)!;
      if (place === 2) folder.files.delete("manifest");
      root.folders.set(copy.replace(/^[^-]+/, own), folder);
    }
    for (const [i, manifest] of manifests.entries()) {
      const folder = await root.getDirectoryHandle(`odd${i}-f16-1`, { create: true });
      folder.files.set("manifest", Uint8Array.from(manifest));
    }
    return async () => {
      for (let i = 0; i < 2; i++) assert(Buffer.compare(await visit(HUB), expected) === 0, "not what its Hub has");
      for (const { model, version, dtype, bytes } of await listCached()) {
        assert([model, version, dtype].every((text) => typeof text === "string") && bytes > 0);
      }
      await deleteCached("org/tiny");
      assert((await listCached()).every(({ model }) => model !== "org/tiny"));
      await deleteCached();
      assert(root.folders.size === 0, "something is left");
    };
  },
};
