import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VectorIndex } from "../../src/node.ts";
import { siglip, temporaryFolder } from "../harness/cli.ts";

const folder = temporaryFolder();
afterAll(folder.remove);
const index = join(folder.path, "index.safetensors");

beforeAll(async () => {
  const made = new VectorIndex(144);
  const rows = new Float32Array(4 * 144);
  for (const [row, column] of [0, 1, 0, 2].entries()) rows[row * 144 + column] = 1;
  made.add(rows, ["a.jpg", "b.jpg", "a\x1b[31m.jpg", "c.jpg"]);
  await made.save(index);
});

describe("siglip dedupe", () => {
  it("shows groups, and names that steer no terminal", async () => {
    const [table, json] = await Promise.all([siglip(["dedupe", index]), siglip(["dedupe", index, "--json"])]);
    expect(table).toEqual({
      code: 0,
      stdout: `1.000  a.jpg\n1.000  a\\u001b[31m.jpg\n\n${index}: of 4 embeddings 2 are nearly the same as others, in 1 group.\n`,
      stderr: "",
    });
    expect(JSON.parse(json.stdout)).toEqual([
      [
        { index: 0, score: 1, name: "a.jpg" },
        { index: 2, score: 1, name: "a\x1b[31m.jpg" },
      ],
    ]);
  });
});
