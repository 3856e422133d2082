import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Siglip } from "../node.ts";
import type { Service } from "../serve/service.ts";
import { SiglipError } from "../support/error.ts";
import { addCalibrationOption } from "./calibration.ts";
import { addModelOption, addRunOptions, openModel, type RunOptions } from "./model.ts";
import { parseSize, parseTime } from "./quantities.ts";
import { plain, print, printJson, tell } from "./terminal.ts";

interface ServeOptions extends RunOptions {
  readonly port: number;
  readonly host: string;
  /** What clients call the model. */
  readonly name?: string;
  readonly batch?: number;
  readonly maxWait: number;
  readonly maxQueue: number;
  readonly maxItems: number;
  readonly maxBody: number;
  readonly bodyTime: number;
  readonly keepAlive: number;
  readonly drain: number;
  readonly allowUrls?: boolean;
  readonly cors?: string;
}

/** Bodies as large as the largest that are held at a time. */
const HELD = 8;
/** Most pixels of a picture, unless --max-pixels says otherwise: 150 MB when it is decoded. */
const PIXELS = 50_000_000;

/** `siglip serve`: embeddings and classification over HTTP. */
export function addServe(program: Command, signal: AbortSignal): void {
  const command = program
    .command("serve")
    .description("Serve embeddings over HTTP, in the form that OpenAI's clients speak.")
    .option("--port <n>", "to listen at; 0 for a free one", parsePort, 8000)
    .option("--host <name>", "to listen at; 0.0.0.0 for every network of this machine", "127.0.0.1")
    .option("--name <name>", "what clients call the model (default: the model's own)")
    .option("--batch <n>", "most pictures, and texts, of a batch (default: what suits the device)", parseCount)
    .addOption(quantity("--max-wait <time>", "that a request waits for others to share a batch with", parseTime, "5ms"))
    .option("--max-queue <n>", "pictures, and texts, that wait; more are told to come back (429)", parseCount, 2048)
    .option("--max-items <n>", "pictures and texts of a request", parseCount, 1024)
    .addOption(quantity("--max-body <size>", "of a request", parseSize, "64MiB"))
    .addOption(quantity("--body-time <time>", "in which a request's body has to come", parseTime, "1min"))
    .addOption(quantity("--keep-alive <time>", "that a connection without requests is kept", parseTime, "1min"))
    .addOption(
      quantity("--drain <time>", "for what is being answered when the service is told to stop", parseTime, "30s"),
    )
    .option("--allow-urls", "fetch pictures named by a URL, from public addresses only")
    .option("--cors <origin>", "let the pages of this origin ask; * for all", parseOrigin);
  addRunOptions(addModelOption(addCalibrationOption(command)), `${PIXELS}`).addHelpText(
    "after",
    `
  POST /v1/embeddings  { model, input, encoding_format }: texts, data URLs,
                       { "image": "<base64>" }; or multipart/form-data
  POST /v1/classify    { image, labels, templates }
  GET  /v1/models, /health, /metrics (Prometheus)

The variable SIGLIP_API_KEY, if it is set, is what clients have to send as
"Authorization: Bearer …". Times are as 5ms, 2s or 1min, sizes as 64MiB or 10MB.
SIGTERM and Ctrl-C let what is being answered end; a second one ends at once.

Example: siglip serve --model google/siglip-base-patch16-224
         curl localhost:8000/v1/embeddings \\
           -H "Content-Type: application/json" \\
           -d '{ "input": "a photo of 2 cats" }'`,
  );
  command.action((options: ServeOptions) => {
    const { maxItems, maxQueue } = options;
    if (maxItems > maxQueue) {
      const found = `${maxItems} of a queue of ${maxQueue}`;
      command.error(`error: wanted --max-items that the queue has room for, found ${found}; raise --max-queue`);
    }
    const key = process.env.SIGLIP_API_KEY;
    if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) {
      command.error("error: wanted a key of printable characters in SIGLIP_API_KEY, found none; set or unset it");
    }
    return serve(options, key, signal);
  });
}

/** An option whose default stands in the help as one would type it. */
function quantity(flags: string, what: string, parse: (text: string) => number, standard: string): Option {
  return new Option(flags, what).argParser(parse).default(parse(standard), standard);
}

function parseCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1) return count;
  throw new InvalidArgumentError("Wanted a whole number from 1.");
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65535) return port;
  throw new InvalidArgumentError("Wanted a port, 0 to 65535.");
}

/** As browsers send it: a path or a slash at the end would let nobody in. */
function parseOrigin(text: string): string {
  if (text === "*" || /^[a-z][a-z\d+.-]*:\/\/[^\s/?#@]+$/i.test(text)) return text;
  throw new InvalidArgumentError("Wanted an origin such as https://example.com, without a path, or *.");
}

async function serve(options: ServeOptions, key: string | undefined, signal: AbortSignal): Promise<void> {
  const [{ createService }, { listen }] = await Promise.all([
    import("../serve/service.ts"),
    import("../serve/listen.ts"),
  ]);
  // A signal ends the loading, but not what is being answered later.
  const loading = new AbortController();
  const stop = () => loading.abort();
  signal.addEventListener("abort", stop);
  const model = await openModel({ maxPixels: PIXELS, ...options }, undefined, loading.signal);
  try {
    await warmUp(model, loading.signal);
    signal.removeEventListener("abort", stop);
    const { name = nameOf(options.model), cors: origin, allowUrls = false } = options;
    const maxHeld = HELD * options.maxBody;
    const service = createService(model, { ...options, name, key, origin, allowUrls, maxHeld, onFault });
    const server = await listen((request) => service.fetch(request), options);
    report(server.url, name, model, options);
    if (!key && !isLoopback(options.host)) {
      tell(`anybody who reaches ${options.host} may use this service; set SIGLIP_API_KEY to ask for a key.`);
    }
    await aborted(signal);
    await drain(service, options.drain);
    await server.close();
    process.exitCode = 0;
  } finally {
    model.dispose();
  }
}

/** Compiles and starts what the first request would wait for. */
async function warmUp(model: Siglip, signal: AbortSignal): Promise<void> {
  const { towers, vision } = model.config;
  if (towers.includes("text")) await model.embedTexts(["a photo"], { signal });
  const picture = { width: 1, height: 1, data: new Uint8Array(3) };
  if (towers.includes("image") && vision.head) await model.embedImages([picture], { signal });
}

async function drain(service: Service, most: number): Promise<void> {
  tell("shutting down; what is being answered is let end.");
  const late = new AbortController();
  const done = service.drain().finally(() => late.abort());
  const timer = sleep(most, undefined, { signal: late.signal }).then(
    () => tell("not all was answered in time."),
    () => {},
  );
  await Promise.race([done, timer]);
}

/** Of a folder or a URL the last part, so that nobody is told where it lies. */
function nameOf(model: string): string {
  if (/^[\w.-]+\/[\w.-]+(@\S+)?$/.test(model)) return model;
  return (
    model
      .replace(/[?#].*$/, "")
      .replace(/[/\\]+$/, "")
      .split(/[/\\]/)
      .pop() || "model"
  );
}

function report(url: string, name: string, { device, dim }: Siglip, { json }: ServeOptions): void {
  if (json) printJson({ url, model: name, dim, ...device });
  else print(`${url}: ${plain(name)}, ${dim} values each, on ${device.backend} with ${device.dtype} weights.`);
}

function onFault(error: unknown): void {
  const { message, stack = message } = error as Error;
  tell(error instanceof SiglipError ? message : `${stack} (this is a bug of siglip, please report it)`);
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\./.test(host);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
