import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { deflateSync } from "node:zlib";
import encode, { init } from "@jsquash/jpeg/encode.js";
import { PNG } from "pngjs";
import { cutPatches } from "../src/image/cut-patches.ts";
import { fromRgba, type Pixels } from "../src/image/pixels.ts";
import { type ImageProcessing, preprocess, preprocessPatches } from "../src/image/preprocess.ts";
import { type Filter, resize } from "../src/image/resize.ts";
import { decode } from "../src/node/images/decode.ts";
import { IMAGES, png, synthetic } from "../test/harness/pictures.ts";

// `npx tsx bench/image.ts`: milliseconds to decode pictures and to resize them to 384 x 384, after the results have been verified.

/** What Pillow 12.3.0 makes of the synthetic picture of 12 megapixels. */
const SYNTHETIC = {
  bicubic: "261536fa893370ebf78d97b349625391e4a2d69f93c14a3aca59c45104e84bc6",
  bilinear: "e496f69454f2196414333b4c6501ee98ab58ad1e547787718c1e16a406d4cf3c",
};
const RUNS = 7;

function verify(right: boolean, what: string): void {
  if (!right) throw new Error(`${what} is not what PIL gives; nothing was timed.`);
}

function expected(name: string): Pixels {
  const { width, height, data } = PNG.sync.read(readFileSync(`${IMAGES}/expected/${name}`));
  return fromRgba(data, width, height);
}

async function time(what: string, work: () => unknown): Promise<void> {
  await work();
  const times: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    await work();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const [least, median] = [times[0], times[RUNS >> 1]].map((value) => value.toFixed(1).padStart(8));
  console.log(`${what.padEnd(44)}${least}${median}`);
}

/** Rows filtered by subtracting the row above, which is what photographs compress best with. */
function encodePng({ width, height, data }: Pixels): Buffer {
  const stride = 3 * width;
  const rows = Buffer.alloc(height * (1 + stride), 2);
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < stride; i++)
      rows[y * (1 + stride) + 1 + i] = data[y * stride + i] - (data[(y - 1) * stride + i] ?? 0);
  }
  return png({ width, height, idat: [deflateSync(rows)] });
}

async function encodeJpeg({ width, height, data }: Pixels): Promise<Uint8Array> {
  const wasm = createRequire(import.meta.url).resolve("@jsquash/jpeg/codec/enc/mozjpeg_enc.wasm");
  await (init as (module: WebAssembly.Module) => Promise<void>)(await WebAssembly.compile(readFileSync(wasm)));
  const rgba = new Uint8ClampedArray(4 * width * height).map((_, i) =>
    i % 4 < 3 ? data[3 * (i >> 2) + (i % 4)] : 255,
  );
  return new Uint8Array(await encode({ width, height, data: rgba } as ImageData, { quality: 90 }));
}

const small = readFileSync(`${IMAGES}/photo-640x480.png`);
const smallJpeg = readFileSync(`${IMAGES}/q85-420.jpg`);
const middle = readFileSync(`${IMAGES}/big-1600x1200-420.jpg`);
const large = synthetic(4000, 3000);
const largePng = encodePng(large);
const largeJpeg = await encodeJpeg(large);

const photo = await decode(small);
const big = await decode(middle);
verify(Buffer.compare((await decode(smallJpeg)).data, expected("q85-420.decoded.png").data) === 0, "q85-420.jpg");
verify(Buffer.compare((await decode(largePng)).data, large.data) === 0, "the large PNG");
verify(
  Buffer.compare(resize(photo, 384, 384, "bicubic").data, expected("photo-640x480.bicubic-384.png").data) === 0,
  "the photo",
);
verify(
  Buffer.compare(resize(big, 112, 112, "bicubic").data, expected("big-1600x1200-420.bicubic-112.png").data) === 0,
  "the big one",
);
for (const filter of ["bicubic", "bilinear"] as const) {
  const { data } = resize(large, 384, 384, filter);
  verify(createHash("sha256").update(data).digest("hex") === SYNTHETIC[filter], `the large picture, ${filter},`);
}

console.log(`verified; Node ${process.version}, ${cpus()[0].model}, ${cpus().length} cores; ${RUNS} runs`);
console.log(`${"milliseconds".padEnd(44)}${"least".padStart(8)}${"median".padStart(8)}`);
await time("decode PNG 640 x 480", () => decode(small));
await time("decode JPEG 640 x 480", () => decode(smallJpeg));
await time("decode JPEG 1600 x 1200", () => decode(middle));
await time("decode PNG 4000 x 3000", () => decode(largePng));
await time("decode JPEG 4000 x 3000, progressive", () => decode(largeJpeg));
for (const filter of ["bicubic", "bilinear"] satisfies Filter[]) {
  await time(`resize 640 x 480 to 384, ${filter}`, () => resize(photo, 384, 384, filter));
  await time(`resize 1600 x 1200 to 384, ${filter}`, () => resize(big, 384, 384, filter));
  await time(`resize 4000 x 3000 to 384, ${filter}`, () => resize(large, 384, 384, filter));
}

// A batch as a vision tower takes it. Two ways: pixel values cut into patches afterwards, and patches written at once.
const processing: ImageProcessing = {
  size: [384, 384],
  resample: "bicubic",
  rescale: 1 / 255,
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
};
const count = 32;
const square = resize(large, 384, 384, "bicubic");
const grid = Math.floor(384 / 14);
const patches = new Float32Array(count * grid * grid * 3 * 14 * 14);
const values = new Float32Array(count * 3 * 384 * 384);
await time(`${count} pictures of 384 to pixel values`, async () => {
  for (let i = 0; i < count; i++) values.set(await preprocess(square, processing), i * 3 * 384 * 384);
});
await time(`${count} pictures of 384 to patches`, async () => {
  for (let i = 0; i < count; i++) {
    patches.set(await preprocessPatches(square, processing, 14), (i * patches.length) / count);
  }
});
await time(`cut ${count} pictures' pixel values into patches`, () =>
  cutPatches(values, { count, channels: 3, height: 384, width: 384, patch: 14 }),
);
