// Real engines for the tests of scale: a Redis and a Slurm of their own, in a temporary folder, on ports of this machine.

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../harness/free-port.ts";

/** Where Debian puts daemons. */
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

function has(program: string): boolean {
  return PATH.split(":").some((folder) => existsSync(join(folder, program)));
}

/**
 * Why an engine cannot be had, or undefined: on Debian as root its packages are installed, which is said; elsewhere it
 * has to be there.
 */
export function missing(programs: readonly string[], packages: readonly string[]): string | undefined {
  if (programs.every(has)) return undefined;
  const reason = `${packages.join(", ")} not installed`;
  if (process.getuid?.() !== 0 || !has("apt-get")) return `${reason}, and not root on Debian to install them`;
  console.log(`installing ${packages.join(", ")}`);
  const env = { ...process.env, PATH, DEBIAN_FRONTEND: "noninteractive" };
  for (const words of [
    ["update", "-qq"],
    ["install", "-y", "-qq", "--no-install-recommends", ...packages],
  ]) {
    spawnSync("apt-get", words, { env, timeout: 600_000 });
  }
  return programs.every(has) ? undefined : reason;
}

/** A folder that goes with its engine. */
function temporary(name: string): string {
  return mkdtempSync(join(tmpdir(), `siglip-${name}-`));
}

async function until(what: string, ready: () => boolean, log: () => string): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (ready()) return;
    await sleep(100);
  }
  throw new Error(`${what} did not start: ${log()}`);
}

/** A Redis that keeps what it was told through a restart. */
export class Redis {
  readonly url: string;
  private readonly folder = temporary("redis");
  private readonly port: number;
  private process: ChildProcess | undefined;

  private constructor(port: number) {
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
  }

  static async start(): Promise<Redis> {
    const redis = new Redis(await freePort());
    await redis.up();
    return redis;
  }

  async up(): Promise<void> {
    const words = ["--port", `${this.port}`, "--bind", "127.0.0.1", "--dir", this.folder];
    words.push("--appendonly", "yes", "--save", "");
    this.process = spawn("redis-server", words, { stdio: "ignore", env: { ...process.env, PATH } });
    await until(
      "redis-server",
      () => this.ask("ping") === "PONG",
      () => "",
    );
    await until(
      "redis-server",
      () => !this.ask("info", "persistence").includes("loading:1"),
      () => "",
    );
  }

  /** Ends it as a machine ends that is restarted. */
  async down(): Promise<void> {
    const { process } = this;
    const ended = new Promise((resolve) => process?.once("close", resolve));
    process?.kill("SIGTERM");
    if (process) await ended;
  }

  private ask(...words: string[]): string {
    return spawnSync("redis-cli", ["-p", `${this.port}`, ...words], { encoding: "utf8" }).stdout?.trim() ?? "";
  }

  async [Symbol.asyncDispose]() {
    await this.down();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A Slurm of one controller and several nodes, all of this machine. */
export class Slurm {
  private readonly folder = temporary("slurm");
  private readonly daemons: string[] = [];

  static async start(nodes: number): Promise<Slurm> {
    const slurm = new Slurm();
    try {
      await slurm.up(nodes);
      return slurm;
    } catch (error) {
      await slurm[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs one of Slurm's commands and gives what it prints. */
  run(program: string, ...words: string[]): string {
    return execFileSync(program, words, { env: this.env, encoding: "utf8" }).trim();
  }

  private get env() {
    return { ...process.env, PATH, SLURM_CONF: join(this.folder, "slurm.conf") };
  }

  private async up(nodes: number): Promise<void> {
    const { folder, daemons } = this;
    for (const part of ["run", "state", "log", "spool"]) mkdirSync(join(folder, part));
    const socket = join(folder, "run/munge.sock");
    const key = join(folder, "munge.key");
    writeFileSync(key, randomBytes(1024), { mode: 0o400 });
    const [controller, first] = [await freePort(), await freePort()];
    const host = hostname().split(".")[0];
    const names = Array.from({ length: nodes }, (_, index) => `node${index + 1}`);
    const ports = [first];
    while (ports.length < nodes) ports.push(await freePort());
    const lines = [
      "ClusterName=test",
      `SlurmctldHost=${host}(127.0.0.1)`,
      `SlurmctldPort=${controller}`,
      "AuthType=auth/munge",
      `AuthInfo=socket=${socket}`,
      "CredType=cred/munge",
      "SlurmUser=root",
      "SlurmdUser=root",
      `StateSaveLocation=${folder}/state`,
      `SlurmdSpoolDir=${folder}/spool/%n`,
      `SlurmctldPidFile=${folder}/run/slurmctld.pid`,
      `SlurmdPidFile=${folder}/run/slurmd-%n.pid`,
      `SlurmctldLogFile=${folder}/log/slurmctld.log`,
      `SlurmdLogFile=${folder}/log/slurmd-%n.log`,
      "ProctrackType=proctrack/pgid",
      "TaskPlugin=task/none",
      "SelectType=select/cons_tres",
      "SelectTypeParameters=CR_CPU",
      "JobAcctGatherType=jobacct_gather/none",
      "AccountingStorageType=accounting_storage/none",
      "MpiDefault=none",
      "ReturnToService=2",
      ...names.map(
        (name, index) =>
          `NodeName=${name} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${ports[index]} CPUs=1 RealMemory=1000`,
      ),
      "PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
    ];
    writeFileSync(join(folder, "slurm.conf"), `${lines.join("\n")}\n`);
    for (const name of names) mkdirSync(join(folder, "spool", name));
    const options = ["--force", `--key-file=${key}`, `--socket=${socket}`, `--seed-file=${folder}/run/seed`];
    options.push(`--pid-file=${folder}/run/munged.pid`, `--log-file=${folder}/log/munged.log`);
    this.run("munged", ...options);
    daemons.push("munged");
    this.run("slurmctld", "-f", join(folder, "slurm.conf"));
    daemons.push("slurmctld");
    for (const name of names) {
      this.run("slurmd", "-N", name, "-f", join(folder, "slurm.conf"));
      daemons.push(`slurmd-${name}`);
    }
    const idle = () => {
      const { stdout } = spawnSync("sinfo", ["-h", "-o", "%T %D"], { env: this.env, encoding: "utf8" });
      return stdout?.trim() === `idle ${nodes}`;
    };
    const log = () => readFileSync(join(folder, "log/slurmctld.log"), "utf8").slice(-2000);
    await until("Slurm", idle, log);
  }

  async [Symbol.asyncDispose]() {
    for (const daemon of this.daemons.reverse()) {
      const file = join(this.folder, "run", `${daemon}.pid`);
      if (!existsSync(file)) continue;
      try {
        process.kill(Number(readFileSync(file, "utf8")), "SIGTERM");
      } catch {}
    }
    await sleep(500);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
