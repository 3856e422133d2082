import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { kernelModule, kernelNames } from "../../kernels/wasm/index.ts";
import { bundleStatic } from "../../src/node/bundle-static.ts";
import { Siglip } from "../../src/node.ts";
import { decoder } from "../../src/workerd/decode.ts";
import { DOT, exportName } from "../../src/workerd/export-name.ts";
import { mergeKernels, writeWasm } from "../../src/workerd/node/wasm.ts";
import { answerRange, type Site, serve } from "../browser/site.ts";
import { tallied } from "../harness/cases.ts";
import { runtime } from "../harness/runtimes.ts";
import { execute } from "../package/project.ts";

const demo = new URL("../../weights/demo/", import.meta.url);
/** PNGs and JPEGs. */
const some = JSON.parse(readFileSync(new URL("examples/examples.json", demo), "utf8")).examples.slice(0, 5);
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

let folder: string;
let script: string;
let site: Site;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "siglip-workerd-"));
  script = await bundleStatic("workerd");
  writeFileSync(join(folder, "workerd.js"), script);
  mkdirSync(join(folder, "workerd"));
  await writeWasm(join(folder, "workerd"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  site = await serve(async (request, response, path) =>
    answerRange(request, response, await readFile(new URL(`.${path}`, demo))),
  );
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await site?.[Symbol.asyncDispose]();
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe("siglip/workerd", () => {
  it("imports nothing but WebAssembly", async () => {
    const stdin = { contents: script };
    const external = ["*"];
    const { metafile } = await build({ stdin, bundle: true, write: false, metafile: true, format: "esm", external });
    const names = Object.values(metafile.outputs)[0].imports.map(({ path }) => path);
    const wanted = ["kernels", "libjpeg-turbo", "mozjpeg", "webp"].map((name) => `./workerd/${name}.wasm`);
    expect(names.sort()).toEqual(wanted);
  });

  it("has every kernel that an engine may want, twice where engines differ", async () => {
    const kernels = new Map<string, Uint8Array>();
    for (const dot8 of [false, true]) {
      const engine = { madd: true, dot: true, dot8 };
      for (const name of kernelNames(engine)) {
        const bytes = kernelModule(name, engine, { shared: false });
        expect([name, kernels.get(exportName(name, engine)) ?? bytes]).toEqual([name, bytes]);
        kernels.set(exportName(name, engine), bytes);
      }
    }
    const wat = await import("wabt").then(({ default: wabt }) => wabt());
    const module = wat.readWasm(await mergeKernels(), { readDebugNames: false, simd: true, relaxed_simd: true });
    module.validate();
    const exported = [...module.toText({}).matchAll(/\(export "(.*?)"/g)].map(([, name]) => name);
    module.destroy();
    expect(exported.sort()).toEqual([DOT, ...kernels.keys()].sort());
  });

  it("refuses pictures that a Worker has no room for", async () => {
    const header = new DataView(new ArrayBuffer(54));
    header.setUint16(0, 0x424d);
    header.setUint32(10, 54, true);
    header.setUint32(14, 40, true);
    for (const at of [18, 22]) header.setInt32(at, 3000, true);
    header.setUint32(26, 1 | (24 << 16), true);
    const decode = async (most?: number) => decoder(most)(new Uint8Array(header.buffer), "x.bmp");
    await expect(decode()).rejects.toThrow(/^x\.bmp: wanted at most 8388608 pixels, found/);
    await expect(decode(9e6)).rejects.toThrow(/found that the file ends after 0; /);
  });

  tallied(
    "gives the demo's logits where nothing may be compiled, and so does the example",
    { backend: "wasm", precision: "f32" },
    async (context) => {
      const [node] = await runtime("a current Node", context);
      const kinds = ["formats/lossy.webp", "formats/palette.gif", "formats/rgb.bmp", "images/progressive-420.jpg"];
      const others = kinds.map((file) => here(`../fixtures/${file}`));
      const call = {
        model: site.url,
        examples: some.map(({ file, labels }: { file: string; labels: string[] }) => ({
          picture: `${site.url}examples/${file}`,
          labels,
        })),
        others,
      };
      const example = here("../../docs/examples/cloudflare/worker.js");
      const args = ["--disallow-code-generation-from-strings", here("forbidden.js"), folder, example];
      const found = JSON.parse(await execute(node, args, { cwd: folder }, JSON.stringify(call)));
      for (const [i, { logits }] of some.entries()) {
        for (const [j, logit] of logits.entries()) expect(Math.abs(found.logits[i][j] - logit)).toBeLessThan(0.001);
      }
      expect(found.device).toMatchObject({
        backend: "wasm",
        adapter: expect.stringMatching(/^1 thread, simd madd dot/),
      });
      const model = await Siglip.load("demo", { dtype: "f32", towers: ["image"] });
      const { data } = await model.embedImages(others);
      model.dispose();
      for (const [i, value] of data.entries()) expect(Math.abs(found.others[i] - value)).toBeLessThan(1e-5);
      expect(found.tiff).toBe(
        "SiglipError: the picture: wanted a PNG, JPEG, WebP, GIF or BMP picture, found TIFF, which needs Node or a decoder of yours; convert it or pass decode.",
      );
      expect(found.found[0]).toMatchObject({ label: "2 cats", probability: expect.closeTo(0.9, 1) });
      expect(found.bad.error).toMatch(/^the picture: wanted a .* picture, found bytes that begin/);
      expect(found.waited).toBe(1);
      console.log(`turns while pictures are embedded and the clock stands still: ${found.turns}`);
      expect(found.turns).toBeGreaterThan(20);
    },
  );
});

describe("siglip, where nothing may be compiled", () => {
  it("says what to do", async () => {
    const cause = new WebAssembly.CompileError("WebAssembly.compile(): Wasm code generation disallowed by embedder");
    vi.spyOn(WebAssembly, "compile").mockRejectedValue(cause);
    vi.spyOn(WebAssembly, "Module").mockImplementation(
      class {
        constructor() {
          throw cause;
        }
      } as never,
    );
    const loading = Siglip.load("demo", { backend: "wasm", threads: 1 });
    await expect(loading).rejects.toMatchObject({
      code: "no-device",
      message: expect.stringMatching(
        /^wasm: wanted kernels that compile, found .* disallowed by embedder; .* import "siglip\/workerd" .*\.$/,
      ),
    });
  });
});
