import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import encode, { init } from "@jsquash/jpeg/encode.js";

const WIDTH = 640;
const HEIGHT = 480;

/** So many are painted; the others are these, cut elsewhere and put together again the other way round. */
const PAINTED = 50;

/**
 * Paths of `count` JPEGs of 640 x 480, about 45 KB each: soft shapes, edges and grain from a seed. Made once, in the temporary folder.
 */
export async function photos(count: number): Promise<string[]> {
  const folder = join(tmpdir(), "siglip-bench-photos");
  mkdirSync(folder, { recursive: true });
  const paths = Array.from({ length: count }, (_, i) => join(folder, `${String(i).padStart(5, "0")}.jpg`));
  const missing = paths.flatMap((path, seed) => (existsSync(path) ? [] : [{ path, seed }]));
  if (missing.length > 0) {
    const wasm = createRequire(import.meta.url).resolve("@jsquash/jpeg/codec/enc/mozjpeg_enc.wasm");
    await (init as (module: WebAssembly.Module) => Promise<void>)(await WebAssembly.compile(readFileSync(wasm)));
  }
  const painted = missing.length > 0 ? Array.from({ length: Math.min(PAINTED, count) }, (_, seed) => paint(seed)) : [];
  for (const { path, seed } of missing) {
    const whole = painted[seed % PAINTED];
    const cut = 4 * WIDTH * ((37 * Math.floor(seed / PAINTED)) % HEIGHT);
    const data = new Uint8ClampedArray(whole.length);
    data.set(whole.subarray(cut));
    data.set(whole.subarray(0, cut), whole.length - cut);
    const picture = { width: WIDTH, height: HEIGHT, data } as ImageData;
    const options = { quality: 88, progressive: false, optimize_coding: false, trellis_multipass: false };
    writeFileSync(`${path}.part`, new Uint8Array(await encode(picture, options)));
    renameSync(`${path}.part`, path);
  }
  return paths;
}

/** RGBA: a gradient, twelve soft or hard discs, and grain. */
function paint(seed: number): Uint8ClampedArray {
  let state = (seed + 1) * 2654435761;
  const random = () => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
  const data = new Uint8ClampedArray(4 * WIDTH * HEIGHT);
  const discs = Array.from({ length: 12 }, () => ({
    ...{ x: random() * WIDTH, y: random() * HEIGHT, radius: 20 + 160 * random(), soft: random() < 0.5 },
    colour: [random() * 255, random() * 255, random() * 255],
  }));
  const slope = [random(), random(), random()];
  for (let y = 0, at = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++, at += 4) {
      let [r, g, b] = slope.map((share) => 255 * (share * (x / WIDTH) + (1 - share) * (y / HEIGHT)));
      for (const disc of discs) {
        const distance = Math.hypot(x - disc.x, y - disc.y) / disc.radius;
        if (distance >= 1) continue;
        const share = disc.soft ? 1 - distance : 0.8;
        r += share * (disc.colour[0] - r);
        g += share * (disc.colour[1] - g);
        b += share * (disc.colour[2] - b);
      }
      const grain = 14 * (random() - 0.5);
      data[at] = r + grain;
      data[at + 1] = g + grain;
      data[at + 2] = b + grain;
      data[at + 3] = 255;
    }
  }
  return data;
}
