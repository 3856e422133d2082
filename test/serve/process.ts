// `siglip serve` as a process of its own, and how it is asked.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** What the service is told to ask for. */
export const KEY = "a-key-of-the-tests";
export const headers = { "Content-Type": "application/json", Authorization: `Bearer ${KEY}` };

/** A running service. */
export interface Running {
  readonly url: string;
  readonly child: ChildProcess;
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
  /** All that it printed so far. */
  readonly output: () => string;
}

/** Starts the command line's sources on a free port, by a runtime and its flags. Rejects where it ends before it listens. */
export async function startService(
  [binary, ...flags]: readonly string[],
  args: readonly string[] = [],
): Promise<Running> {
  const run = [...flags, "src/cli/main.ts", "serve", "--port", "0", "--json", "--backend", "wasm", "--threads", "1"];
  const env = { ...process.env, SIGLIP_API_KEY: KEY };
  const child = spawn(binary, [...run, ...args], { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stderr.on("data", (text) => {
    output += text;
  });
  const ended = once(child, "exit").then(([code]) => code as number | null);
  let json = "";
  for await (const line of createInterface({ input: child.stdout })) {
    json += line;
    if (line === "}") break;
  }
  if (json === "") throw new Error(`the service ended with ${await ended}: ${output}`);
  output += json;
  return { url: JSON.parse(json).url, child, ended, output: () => output };
}

/** Asks for embeddings. */
export function embed(url: string, input: unknown, signal?: AbortSignal): Promise<Response> {
  return fetch(`${url}/v1/embeddings`, { method: "POST", headers, body: JSON.stringify({ input }), signal });
}

/** The value of a line of the metrics; NaN where there is none. */
export async function metric(url: string, series: string): Promise<number> {
  const lines = (await (await fetch(`${url}/metrics`)).text()).split("\n");
  return Number(lines.find((line) => line.startsWith(`${series} `))?.slice(series.length) ?? Number.NaN);
}
