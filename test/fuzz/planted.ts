// What somebody has put into the caches of Node: another Hub's answers, its absences and names of contents, files, and
// links in the place of files and folders. Whatever it is, nothing of it is taken for what the model's own Hub has,
// nothing is written or deleted where a link leads, and the model loads. What a browser keeps: stored.ts.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join as path } from "node:path";
import { keptHubFiles } from "../../src/node/cache/hub-files.ts";
import { deleteCached, listCached } from "../../src/node/cache/list.ts";
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
  const altered = weights.map((byte) => byte ^ 1);
  const journalOf = (bytes: Uint8Array) => {
    const lines = Array.from({ length: 4 }, (_, block) => {
      const part = bytes.subarray(block * 2 ** 16, (block + 1) * 2 ** 16);
      return `\n${block} ${createHash("sha256").update(part).digest("base64url")}\n`;
    });
    return utf8(lines.join(""));
  };
  const noteOf = (name: string, etag = oid(name)) => utf8(`${CONTENTS[name].length} ${etag}\n`);
  const other = utf8('{"model_type": "other"}');
  const own = `cache/siglip/hubs/${encodeURIComponent("https://huggingface.co")}/org--tiny`;
  const parts = (folder: string, journal: Uint8Array): [string, Uint8Array][] => [
    [`${folder}/parts/${SHA}`, altered],
    [`${folder}/parts/${SHA}.journal`, journal],
    [`${folder}/${COMMIT}/model.safetensors`, noteOf("model.safetensors")],
    [`${folder}/${COMMIT}/config.json`, noteOf("config.json")],
  ];
  const repository = (folder: string): [string, Uint8Array][] => [
    [`${folder}/refs/main`, utf8("f".repeat(40))],
    [`${folder}/blobs/${SHA}`, altered],
    [`${folder}/blobs/${oid("config.json")}`, other],
    [`${folder}/blobs/${oid("preprocessor_config.json")}`, other],
  ];
  const foreign = [`cache/siglip/hubs/${encodeURIComponent("https://mirror.example")}`, "cache/siglip/hub"];
  return [
    // What a mirror sent under the true names, journal and all: where it belongs, and where versions before kept it.
    ...foreign.flatMap((folder) => [
      ...parts(`${folder}/org--tiny`, journalOf(altered)),
      ...repository(`${folder}/models--org--tiny`),
      [`${folder}/models--org--tiny/.no_exist/${COMMIT}/preprocessor_config.json`, new Uint8Array(0)] as const,
    ]),
    // In the model's own folders: what does not fit its journal or its name, and other names for the same contents.
    ...parts(own, journalOf(weights)),
    [`${own}/${COMMIT}/preprocessor_config.json`, noteOf("preprocessor_config.json", "f".repeat(40))],
    [`${own}/${COMMIT}/model.safetensors`, noteOf("model.safetensors", "f".repeat(64))],
    [`${own}/${COMMIT}/model.safetensors`, noteOf("model.safetensors", "weak-x")],
    ...repository("hf/hub/models--org--tiny"),
  ].map(([place, content]) => [place, content] as [string, Uint8Array]);
})();

/** Places where only a link is put: a file of that name would be what Hugging Face's tools left. */
const LINKS = [
  `hf/hub/models--org--tiny/snapshots/${COMMIT}/config.json`,
  `hf/hub/models--org--tiny/snapshots/${COMMIT}/model.safetensors`,
  `hf/hub/models--org--tiny/.no_exist/${COMMIT}/preprocessor_config.json`,
];

/** Links of these end in the place of a folder, since what they lead to is one. */
const FOLDERS = [...new Set([...PLACES.map(([place]) => place), ...LINKS].map((place) => dirname(place)))]
  .flatMap((folder) => [folder, dirname(folder)])
  .filter((folder) => folder.split("/").length > 3);

/** Somebody's own files, which look like a cache's. */
const VICTIM = ["file", "parts/file", `parts/${SHA}`, `${COMMIT}/model.safetensors`, "org--tiny/file"];

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

/** Whether a link stands in the way to a folder. */
function linkAbove(home: string, folder: string): boolean {
  if (folder === home) return false;
  return (lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink() ?? false) || linkAbove(home, dirname(folder));
}

export const hubCache: Target = {
  name: "hub-cache",
  cases: 25,
  bound: () => 64 * 2 ** 20,
  make(random) {
    // Of each: which place, whether a link, and what.
    const planted = Array.from({ length: random.below(6) }, () => {
      const place = random.below(PLACES.length + LINKS.length + FOLDERS.length);
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
    for (const name of VICTIM) {
      mkdirSync(dirname(path(victim, name)), { recursive: true });
      writeFileSync(path(victim, name), "mine");
    }
    const places = [...PLACES.map(([place]) => place), ...LINKS, ...FOLDERS];
    // Folders first: what is planted below one stays outside of the victim.
    for (const [place, link, ...content] of [...planted].sort(([a], [b]) => b - a)) {
      const file = path(home, places[place]);
      if (!linkAbove(home, dirname(file))) mkdirSync(dirname(file), { recursive: true });
      else continue;
      rmSync(file, { force: true, recursive: true });
      if (link) symlinkSync(place < PLACES.length + LINKS.length ? path(victim, "file") : victim, file);
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
        for (const kept of await listCached()) assert(typeof kept.model === "string" && kept.bytes >= 0);
        await deleteCached();
        assert((await listCached()).length === 0, "something is left");
        for (const name of VICTIM) {
          assert(readFileSync(path(victim, name), "utf8") === "mine", "a link was followed");
        }
      } finally {
        Object.assign(process.env, before);
        rmSync(home, { recursive: true });
      }
      if (refusal) throw refusal;
    };
  },
};
