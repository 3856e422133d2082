import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PNG } from "pngjs";
import { afterAll, expect, it } from "vitest";
import { CLI, siglip, temporaryFolder } from "../harness/cli.ts";

const folder = temporaryFolder();
afterAll(folder.remove);
const at = (name: string) => join(folder.path, name);

/** Writes a picture of one colour of its own. */
function paint(number: number, shade: number): void {
  const png = new PNG({ width: 24, height: 16 });
  for (let at = 0; at < png.data.length; at++) png.data[at] = at % 4 === 3 ? 255 : (number * 31 + at * shade) % 256;
  writeFileSync(at(`photos/${number}.png`), PNG.sync.write(png));
}

it("siglip embed gives the same bytes however often it is killed, also when pictures change meanwhile", async () => {
  mkdirSync(at("photos"));
  for (let number = 0; number < 300; number++) paint(number, 7);
  const args = (out: string) => ["embed", at("photos"), "--text", "a cat", "--backend", "wasm", "--out", at(out)];
  const clean = async (out: string) => {
    const { code, stderr } = await siglip(args(out));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return readFileSync(at(out));
  };
  const began = performance.now();
  const first = await clean("whole.safetensors");
  const time = performance.now() - began;
  const begun = () => readdirSync(folder.path).some((name) => name.startsWith("killed.safetensors."));
  let killed = 0;
  for (const change of [false, true]) {
    let expected = first;
    if (change) {
      for (let number = 0; number < 300; number += 3) paint(number, 11);
      for (let number = 1; number < 300; number += 30) unlinkSync(at(`photos/${number}.png`));
      utimesSync(at("photos/2.png"), 1000, 1000);
      expected = await clean("changed.safetensors");
    }
    for (let [done, tries] = [false, 0]; !done; tries++) {
      const [program, ...words] = [...CLI, ...args("killed.safetensors")];
      const child = spawn(program, words, { stdio: "ignore" });
      // As soon as something is on the disk, and then anywhere; loading takes most of the time.
      const kill = () => child.kill("SIGKILL");
      const timer =
        tries === 0 ? setInterval(() => begun() && kill(), 1) : setTimeout(kill, time * (0.3 + 0.7 * Math.random()));
      const code = await new Promise((resolve) => child.on("close", resolve));
      clearTimeout(timer);
      const found = existsSync(at("killed.safetensors")) ? readFileSync(at("killed.safetensors")) : undefined;
      if (!found?.equals(expected)) expect(found).toEqual(change ? first : undefined);
      if (code === null) killed++;
      else expect(code).toBe(0);
      done = code === 0;
    }
    expect(readFileSync(at("killed.safetensors")).equals(expected)).toBe(true);
    expect(readdirSync(folder.path).filter((name) => name.startsWith("killed") || name.startsWith("."))).toEqual([
      "killed.safetensors",
    ]);
  }
  expect(killed).toBeGreaterThanOrEqual(2);
  const again = await siglip([...args("killed.safetensors"), "--json"]);
  expect(JSON.parse(again.stdout)).toMatchObject({ images: 290, texts: 1, made: 0, kept: 291, written: false });
  expect(JSON.parse(again.stdout)).not.toHaveProperty("backend");
  const other = await siglip([...args("killed.safetensors"), "--dtype", "q8"]);
  expect(other.stderr).toMatch(/wanted embeddings of dtype q8, found f16; choose another name, or --overwrite\.\n$/);
});

it("siglip embed - --out - answers stdin's lines in order, and names a failure by its exit code", async () => {
  const demo = "weights/demo/examples";
  const input = `${demo}/plane.jpg\n{"text":"2 cats","id":7}\nnowhere.jpg\n{"image":"${demo}/plane.jpg","id":"b"}\n`;
  const { code, stdout, stderr } = await siglip(["embed", "-", "--out", "-", "--backend", "wasm"], { input });
  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ id, name }) => id ?? name)).toEqual([`${demo}/plane.jpg`, 7, "nowhere.jpg", "b"]);
  expect(lines[0].embedding).toEqual(lines[3].embedding);
  expect(lines[2].error).toMatch(/no such file/);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^siglip: stdin: wanted embeddings of all 4, found 3, /);
});
