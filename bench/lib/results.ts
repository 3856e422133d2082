import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { arch, cpus, loadavg, platform, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import type { Adapter } from "./device.ts";

/** Where a figure comes from. */
export interface Environment {
  readonly date: string;
  readonly commit: string;
  /** The working tree differed from the commit. */
  readonly dirty: boolean;
  readonly runtime: string;
  /** Of npm's `webgpu`, which is Dawn. */
  readonly webgpu: string;
  readonly os: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memory: number;
  /** The load average of the last minute when this was asked: more than one process of ours means others at work. */
  readonly busy: number;
}

/** A file of bench/results. */
export interface Result<Row> {
  readonly bench: string;
  readonly adapter: Adapter | undefined;
  readonly environment: Environment;
  readonly rows: readonly Row[];
}

const FOLDER = fileURLToPath(new URL("../results/", import.meta.url));

/** What git answers, or undefined where there is no repository: a copy of the tree then says its commit in SIGLIP_COMMIT. */
function git(...args: string[]): string | undefined {
  try {
    return execFileSync("git", args, { cwd: FOLDER, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined;
  }
}

/** This machine, now. */
export function environment(): Environment {
  const { version } = createRequire(import.meta.url)("webgpu/package.json") as { version: string };
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: git("rev-parse", "HEAD") ?? process.env.SIGLIP_COMMIT ?? "unknown",
    // Results themselves do not count: every bench writes one.
    dirty: Boolean(git("status", "--porcelain", "--", ":/", ":!/bench/results")),
    runtime: `Node ${process.versions.node}`,
    webgpu: version,
    os: `${platform()} ${release()} ${arch()}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memory: totalmem(),
    busy: loadavg()[0],
  };
}

/** What was measured on, as a part of a file name: "nvidia-h200", "swiftshader-device-subzero"; without an adapter "amd-epyc-node-24". */
function slug(adapter: Adapter | undefined, { cpu, runtime }: Environment): string {
  if (!adapter) return fileName(`${cpu} ${runtime.split(".")[0]}`);
  const portable = adapter.portable ? " portable" : "";
  return fileName(`${adapter.device || adapter.description || `${adapter.vendor} ${adapter.architecture}`}${portable}`);
}

/** A name as it can stand in a file name. */
export function fileName(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
}

/** Writes bench/results/<bench>-<adapter or processor>.json and returns its path. */
export function writeResult<Row>(result: Result<Row>): string {
  mkdirSync(FOLDER, { recursive: true });
  const file = `${FOLDER}${result.bench}-${slug(result.adapter, result.environment)}.json`;
  const { rows, ...head } = result;
  // One row a line keeps differences readable.
  const lines = rows.map((row) => `    ${JSON.stringify(row)}`).join(",\n");
  writeFileSync(file, `${JSON.stringify(head, null, 2).slice(0, -2)},\n  "rows": [\n${lines}\n  ]\n}\n`);
  return file;
}

/** All results of one bench, by file name. */
export function readResults<R>(bench: string): R[] {
  const files = readdirSync(FOLDER).filter((name) => name.startsWith(`${bench}-`) && name.endsWith(".json"));
  return files.sort().map((name) => JSON.parse(readFileSync(FOLDER + name, "utf8")) as R);
}
