// The packed package under an older compiler and in every example of docs/examples, and what JSR would say.
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Browser } from "playwright-core";
import * as vite from "vite";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { noChromium } from "../browser/chromium.ts";
import { noExtensions, startExtension } from "../browser/extension.ts";
import { answerRange, type Site, serve } from "../browser/site.ts";
import { tallied } from "../harness/cases.ts";
import { runtime, runtimesFolder } from "../harness/runtimes.ts";
import { openChromium } from "../harness/shared.ts";
import { execute, installPackage, type Project } from "./project.ts";
import { bundled, diagnose } from "./types.ts";

const demo = fileURLToPath(new URL("../../weights/demo/", import.meta.url));
const picture = join(demo, "examples/two-cats.png");

let project: Project;
let examples: string;
let site: Site;
let browser: Browser | undefined;
beforeAll(async () => {
  project = await installPackage();
  examples = join(project.folder, "examples");
  cpSync(fileURLToPath(new URL("../../docs/examples", import.meta.url)), examples, { recursive: true });
  for (const name of ["service-worker", "extension"]) {
    cpSync(join(project.folder, "node_modules/siglip/dist/src/static.js"), join(examples, name, "static.js"));
  }
  cpSync(demo, join(examples, "service-worker/model"), { recursive: true });
  cpSync(demo, join(examples, "extension/model"), { recursive: true });
  site = await serve(async (request, response, path) => {
    const types: Record<string, string> = { ".html": "text/html", ".js": "text/javascript" };
    response.setHeader("Content-Type", types[extname(path)] ?? "application/octet-stream");
    answerRange(request, response, await readFile(join(examples, path)));
  });
  browser = noChromium ? undefined : await openChromium();
}, 600_000);
afterAll(async () => {
  await browser?.close();
  await site?.[Symbol.asyncDispose]();
  project?.[Symbol.dispose]();
});

const inChromium = { backend: "wasm", precision: "", skip: noChromium };
/** Shows the picture to a page of the examples and resolves with what it says. */
async function ask(path: string): Promise<string> {
  const page = await browser!.newPage();
  try {
    await page.goto(new URL(path, site.url).href);
    await page.waitForFunction(() => document.querySelector("input")!.onchange);
    await page.setInputFiles("input", picture);
    await page.waitForFunction(() => document.querySelector("output")!.textContent);
    return (await page.textContent("output"))!;
  } finally {
    await page.close();
  }
}

describe("the packed package", () => {
  it("is typed for TypeScript 5.9, with the DOM and with neither the DOM nor Node", async (context) => {
    const compiler = await runtimesFolder(context);
    const entries = ["siglip", "siglip/static"];
    const wrong = Array(3).fill("Type 'number' is not assignable to type 'string'.");
    expect(diagnose(project.folder, { entries, options: bundled, example: 0, compiler })).toEqual(wrong);
    const options = { ...bundled, lib: ["lib.es2022.d.ts"] };
    expect(diagnose(project.folder, { entries, options, compiler })).toEqual(wrong);
  });
});

describe("jsr.json", () => {
  // Checks types, those that JSR calls slow, and which files would be sent; the scope, the upload and what JSR makes of it are beyond a dry run.
  it("publishes, as far as can be tried without the registry", async (context) => {
    const [deno] = await runtime("Deno", context);
    const cwd = fileURLToPath(new URL("../..", import.meta.url));
    const { version } = JSON.parse(readFileSync(join(cwd, "package.json"), "utf8"));
    expect(JSON.parse(readFileSync(join(cwd, "jsr.json"), "utf8"))).toMatchObject({ version });
    const nowhere = "http://127.0.0.1:9";
    const env = {
      ...process.env,
      DENO_DIR: join(project.folder, "deno"),
      NPM_CONFIG_REGISTRY: nowhere,
      JSR_URL: nowhere,
    };
    await execute(deno, ["publish", "--dry-run", "--allow-dirty"], { cwd, env });
  });
});

describe("examples", () => {
  const programs = [
    ["Deno", "serve", "-A", "--port", "0"],
    ["Bun", "--port", "0"],
  ] as const;
  for (const [name, ...flags] of programs) {
    tallied(`server.ts answers in ${name}`, { backend: "wasm", precision: "" }, async (context) => {
      const [binary] = await runtime(name, context);
      const running = spawn(binary, [...flags, "server.ts"], { cwd: examples, stdio: ["ignore", "pipe", "pipe"] });
      try {
        const url = await addressOf(running);
        const send = (query: string, body: Uint8Array<ArrayBuffer>) =>
          fetch(`${url}?${query}`, { method: "POST", body });
        const query = "label=2%20cats&label=a%20plane";
        const [best] = await (await send(query, new Uint8Array(readFileSync(picture)))).json();
        expect(best).toMatchObject({ label: "2 cats", probability: expect.closeTo(0.9, 1) });
        const refused = await send(query, new Uint8Array([1, 2, 3]));
        expect(refused.status).toBe(400);
        expect((await refused.json()).error).toMatch(/wanted .*, found .*; .*\.$/);
      } finally {
        running.kill();
      }
    });
  }

  const classified = /^ *9\d\.\d % {2}2 cats\n +\d\.\d % {2}a plane\n$/;
  const elsewhere = () => {
    const folder = join(project.folder, "elsewhere");
    mkdirSync(folder, { recursive: true });
    return folder;
  };
  tallied("classify.ts is a program of one file", { backend: "wasm", precision: "" }, async () => {
    const outfile = join(elsewhere(), "classify.mjs");
    const entryPoints = [join(examples, "classify.ts")];
    await build({ entryPoints, bundle: true, platform: "node", format: "esm", external: ["webgpu"], outfile });
    expect(await project.run(process.execPath, [outfile, picture, "2 cats", "a plane"])).toMatch(classified);
  });

  tallied("classify.ts is a binary", { backend: "wasm", precision: "" }, async (context: TestContext) => {
    const [bun] = await runtime("Bun", context);
    const outfile = join(elsewhere(), "classify");
    const compile = ["build", "--compile", "--external", "webgpu", "examples/classify.ts", "--outfile", outfile];
    await project.run(bun, compile);
    expect(await project.run(outfile, [picture, "2 cats", "a plane"])).toMatch(classified);
  });

  tallied("worker/ names what a picture shows", inChromium, async () => {
    const root = join(examples, "worker");
    await vite.build({ root, configFile: join(root, "vite.config.ts"), logLevel: "error" });
    expect(await ask("worker/dist/index.html")).toMatch(/^2 cats: 9\d\.\d %$/);
  });

  tallied("service-worker/ answers as a server would", inChromium, async () => {
    const [best] = JSON.parse(await ask("service-worker/index.html?model=./model"));
    expect(best).toMatchObject({ label: "2 cats", probability: expect.closeTo(0.9, 1) });
  });

  tallied("extension/ names what a picture shows", { ...inChromium, skip: noExtensions }, async () => {
    await using extension = await startExtension(join(examples, "extension"));
    const title = await extension.worker.evaluate(async (srcUrl) => {
      const { contextMenus, action } = (globalThis as never as { chrome: Chrome }).chrome;
      const before = await action.getTitle({});
      contextMenus.onClicked.dispatch({ srcUrl });
      for (;;) {
        const title = await action.getTitle({});
        if (title !== before) return title;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }, new URL("extension/model/examples/two-cats.png", site.url).href);
    expect(title).toMatch(/^2 cats: 9\d\.\d %$/);
  });
});

/** What the test uses of an extension's globals. */
interface Chrome {
  readonly contextMenus: { readonly onClicked: { dispatch(info: { srcUrl: string }): void } };
  readonly action: { getTitle(details: object): Promise<string> };
}

/** Where a server says that it listens. */
function addressOf({ stdout, stderr }: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const listen = (data: Buffer) => {
      text += data;
      const port = /https?:\/\/[^\s/:]+:(\d+)/.exec(text)?.[1];
      if (port) resolve(`http://127.0.0.1:${port}/`);
    };
    stdout!.on("data", listen).on("end", () => reject(new Error(text)));
    stderr!.on("data", listen);
  });
}
