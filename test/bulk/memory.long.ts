import { spawnSync } from "node:child_process";
import { linkSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PNG } from "pngjs";
import { afterAll, expect, it } from "vitest";
import { temporaryFolder } from "../harness/cli.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

/** A folder of small pictures, many by one content: what counts is how many there are. */
function paint(count: number): void {
  let content = "";
  for (let number = 0; number < count; number++) {
    const inner = join(folder.path, "photos", `${Math.floor(number / 1000)}`);
    const path = join(inner, `${number}.png`);
    if (number % 1000 === 0) mkdirSync(inner, { recursive: true });
    if (number % 20_000 > 0) linkSync(content, path);
    else {
      writeFileSync(path, PNG.sync.write(new PNG({ width: 8, height: 8 })));
      content = path;
    }
  }
}

it("100,000 files are embedded in the memory that 5,000 take, within 5%", () => {
  paint(100_000);
  const child = ["--import", "tsx", "test/bulk/memory-child.ts", join(folder.path, "photos")];
  const { stdout, stderr } = spawnSync(process.execPath, [...child, join(folder.path, "out.safetensors"), "5000"], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  const { first, whole, made } = JSON.parse(stdout);
  console.log(`5,000 files: ${first.rss} bytes resident; 100,000: ${whole.rss}`);
  expect(made).toBe(100_000);
  expect(whole.rss).toBeLessThanOrEqual(first.rss * 1.05);
});
