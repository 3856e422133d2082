import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { decode } from "../../src/node/images/decode.ts";
import { noChromium } from "../browser/chromium.ts";
import { type Site, serve } from "../browser/site.ts";
import { tallied } from "../harness/cases.ts";
import { borrowedImages, IMAGES } from "../harness/pictures.ts";
import { runtime, runtimesFolder } from "../harness/runtimes.ts";
import { openChromium } from "../harness/shared.ts";
import { buildPage, builds } from "./bundlers.ts";
import { installPackage, type Project } from "./project.ts";
import { bundled, diagnose, inNode } from "./types.ts";

const demo = fileURLToPath(new URL("../../weights/demo/examples/", import.meta.url));
const { examples } = JSON.parse(readFileSync(join(demo, "examples.json"), "utf8"));
const [example] = examples;
const reference: readonly number[] = example.image_pooled;

/** The bounds of the golden tests: the demo's logits, and the relative error of a tower in float32. */
const LOGIT = 0.01;
const ERROR = { cpu: 1e-6, wasm: 1e-5, webgpu: 1e-5 };

/** Measured 7.2 MB, of which the demo model is 5.2 and the JPEG decoders most of the rest; a second copy of the model would not fit. */
const TARBALL = 7_500_000;

const noGpu = ["none", undefined, ""].includes(process.env.SIGLIP_ADAPTER) ? "no WebGPU adapter is wanted" : undefined;

let project: Project;
let site: Site;
let browser: Browser | undefined;

beforeAll(async () => {
  project = await installPackage();
  site = await serve(async (_request, response, path) => {
    const types: Record<string, string> = { ".html": "text/html", ".js": "text/javascript" };
    response.setHeader("Content-Type", types[extname(path)] ?? "application/octet-stream");
    response.end(await readFile(join(project.folder, path)));
  });
  browser = noChromium ? undefined : await openChromium();
}, 600_000);
afterAll(async () => {
  await browser?.close();
  await site?.[Symbol.asyncDispose]();
  project?.[Symbol.dispose]();
});

interface Scored {
  readonly backend: "cpu" | "wasm" | "webgpu";
  readonly adapter?: string;
  readonly logits: readonly number[];
  readonly embedding: readonly number[];
}

type Score = (backend: string, image: string, texts: readonly string[]) => Promise<Scored>;

/** Holds a result against the golden one, and prints and counts where it was made. */
function check(found: Scored, backend: string, where: string, { task }: TestContext): void {
  expect(found.backend).toBe(backend);
  for (const [i, logit] of example.logits.entries()) expect(Math.abs(found.logits[i] - logit)).toBeLessThan(LOGIT);
  const length = Math.hypot(...reference);
  const error = Math.hypot(...reference.map((value, i) => value / length - found.embedding[i]));
  expect(error).toBeLessThan(ERROR[found.backend]);
  console.log(
    `${where}: ${found.backend}${found.adapter ? ` on ${found.adapter}` : ""}, relative error ${error.toExponential(1)}`,
  );
  if (found.adapter) task.meta.siglip!.adapter = `${where} ${found.adapter}`;
}

/** Every picture of the fixtures and the examples, and the SHA-256 of its size and its pixels as this checkout decodes them. */
async function pictures(): Promise<Map<string, string>> {
  const index: { file: string }[] = JSON.parse(readFileSync(`${IMAGES}/index.json`, "utf8"));
  const paths = index.map(({ file }) => join(file.startsWith("borrowed/") ? (borrowedImages() ?? "") : IMAGES, file));
  const digests = new Map<string, string>();
  for (const path of [...paths, ...examples.map(({ file }: { file: string }) => join(demo, file))]) {
    if (!existsSync(path)) continue;
    const { width, height, data } = await decode(await readFile(path));
    digests.set(path, createHash("sha256").update(`${width} ${height} `).update(data).digest("hex"));
  }
  return digests;
}

describe("the packed package", () => {
  it("holds what runs, and its types and source maps beside it", async () => {
    const { size, unpackedSize, files } = project.tarball;
    console.log(`tarball: ${size} bytes, ${unpackedSize} unpacked, ${files.length} files`);
    expect(size).toBeLessThan(TARBALL);
    const paths = files.map(({ path }) => path);
    for (const path of paths.filter((path) => /^dist\/.*\.js$/.test(path))) {
      expect(paths).toContain(path.replace(/js$/, "d.ts"));
      const script = await readFile(join(project.folder, "node_modules/siglip", path), "utf8");
      // The demo model has no text worth a map, and what is bundled is as readable as the modules that have one.
      const map = /^dist\/(weights\/|src\/static\.js)/.test(path) ? undefined : `${path}.map`;
      expect(/^\/\/# sourceMappingURL=(.*)/m.exec(script)?.[1]).toBe(map && basename(map));
      if (map) expect(paths).toContain(map);
    }
    for (const path of paths.filter((path) => path.endsWith(".map"))) {
      const map = JSON.parse(await readFile(join(project.folder, "node_modules/siglip", path), "utf8"));
      expect(map.sourcesContent).toEqual(map.sources.map(() => expect.stringMatching(/\S/)));
    }
    const others = paths.filter((path) => !/^(dist|docs|weights\/demo\/examples)\/|(^|\/)[A-Z_]+\.md$/.test(path));
    expect(others.sort()).toEqual(["LICENSE", "package.json", "src/web/screenshot.png", "weights/manifest.json"]);
  });

  it("holds what its README shows and links, and what that links", async () => {
    const seen = new Set(["README.md"]);
    for (const path of seen) {
      if (!path.endsWith(".md")) continue;
      const text = await readFile(join(project.folder, "node_modules/siglip", path), "utf8");
      for (const [, link] of text.matchAll(/\]\(([^)#]+)/g))
        if (!/^https:/.test(link)) seen.add(join(path, "..", link));
    }
    expect(seen).toContain("src/web/screenshot.png");
    const paths = project.tarball.files.map(({ path }) => path);
    expect([...seen].filter((path) => !paths.includes(path))).toEqual([]);
  });

  it("runs nothing when it is installed, and says where it comes from", async () => {
    const manifest = JSON.parse(await readFile(join(project.folder, "node_modules/siglip/package.json"), "utf8"));
    expect(Object.keys(manifest.scripts).filter((name) => /install$|prepare$|^prepublish$/.test(name))).toEqual([]);
    for (const field of ["repository", "homepage", "bugs", "keywords"]) expect(manifest).toHaveProperty(field);
  });

  const wrong = "Type 'number' is not assignable to type 'string'.";
  it("is typed for a bundler, without any other types, as README's first example is", async () => {
    const found = diagnose(project.folder, { entries: ["siglip", "siglip/static"], options: bundled, example: 0 });
    expect(found).toEqual([wrong, wrong, wrong]);
  });

  it("is typed for Node without the DOM, beside Node's own types, as README's second example is", async () => {
    const options = { ...inNode, lib: ["lib.es2022.d.ts"] };
    const found = diagnose(project.folder, { entries: ["siglip", "siglip/node"], options, example: 1 });
    expect(found).toEqual([wrong, wrong, wrong]);
  });
});

describe("in an empty project", () => {
  const others = [
    { name: "this Node", backend: "cpu" },
    { name: "a current Node", backend: "webgpu" },
    { name: "Deno", backend: "webgpu" },
    { name: "Bun", backend: "cpu" },
    { name: "this Node", backend: "wasm" },
    { name: "a current Node", backend: "wasm" },
    { name: "Deno", backend: "wasm" },
    { name: "Bun", backend: "wasm" },
  ] as const;
  for (const { name, backend } of others) {
    const skip = backend === "webgpu" ? noGpu : undefined;
    tallied(
      `${name} gives the demo's logits on ${backend}, and every picture's pixels`,
      { backend, precision: "f32", skip },
      async (context) => {
        const [file, ...flags] = await runtime(name, context);
        const wanted = await pictures();
        const call = { image: join(demo, example.file), texts: example.labels, pictures: [...wanted.keys()] };
        const found = JSON.parse(await project.run(file, [...flags, "main.js", backend], JSON.stringify(call)));
        check(found, backend, `${name} ${found.version}`, context);
        expect(found.pixels).toEqual(Object.fromEntries([...wanted].map(([path, digest]) => [path, [digest]])));
      },
    );
  }

  tallied("the command line gives the demo's logits", { backend: "cpu", precision: "f32" }, async () => {
    expect(await project.run("npx", ["--offline", "siglip", "--version"])).toBe(`${project.tarball.version}\n`);
    // To start npx takes as long as the demo.
    const command = join(project.folder, "node_modules/.bin/siglip");
    const siglip = (...args: string[]) => project.run(command, [...args, "--backend", "cpu", "--json"]);
    const picture = join(demo, example.file);
    const results = [
      ...JSON.parse(await siglip("demo")),
      ...JSON.parse(await siglip("classify", picture, "--template", "{label}", "--labels", ...example.labels)),
    ].filter(({ image }) => image.endsWith(example.file));
    expect(results.length).toBe(2);
    for (const { label, logit } of results.flatMap(({ labels }) => labels)) {
      expect(Math.abs(logit - example.logits[example.labels.indexOf(label)])).toBeLessThan(LOGIT);
    }
  });
});

describe("in Chromium", () => {
  for (const name of Object.keys(builds)) {
    // Each backend is a script of its own; a software adapter takes seconds, which two of them are spared.
    const backend = ["no bundler", "vite"].includes(name) ? "webgpu" : "wasm";
    const skip = noChromium ?? (backend === "webgpu" ? noGpu : undefined);
    tallied(
      `through ${name}: a page gives the demo's logits on ${backend}, a worker on the cpu`,
      { backend, precision: "f32", skip },
      async (context) => {
        const path = await buildPage(name, project.folder, name === "webpack" ? await runtimesFolder(context) : "");
        const before = site.requests.length;
        const page = await browser!.newPage();
        const errors: Error[] = [];
        page.on("pageerror", (error) => errors.push(error));
        await page.goto(site.url + path);
        await page.waitForFunction(() => "score" in globalThis);
        const picture = new URL(`/node_modules/siglip/weights/demo/examples/${example.file}`, site.url).href;
        const calls = [
          ["score", backend],
          ["scoreInWorker", "cpu"],
        ] as const;
        for (const call of calls) {
          const found = await page.evaluate(
            ([name, ...args]) => (globalThis as never as Record<string, Score>)[name](...args),
            [...call, picture, example.labels] as [string, ...Parameters<Score>],
          );
          check(found, call[1], `${name}, ${call[0] === "score" ? "page" : "worker"}`, context);
        }
        expect(errors).toEqual([]);
        await page.close();
        const scripts = site.requests
          .slice(before)
          .filter((path) => path.includes("node_modules/") && path.endsWith(".js"));
        if (name === "no bundler")
          expect(scripts.every((path) => path.startsWith("/node_modules/siglip/dist/"))).toBe(true);
        else expect(scripts).toEqual([]);
      },
    );
  }
});
