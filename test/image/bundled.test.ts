import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Format } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const pictures = ["baseline-420.jpg", "ycck-420.jpg"];

/** Decodes the pictures beside it and prints their sizes. */
const PROGRAM = `
  import { readFileSync } from "node:fs";
  import { decode } from ${JSON.stringify(source("../../src/node/images/decode.ts"))};
  (async () => {
    for (const name of ${JSON.stringify(pictures)}) {
      const { width, height } = await decode(readFileSync(name));
      console.log(name, width, height);
    }
  })();
`;

const PRINTED = "baseline-420.jpg 23 17\nycck-420.jpg 23 17\n";

/** The program with the pictures in it, as one file. */
async function embedded(name: string): Promise<string> {
  const read = (picture: string) => readFileSync(source(`../fixtures/jpeg/${picture}`)).toString("base64");
  const files = JSON.stringify(Object.fromEntries(pictures.map((picture) => [picture, read(picture)])));
  const contents = PROGRAM.replace('import { readFileSync } from "node:fs";', "").replace(
    "readFileSync(name)",
    `Uint8Array.from(atob(${files}[name]), (character) => character.charCodeAt(0))`,
  );
  const outfile = join(folder, name);
  const stdin = { contents, resolveDir: folder };
  await build({ stdin, bundle: true, platform: "node", format: "esm", outfile, logLevel: "error" });
  return outfile;
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "siglip-bundled-"));
  for (const name of pictures) copyFileSync(source(`../fixtures/jpeg/${name}`), join(folder, name));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a program bundled into one file and moved to another folder", () => {
  it.each<[Format, string]>([
    ["esm", "mjs"],
    ["cjs", "cjs"],
  ])("decodes JPEGs of both decoders, as %s", async (format, extension) => {
    const outfile = join(folder, `program.${extension}`);
    const stdin = { contents: PROGRAM, resolveDir: folder };
    await build({ stdin, bundle: true, platform: "node", format, outfile, logLevel: "error" });
    const printed = execFileSync(process.execPath, [outfile], { cwd: folder, encoding: "utf8" });
    expect(printed).toBe(PRINTED);
  });

  // What test/package installs for its own tests.
  const installed = (path: string) => source(`../package/node_modules/${path}`);
  const deno = installed(`@deno/${process.platform}-${process.arch}-glibc/deno`);
  const bun = installed(`@oven/bun-${process.platform}-${process.arch}-baseline/bin/bun`);

  it("decodes them in Deno without any permission", async ({ skip }) => {
    if (!existsSync(deno)) skip("Deno is not installed in test/package");
    const outfile = await embedded("deno.mjs");
    expect(execFileSync(deno, ["run", "--no-prompt", outfile], { cwd: folder, encoding: "utf8" })).toBe(PRINTED);
  });

  it("decodes them as a single executable of Bun", async ({ skip }) => {
    if (!existsSync(bun)) skip("Bun is not installed in test/package");
    const program = await embedded("bun.mjs");
    const outfile = join(folder, "executable");
    execFileSync(bun, ["build", "--compile", "--outfile", outfile, program], { cwd: folder, stdio: "pipe" });
    expect(execFileSync(outfile, { cwd: folder, encoding: "utf8" })).toBe(PRINTED);
  });
});
