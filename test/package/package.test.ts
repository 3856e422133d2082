import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { tallied } from "../harness/cases.ts";
import { bundleWorker } from "./bundlers.ts";
import { inRuntimes, installed, throughBundlers } from "./cases.ts";
import { demo, example, LOGIT } from "./scores.ts";
import { bundled, diagnose, inNode } from "./types.ts";

/**
 * Measured 8.0 MB, of which the demo model is 5.2 and the decoders, once for Node and once for Workers, most of the
 * rest; a second copy of the model would not fit.
 */
const TARBALL = 8_200_000;

const open = installed();

describe("the packed package", () => {
  it("holds what runs, and its types and source maps beside it", async () => {
    const { project } = open();
    const { size, unpackedSize, files } = project.tarball;
    console.log(`tarball: ${size} bytes, ${unpackedSize} unpacked, ${files.length} files`);
    expect(size).toBeLessThan(TARBALL);
    const paths = files.map(({ path }) => path);
    for (const path of paths.filter((path) => /^dist\/.*\.js$/.test(path))) {
      expect(paths).toContain(path.replace(/js$/, "d.ts"));
      const script = await readFile(join(project.folder, "node_modules/siglip", path), "utf8");
      expect(script).not.toMatch(/(from|import)\W+"\.[^"\n]*\.ts"/);
      // The demo model and the decoders have no text worth a map, and what is bundled is as readable as the modules that have one.
      const map = /^dist\/(weights\/|src\/(static|workerd|node\/images\/worker\.generated)\.js)/.test(path)
        ? undefined
        : `${path}.map`;
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
    const { project } = open();
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
    const manifest = JSON.parse(
      await readFile(join(open().project.folder, "node_modules/siglip/package.json"), "utf8"),
    );
    expect(Object.keys(manifest.scripts).filter((name) => /install$|prepare$|^prepublish$/.test(name))).toEqual([]);
    for (const field of ["repository", "homepage", "bugs", "keywords"]) expect(manifest).toHaveProperty(field);
  });

  it("is a script and modules of WebAssembly for Workers, and a thread's file and the demo model are not among it", async () => {
    const folder = await bundleWorker(open().project);
    const names = readdirSync(folder).map((name) => name.replace(/-\w+\.wasm$/, ".wasm"));
    expect(names.sort()).toEqual(["cloudflare.js", "kernels.wasm", "libjpeg-turbo.wasm", "mozjpeg.wasm", "webp.wasm"]);
    const script = await readFile(join(folder, "cloudflare.js"), "utf8");
    expect(script).not.toMatch(/thread\.js|WebAssembly\.compile\(|new Function\(|@compute/);
    expect(script.length).toBeLessThan(1e6);
  });

  const wrong = "Type 'number' is not assignable to type 'string'.";
  it("is typed for a bundler, without any other types, as README's first example is", async () => {
    const found = diagnose(open().project.folder, {
      entries: ["siglip", "siglip/static", "siglip/workerd"],
      options: bundled,
      example: 0,
    });
    expect(found).toEqual([wrong, wrong, wrong, wrong]);
  });

  it("is typed for Node without the DOM, beside Node's own types, as README's second example is", async () => {
    const options = { ...inNode, lib: ["lib.es2022.d.ts"] };
    const found = diagnose(open().project.folder, { entries: ["siglip", "siglip/node"], options, example: 1 });
    expect(found).toEqual([wrong, wrong, wrong]);
  });
});

describe("in an empty project", () => {
  inRuntimes(open, [
    { name: "this Node", backend: "cpu" },
    { name: "Bun", backend: "cpu" },
    { name: "this Node", backend: "wasm" },
    { name: "a current Node", backend: "wasm" },
    { name: "Deno", backend: "wasm" },
    { name: "Bun", backend: "wasm" },
  ]);

  tallied("the command line gives the demo's logits", { backend: "cpu", precision: "f32" }, async () => {
    const { project } = open();
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
  throughBundlers(open, ["no bundler"]);
});
