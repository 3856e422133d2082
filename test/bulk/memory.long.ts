import { spawnSync } from "node:child_process";
import { linkSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PNG } from "pngjs";
import { afterAll, expect, it } from "vitest";
import { temporaryFolder } from "../harness/cli.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

/** A folder of small pictures, many by one content: what counts is how many there are. */
function paint(count: number, to: string): void {
  let content = "";
  for (let number = 0; number < count; number++) {
    const inner = join(to, `${Math.floor(number / 1000)}`);
    const path = join(inner, `${number}.png`);
    if (number % 1000 === 0) mkdirSync(inner, { recursive: true });
    if (number % 20_000 > 0) linkSync(content, path);
    else {
      writeFileSync(path, PNG.sync.write(new PNG({ width: 8, height: 8 })));
      content = path;
    }
  }
}

/** Bytes resident when a folder of so many has been embedded and written. */
function residentAfter(count: number): number {
  const photos = join(folder.path, `${count}`);
  paint(count, photos);
  const args = ["--import", "tsx", "test/bulk/memory-child.ts", photos, `${photos}.safetensors`];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  expect(stderr).toBe("");
  const { resident, made } = JSON.parse(stdout);
  expect(made).toBe(count);
  return resident;
}

it("100,000 files are embedded and written in the memory that 5,000 take, within 5%", () => {
  const [few, many] = [5000, 100_000].map(residentAfter);
  console.log(`5,000 files: ${few} bytes resident at the end; 100,000: ${many}`);
  expect(many).toBeLessThanOrEqual(few * 1.05);
});
