import { mismatch, type SiglipError } from "../support/error.ts";
import { sha256 } from "./sha256.ts";

/** One of the parts into which a source is split. */
export interface Shard {
  /** Which of them, from 0. */
  readonly index: number;
  /** How many there are. */
  readonly count: number;
}

/** A shard as it is asked for: of a manifest, which knows how many it has, the number alone will do. */
export interface AskedShard {
  readonly index: number;
  readonly count?: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads `3/100` (shard 3 of those numbered 0 to 99), `3` (of as many as a manifest has), `auto`, which takes what a
 * scheduler has put into the environment, and `auto/100`, which takes the number alone from there. Slurm's array counts
 * from its least task on, in even steps; an indexed job of Kubernetes gives a number and no count. Throws a SiglipError
 * for anything else.
 */
export function parseShard(text: string, env: Environment = process.env): AskedShard {
  const [, which, of] = /^(auto|\d{1,9})(?:\/(\d{1,9}))?$/.exec(text) ?? [];
  if (which === undefined) throw wrong("i/n with i from 0 to n - 1, such as 0/8, or auto", JSON.stringify(text));
  const count = of === undefined ? undefined : Number(of);
  const shard = which === "auto" ? scheduled(env, count) : { index: Number(which), count };
  if (shard.count === undefined || shard.index < shard.count) return shard;
  if (shard.count === 0) throw wrong("one shard or more", "0");
  throw wrong(`a number from 0 to ${shard.count - 1}`, `${shard.index}`);
}

function scheduled(env: Environment, count: number | undefined): AskedShard {
  const { SLURM_ARRAY_TASK_ID: task, JOB_COMPLETION_INDEX: job } = env;
  if (task !== undefined && task !== "") {
    const id = whole(env, "SLURM_ARRAY_TASK_ID");
    return count === undefined ? slurm(env, id) : { index: id, count };
  }
  if (job !== undefined && job !== "") return { index: whole(env, "JOB_COMPLETION_INDEX"), count };
  const wanted = "SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT, or JOB_COMPLETION_INDEX, in the environment";
  throw wrong(wanted, "none of them", "run it as an array of tasks, or pass i/n");
}

function slurm(env: Environment, id: number): Shard {
  const count = whole(env, "SLURM_ARRAY_TASK_COUNT");
  const first = env.SLURM_ARRAY_TASK_MIN ? whole(env, "SLURM_ARRAY_TASK_MIN") : 0;
  const step = env.SLURM_ARRAY_TASK_STEP ? whole(env, "SLURM_ARRAY_TASK_STEP") : 1;
  const index = (id - first) / step;
  const last = env.SLURM_ARRAY_TASK_MAX ? whole(env, "SLURM_ARRAY_TASK_MAX") : first + (count - 1) * step;
  // A step past the last task is no task: --array=0-9:4 has 0, 4 and 8.
  const even = Math.floor((last - first) / step) + 1 === count;
  if (even && Number.isInteger(index) && index >= 0 && index < count) return { index, count };
  const found = `task ${id} of ${count} from ${first} to ${last} by ${step}`;
  throw wrong("Slurm's tasks in even steps", found, "pass i/n, such as --shard $SLURM_ARRAY_TASK_ID/100");
}

function whole(env: Environment, name: string): number {
  const text = env[name] ?? "";
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw wrong(`a whole number in ${name}`, text === "" ? "none" : JSON.stringify(text), "pass i/n");
}

function wrong(wanted: string, found: string, advice = "correct it"): SiglipError {
  return mismatch("bad-input", "--shard", wanted, found, advice);
}

/**
 * Whether a name lies in a shard. The same on every machine and whatever else is there: the first 48 bits of the
 * SHA-256 of the name in UTF-8, modulo the number of shards.
 */
export function isInShard(name: string, { index, count }: Shard): boolean {
  return Buffer.from(sha256(name), "latin1").readUIntBE(0, 6) % count === index;
}

/** A shard as files say which one they are, `3 of 100`, under the key `shard` of their origin. */
export function showShard({ index, count }: Shard): string {
  return `${index} of ${count}`;
}

/** What `showShard` wrote; undefined for anything else. */
export function readShard(text: string | undefined): Shard | undefined {
  const [, index, count] = /^(\d{1,9}) of (\d{1,9})$/.exec(text ?? "")?.map(Number) ?? [];
  return index < count ? { index, count } : undefined;
}
