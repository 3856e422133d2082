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

  const isRight = key === undefined ? undefined : keyChecker(key);

  /** Throws a Refusal where nothing is done for anybody any more, or not for who asks. */
  function admit(c: Context): void {
    if (drained) {
      gauges.rejected({ reason: "draining" });
      throw new Refusal(503, "The service is shutting down.", { code: "shutting_down", retryAfter: 5 });
    }
    if (!isRight || isRight(c.req.header("Authorization"))) return;
    const message = "Authorization: wanted Bearer and the service's key, found another or none; send that one.";
    throw new Refusal(401, message, { code: "invalid_api_key" });
  }

  /** Answers what stands under /v1/, and counts it. */
  async function answer(c: Context, route: string, run: () => Response | Promise<Response>): Promise<Response> {
    const start = performance.now();
    open++;
    let response: Response;
    try {
      admit(c);
      response = await run();
    } catch (error) {
      response = answerError(c, error);
    }
    open--;
    if (open === 0) drained?.();
    const { status } = response;
    gauges.requests({ route, status: `${status}` });
    gauges.latency((performance.now() - start) / 1000, { route });
    if (status === 429) gauges.rejected({ reason: "queue" });
    if (status === GONE) gauges.cancelled();
    return response;
  }

  /** Answers with what a request asks for, which may hold memory until then. */
  function answerFields(
    c: Context,
    route: string,
    run: (fields: Fields, signal: AbortSignal, share: Share) => Promise<unknown>,
  ): Promise<Response> {
    return answer(c, route, async () => {
      const { signal } = c.req.raw;
      const share = room.share();
      try {
        const bytes = await readBody(c.req.raw, options, share);
        const fields = await readFields(bytes, c.req.header("Content-Type") ?? null);
        return c.json(await run(fields, signal, share));
      } catch (error) {
        throw signal.aborted ? new Refusal(GONE, "The client went away.", { code: "gone" }) : error;
      } finally {
        share.free();
      }
    });
  }

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

  const app = new Hono();
  app.onError((error, c) => answerError(c, error));
  app.notFound((c) => {
    if (!c.req.path.startsWith("/v1/")) return answerError(c, notHere(c));
    return answer(c, "other", () => {
      throw notHere(c);
    });
  });
  if (origin !== undefined) app.use("/v1/*", cors({ origin, allowHeaders: ["Authorization", "Content-Type"] }));
  app.post("/v1/embeddings", (c) =>
    answerFields(c, "/v1/embeddings", async (fields, signal, share) => {
      const request = readEmbeddingsRequest(fields, model.dim, name, options);
      const rows = await engine.embed(request.inputs, signal, share);
      return embeddingsAnswer(rows, request, name, model.config);
    }),
  );
  app.post("/v1/classify", (c) =>
    answerFields(c, "/v1/classify", async (fields, signal, share) => {
      const { image, labels, templates } = readClassifyRequest(fields, model.config, name, options);
      const ranked = await engine.classify(image, labels, templates, signal, share);
      return { object: "classification", model: name, labels: ranked };
    }),
  );
  app.get("/v1/models", (c) =>
    answer(c, "/v1/models", () =>
      c.json({ object: "list", data: [{ id: name, object: "model", created: began, owned_by: "siglip" }] }),
    ),
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
