// The packed package in runtimes, and in pages that bundlers made.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect } from "vitest";
import { decode } from "../../src/node/images/decode.ts";
import { noChromium } from "../browser/chromium.ts";
import { type Site, serve } from "../browser/site.ts";
import { tallied } from "../harness/cases.ts";
import { borrowedImages, IMAGES } from "../harness/pictures.ts";
import { runtime, runtimesFolder } from "../harness/runtimes.ts";
import { openChromium } from "../harness/shared.ts";
import { buildPage } from "./bundlers.ts";
import { installPackage, type Project } from "./project.ts";
import { check, demo, example, examples, type Scored } from "./scores.ts";

type Score = (backend: string, image: string, texts: readonly string[]) => Promise<Scored>;

const noGpu = ["none", undefined, ""].includes(process.env.SIGLIP_ADAPTER) ? "no WebGPU adapter is wanted" : undefined;

/** The package installed in an empty project, which a server shows to Chromium. */
export interface Installed {
  readonly project: Project;
  readonly site: Site;
  readonly browser: Browser | undefined;
}

/** Installs it for the tests of a file. */
export function installed(): () => Installed {
  let all: Installed | undefined;
  beforeAll(async () => {
    const project = await installPackage();
    const site = await serve(async (_request, response, path) => {
      const types: Record<string, string> = { ".html": "text/html", ".js": "text/javascript" };
      response.setHeader("Content-Type", types[extname(path)] ?? "application/octet-stream");
      response.end(await readFile(join(project.folder, path)));
    });
    all = { project, site, browser: noChromium ? undefined : await openChromium() };
  }, 600_000);
  afterAll(async () => {
    await all?.browser?.close();
    await all?.site[Symbol.asyncDispose]();
    all?.project[Symbol.dispose]();
  });
  return () => all!;
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

/** A case for each runtime and backend. */
export function inRuntimes(
  open: () => Installed,
  cases: readonly { readonly name: Parameters<typeof runtime>[0]; readonly backend: Scored["backend"] }[],
): void {
  for (const { name, backend } of cases) {
    const skip = backend === "webgpu" ? noGpu : undefined;
    tallied(
      `${name} gives the demo's logits on ${backend}, and every picture's pixels`,
      { backend, precision: "f32", skip },
      async (context) => {
        const [file, ...flags] = await runtime(name, context);
        const wanted = await pictures();
        const call = { image: join(demo, example.file), texts: example.labels, pictures: [...wanted.keys()] };
        const found = JSON.parse(await open().project.run(file, [...flags, "main.js", backend], JSON.stringify(call)));
        check(found, backend, `${name} ${found.version}`, context);
        expect(found.pixels).toEqual(Object.fromEntries([...wanted].map(([path, digest]) => [path, [digest]])));
      },
    );
  }
}

/** A case for each bundler. */
export function throughBundlers(
  open: () => Installed,
  names: readonly ("no bundler" | "esbuild" | "vite" | "webpack")[],
): void {
  for (const name of names) {
    // Each backend is a script of its own; a software adapter takes seconds, which two of them are spared.
    const backend = ["no bundler", "vite"].includes(name) ? "webgpu" : "wasm";
    const skip = noChromium ?? (backend === "webgpu" ? noGpu : undefined);
    tallied(
      `through ${name}: a page gives the demo's logits on ${backend}, a worker on the cpu`,
      { backend, precision: "f32", skip },
      async (context) => {
        const { project, site, browser } = open();
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
}
