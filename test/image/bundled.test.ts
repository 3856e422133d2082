import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
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
    expect(printed).toBe("baseline-420.jpg 23 17\nycck-420.jpg 23 17\n");
  });
});
