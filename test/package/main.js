// The application in Node, Deno and Bun: `main.js BACKEND` reads { image, texts, pictures } from stdin and answers in JSON.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { pathToFileURL } from "node:url";
import { Siglip } from "siglip";
import { Siglip as Named } from "siglip/node";
import { bytesSource, readHeader, writeSafetensors } from "siglip/safetensors";
// What is not exported is still there for who names the file.
import { nodePlatform } from "./node_modules/siglip/dist/src/node/platform.js";
import { score } from "./score.js";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { image, texts, pictures } = JSON.parse(Buffer.concat(chunks));

/** The SHA-256 of a picture's size and pixels, by every way to give it; one where they agree. */
async function digests(path) {
  const bytes = await readFile(path);
  const data = new URL(`data:application/octet-stream;base64,${bytes.toString("base64")}`);
  const ways = [path, pathToFileURL(path), bytes, new Blob([bytes]), new File([bytes], basename(path)), data];
  const found = new Set();
  for (const way of ways) {
    const { width, height, data } = await nodePlatform.decode(way);
    found.add(createHash("sha256").update(`${width} ${height} `).update(data).digest("hex"));
  }
  return [...found];
}

if (Siglip !== Named) throw new Error("siglip is not the build for Node here.");
const file = [];
for await (const chunk of writeSafetensors([{ name: "ones", dtype: "U8", shape: [2], data: new Uint8Array([1, 1]) }])) {
  file.push(...chunk);
}
const { tensors } = await readHeader(bytesSource(new Uint8Array(file)));
if (!tensors.has("ones")) throw new Error("siglip/safetensors does not read what it wrote.");

const { bun, deno, node } = process.versions;
const result = await score(process.argv[2], image, texts);
const pixels = {};
for (const path of pictures) pixels[path] = await digests(path);
process.stdout.write(JSON.stringify({ ...result, pixels, version: bun ?? deno ?? node }), () => process.exit(0));
