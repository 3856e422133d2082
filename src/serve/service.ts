import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import type { NodeImage } from "../node/platform.ts";
import type { Siglip } from "../siglip/siglip.ts";
import { type BodyLimits, readBody } from "./body.ts";
import { readClassifyRequest } from "./classify.ts";
import { embeddingsAnswer, readEmbeddingsRequest } from "./embeddings.ts";
import { Engine, type EngineOptions } from "./engine.ts";
import { type Fields, readFields } from "./form.ts";
import { Gauges } from "./gauges.ts";
import type { InputLimits } from "./input.ts";
import { keyChecker } from "./key.ts";
import { bad, Refusal, toRefusal } from "./refusal.ts";
import { Room, type Share } from "./room.ts";
import { pictureFetcher } from "./urls.ts";

/** How a service works. */
export interface ServiceOptions
  extends Pick<EngineOptions, "batch" | "maxWait" | "maxQueue" | "fetcher">,
    BodyLimits,
    InputLimits {
  /** What the model is called. */
  readonly name: string;
  /** Bytes of bodies that are held at a time. */
  readonly maxHeld: number;
  /** What clients have to show as `Authorization: Bearer …`. */
  readonly key?: string;
  /** The origin whose pages may ask, or "*". */
  readonly origin?: string;
  /** Told of faults of the service itself; never of what a request holds. */
  readonly onFault?: (error: unknown) => void;
}

/** Most bytes of a picture named by a URL. */
const MOST_FETCHED = 2 ** 24;
/** The status of requests whose client went away, of which only the metrics tell. */
const GONE = 499;

/** A service without its socket. */
export interface Service {
  /** Answers one request. */
  fetch(request: Request): Response | Promise<Response>;
  /** From now on every request is refused; resolves when those before it have been answered. */
  drain(): Promise<void>;
}

/** The service of a model: its routes, queues and metrics. */
export function createService(model: Siglip<NodeImage>, options: ServiceOptions): Service {
  const { name, key, origin, onFault } = options;
  const began = Math.floor(Date.now() / 1000);
  const room = new Room(options.maxHeld);
  const gauges = new Gauges();
  const limit = Math.min(MOST_FETCHED, options.maxBody);
  const fetcher = options.fetcher ?? pictureFetcher({ limit, time: 30_000 });
  const engine = new Engine(model, {
    ...options,
    fetcher,
    onBatch: (kind, size, seconds) => gauges.batch(kind, size, seconds),
  });
  let open = 0;
  let drained: (() => void) | undefined;
  gauges.watch(engine, () => open);

  const app = new Hono();
  app.onError((error, c) => answerError(c, error));
  app.notFound((c) => answerError(c, notHere(c)));
  if (origin !== undefined) app.use("/v1/*", cors({ origin, allowHeaders: ["Authorization", "Content-Type"] }));
  app.use("/v1/*", async (c, next) => {
    const start = performance.now();
    open++;
    try {
      await next();
    } finally {
      open--;
      if (open === 0) drained?.();
      const route = ROUTES.includes(c.req.path) ? c.req.path : "other";
      gauges.requests({ route, status: `${c.res.status}` });
      gauges.latency((performance.now() - start) / 1000, { route });
      if (c.res.status === 429) gauges.rejected({ reason: "queue" });
      if (c.res.status === GONE) gauges.cancelled();
    }
  });
  app.use("/v1/*", async (_, next) => {
    if (!drained) return next();
    gauges.rejected({ reason: "draining" });
    throw new Refusal(503, "The service is shutting down.", { code: "shutting_down", retryAfter: 5 });
  });
  if (key !== undefined) {
    const isRight = keyChecker(key);
    app.use("/v1/*", async (c, next) => {
      if (isRight(c.req.header("Authorization"))) return next();
      const message = "Authorization: wanted Bearer and the service's key, found another or none; send that one.";
      throw new Refusal(401, message, { code: "invalid_api_key" });
    });
  }

  /** Runs what a request asks for, with what it may hold until it is answered. */
  async function withFields(
    c: Context,
    run: (fields: Fields, signal: AbortSignal, share: Share) => Promise<Response>,
  ): Promise<Response> {
    const gone = new AbortController();
    const leave = () => gone.abort(new Refusal(GONE, "The client went away.", { code: "gone" }));
    const { signal } = c.req.raw;
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave);
    const share = room.share();
    try {
      const bytes = await readBody(c.req.raw, options, share);
      return await run(await readFields(bytes, c.req.header("Content-Type") ?? null), gone.signal, share);
    } catch (error) {
      throw gone.signal.aborted ? gone.signal.reason : error;
    } finally {
      // Deno aborts it after every answer too.
      signal.removeEventListener("abort", leave);
      share.free();
    }
  }

  app.post("/v1/embeddings", (c) =>
    withFields(c, async (fields, signal, share) => {
      const request = readEmbeddingsRequest(fields, model.dim, name, options);
      const rows = await engine.embed(request.inputs, signal, share);
      return c.json(embeddingsAnswer(rows, request, name, model.config));
    }),
  );
  app.post("/v1/classify", (c) =>
    withFields(c, async (fields, signal, share) => {
      const { image, labels, templates } = readClassifyRequest(fields, model.config, name, options);
      const ranked = await engine.classify(image, labels, templates, signal, share);
      return c.json({ object: "classification", model: name, labels: ranked });
    }),
  );
  app.get("/v1/models", (c) =>
    c.json({ object: "list", data: [{ id: name, object: "model", created: began, owned_by: "siglip" }] }),
  );
  app.get("/health", (c) => {
    const { backend, dtype } = model.device;
    return c.json(
      { status: drained ? "draining" : "ok", model: name, dim: model.dim, backend, dtype },
      drained ? 503 : 200,
    );
  });
  app.get("/metrics", (c) =>
    c.text(gauges.text(), 200, { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" }),
  );

  function answerError(c: Context, error: unknown): Response {
    const param = c.req.path === "/v1/classify" ? "image" : "input";
    const refusal = toRefusal(error, param);
    if (!refusal) onFault?.(error);
    const { status, body, retryAfter } =
      refusal ?? new Refusal(500, "The service failed; its own log says why.", { code: "internal_error" });
    const headers = new Headers({ "Content-Type": "application/json" });
    if (retryAfter !== undefined) headers.set("Retry-After", `${retryAfter}`);
    if (status === 401) headers.set("WWW-Authenticate", "Bearer");
    // What was not read of the body would be taken for the next request.
    if (status === 413 || status === 408 || drained) headers.set("Connection", "close");
    return new Response(JSON.stringify(body), { status, headers });
  }

  return {
    fetch: (request) => app.fetch(request),
    drain: () =>
      new Promise((resolve) => {
        drained = resolve;
        if (open === 0) resolve();
      }),
  };
}

function notHere({ req: { method, path } }: Context): Refusal {
  const found = `${method} ${JSON.stringify(path.slice(0, 100))}`;
  const { message } = bad("path", "one of this service's", found, "see siglip serve --help");
  return new Refusal(404, message, { code: "not_found" });
}

/** Paths that the metrics tell apart. */
const ROUTES = ["/v1/embeddings", "/v1/classify", "/v1/models"];
