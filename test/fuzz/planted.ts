// What somebody has put where a model is kept: another Hub's answers, files and links in the cache, entries in a browser's
// private file system. Whatever it is, nothing of it is taken for what the model's own Hub has.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join as path } from "node:path";
import { CachedFiles, isComplete } from "../../src/browser/storage/files.ts";
import { CacheFolder } from "../../src/browser/storage/folder.ts";
import { encodeHeader } from "../../src/checkpoint/safetensors.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import type { ModelFiles } from "../../src/files/model-files.ts";
import { keptHubFiles } from "../../src/node/cache/hub-files.ts";
import { join, mutateBytes, Random } from "./random.ts";
import type { Target } from "./targets.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);
const digest = (algorithm: string, ...parts: Uint8Array[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash(algorithm)).digest("hex");

const COMMIT = "0123456789".repeat(4);
const CONTENTS: Readonly<Record<string, Uint8Array>> = {
  "config.json": utf8('{"model_type": "siglip"}'),
  "preprocessor_config.json": utf8('{"do_normalize": true, "image_size": 224}'),
  // More than comes with the first answer.
  "model.safetensors": new Random("weights").bytes(200_000),
};
const NAMES = Object.keys(CONTENTS);
const oid = (name: string, bytes = CONTENTS[name]) =>
  name.endsWith(".json") ? digest("sha1", utf8(`blob ${bytes.length}\0`), bytes) : digest("sha256", bytes);
const SHA = oid("model.safetensors");

/** What may stand in the way, below the two caches, and something to put there that looks right at first. */
const PLACES: readonly [string, Uint8Array][] = (() => {
  const weights = CONTENTS["model.safetensors"];
  const lines = Array.from({ length: 4 }, (_, block) => {
    const part = weights.subarray(block * 2 ** 16, (block + 1) * 2 ** 16);
    return `\n${block} ${createHash("sha256").update(part).digest("base64url")}\n`;
  });
  const note = utf8(`${weights.length} ${SHA}\n`);
  const altered = weights.map((byte) => byte ^ 1);
  const within = (folder: string): [string, Uint8Array][] => [
    [`${folder}/org--tiny/parts/${SHA}`, altered],
    [`${folder}/org--tiny/parts/${SHA}.journal`, utf8(lines.join(""))],
    [`${folder}/org--tiny/${COMMIT}/model.safetensors`, note],
    [`${folder}/org--tiny/${COMMIT}/config.json`, utf8(`24 ${oid("config.json")}\n`)],
  ];
  const shared = "hf/hub/models--org--tiny";
  return [
    // Where versions before kept what any Hub had sent.
    ...within("cache/siglip/hub"),
    ...within(`cache/siglip/hubs/${encodeURIComponent("https://mirror.example")}`),
    ...within(`cache/siglip/hubs/${encodeURIComponent("https://huggingface.co")}`),
    [`${shared}/refs/main`, utf8("f".repeat(40))],
    [`${shared}/blobs/${SHA}`, altered],
    [`${shared}/blobs/${oid("config.json")}`, utf8('{"model_type": "other"}')],
  ];
})();

/** Places where only a link is put: a file of that name would be what Hugging Face's tools left. */
const LINKS = [
  `hf/hub/models--org--tiny/snapshots/${COMMIT}/config.json`,
  `hf/hub/models--org--tiny/snapshots/${COMMIT}/model.safetensors`,
  `hf/hub/models--org--tiny/.no_exist/${COMMIT}/preprocessor_config.json`,
];

/** The model's Hub, and a mirror that states what it likes. */
function serve(mood: Random): typeof fetch {
  return async (input, init) => {
    const url = new URL(String(input));
    const name = url.pathname.split("/").at(-1)!;
    const honest = url.host === "huggingface.co";
    if (!Object.hasOwn(CONTENTS, name) || (!honest && mood.chance(0.1))) return new Response("none", { status: 404 });
    const bytes = honest || mood.chance(0.2) ? CONTENTS[name] : mutateBytes(mood, CONTENTS[name], [CONTENTS[name]]);
    const etag = honest || mood.chance(0.6) ? oid(name) : mood.pick([oid(name, bytes), "x", "f".repeat(64)]);
    const headers = new Headers({ ETag: `"${etag}"`, "X-Repo-Commit": COMMIT });
    if (!honest && mood.chance(0.1)) headers.delete(mood.pick(["ETag", "X-Repo-Commit"]));
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init?.headers).get("Range") ?? "") ?? [];
    if (from === undefined || bytes.length === 0 || (!honest && mood.chance(0.1))) {
      return new Response(Buffer.from(bytes), { headers });
    }
    const part = bytes.subarray(Number(from), Number(to) + 1);
    headers.set("Content-Range", `bytes ${from}-${Number(from) + part.length - 1}/${bytes.length}`);
    return new Response(Buffer.from(part), { status: 206, headers });
  };
}

async function readAll(mood: Random, endpoint?: string): Promise<Map<string, Uint8Array | undefined>> {
  const options = { endpoint, fetch: serve(mood), pause: 0, onWarning: () => {} };
  const files = keptHubFiles({ id: "org/tiny", revision: "main" }, options);
  const read = new Map<string, Uint8Array | undefined>();
  try {
    for (const name of NAMES) {
      const source = await files.open(name);
      const length = source && (endpoint ? mood.below(source.size + 1) : source.size);
      read.set(name, source && (await source.read(0, length!)));
    }
    return read;
  } finally {
    await files.close();
  }
}

export const hubCache: Target = {
  name: "hub-cache",
  cases: 25,
  bound: () => 64 * 2 ** 20,
  make(random) {
    // Of each: which place, whether a link, and what.
    const planted = Array.from({ length: random.below(6) }, () => {
      const place = random.below(PLACES.length + LINKS.length);
      const [, content] = PLACES[place] ?? [];
      const changed = content && random.chance(0.5) ? mutateBytes(random, content, [content]) : content;
      const link = content === undefined || random.chance(0.3) ? 1 : 0;
      return join(Uint8Array.of(place, link), changed ?? new Uint8Array(0));
    });
    return [random.bytes(8), ...planted];
  },
  async read([seed, ...planted]) {
    const home = mkdtempSync(path(tmpdir(), "siglip-planted-"));
    const before = { ...process.env };
    Object.assign(process.env, { HF_HOME: path(home, "hf"), HF_HUB_CACHE: "", XDG_CACHE_HOME: path(home, "cache") });
    const victim = path(home, "victim");
    writeFileSync(victim, "mine");
    for (const [place, link, ...content] of planted) {
      const file = path(home, PLACES[place]?.[0] ?? LINKS[place - PLACES.length]);
      mkdirSync(dirname(file), { recursive: true });
      rmSync(file, { force: true });
      if (link) symlinkSync(victim, file);
      else writeFileSync(file, Uint8Array.from(content));
    }
    const mood = new Random(digest("sha1", seed));
    let refusal: unknown;
    try {
      await readAll(mood, "https://mirror.example").catch((error) => {
        refusal = error;
      });
    } finally {
      Object.assign(process.env, before);
    }
    return async () => {
      Object.assign(process.env, { HF_HOME: path(home, "hf"), HF_HUB_CACHE: "", XDG_CACHE_HOME: path(home, "cache") });
      try {
        for (const [name, bytes] of await readAll(mood)) {
          assert(bytes && Buffer.compare(bytes, CONTENTS[name]) === 0, `${name} is not what its Hub has`);
        }
        assert(readFileSync(victim, "utf8") === "mine", "a link was written through");
      } finally {
        Object.assign(process.env, before);
        rmSync(home, { recursive: true });
      }
      if (refusal) throw refusal;
    };
  },
};

/** As much of a browser's private folder as is used of one. */
class Folder {
  readonly kind = "directory";
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();

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
  }

  async *keys() {
    yield* this.files.keys();
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
const ENTRIES: readonly [string, Uint8Array][] = [
  ["tensors", tensorsFile],
  ["image", utf8(JSON.stringify(["config.json", "vision_model.a.0"]))],
  ["text", utf8(JSON.stringify([`${TENSORS[1]}.0`]))],
  ["config.json", CONTENTS["config.json"]],
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
    const source = bytesSource(CHECKPOINT, "model.safetensors");
    const origin: ModelFiles = {
      name: "the model",
      version: "1",
      async open(name) {
        if (name === "model.safetensors") return source;
        return Object.hasOwn(CONTENTS, name) ? bytesSource(CONTENTS[name], name) : undefined;
      },
      async close() {},
    };
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
