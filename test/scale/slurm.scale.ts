// The job array and the dependent merge of docs/scale.md on a real Slurm of three nodes.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { tallied } from "../harness/cases.ts";
import { COMMAND, makePictures, start } from "./command.ts";
import { missing, Slurm } from "./engines.ts";
import { rowsOf } from "./rows.ts";

const PICTURES = 1200;
const PER_SHARD = 200;

const noSlurm =
  missing(["slurmctld", "slurmd", "munged", "sbatch"], ["slurm-wlm", "munge"]) ??
  (process.getuid?.() === 0 ? undefined : "not root, as whom Slurm's daemons run");

let folder = "";
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "siglip-slurm-test-"));
  if (!noSlurm) makePictures(join(folder, "pictures"), PICTURES);
}, 600_000);
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The scripts that docs/scale.md shows under Slurm, in order. */
function scripts(): string[] {
  const text = readFileSync(new URL("../../docs/scale.md", import.meta.url), "utf8");
  const [, chapter] = /\n## Slurm\n(.*?)\n## /s.exec(text)!;
  return [...chapter.matchAll(/```sh\n(.*?)```/gs)].map(([, script]) => script);
}

describe("on Slurm", () => {
  tallied(
    "a job array and a merge that depends on it give what one machine gives",
    { backend: "wasm", precision: "f16", skip: noSlurm },
    async () => {
      await using slurm = await Slurm.start(3);
      const run = async (...words: string[]) => {
        const { code, errors } = await start(folder, words).ended;
        expect([code, errors]).toEqual([0, expect.anything()]);
      };
      await run("plan", "pictures", "--out", "manifest.jsonl", "--per-shard", `${PER_SHARD}`);
      await run("embed", "manifest.jsonl", "--out", "alone.safetensors", "--backend", "wasm");
      // As documented, but for the model, the number of shards and what `siglip` is.
      const siglip = join(folder, "siglip");
      writeFileSync(siglip, `#!/bin/sh\nexec '${process.execPath}' '${COMMAND}' "$@"\n`, { mode: 0o755 });
      const [array, merge] = scripts().map((script) =>
        script
          .replaceAll("siglip ", `${siglip} `)
          .replace("--array=0-499%64 --cpus-per-task=4", `--array=0-${PICTURES / PER_SHARD - 1}%64`)
          .replace("--model google/siglip-so400m-patch14-384", "--backend wasm --threads 1"),
      );
      mkdirSync(join(folder, "shards"));
      writeFileSync(join(folder, "embed.sh"), array);
      slurm.run("sh", "-c", `cd '${folder}' && ${merge}`);
      const wait = ["--wait", "--dependency=singleton", "--job-name=wrap", "--chdir", folder, "--wrap", "true"];
      slurm.run("sbatch", ...wait);
      const [merged, alone] = [
        await rowsOf(join(folder, "photos.parquet")),
        await rowsOf(join(folder, "alone.safetensors")),
      ];
      expect([merged.count, merged.rows.size, alone.count]).toEqual([PICTURES, PICTURES, PICTURES]);
      expect([...alone.rows].filter(([name, row]) => merged.rows.get(name) !== row)).toEqual([]);
      // Each node has done some of it, and none was lost.
      const hosts = slurm.run("scontrol", "show", "jobs", "--oneliner").match(/(?<=BatchHost=)\S+/g);
      expect([...new Set(hosts)].sort()).toEqual(["node1", "node2", "node3"]);
      expect(slurm.run("sinfo", "-h", "-o", "%T %D")).toBe("idle 3");
    },
  );
});
