import { mismatch } from "../../support/error.ts";

/** The packages that a queue is made of, which who needs one installs. */
export type BullMQ = typeof import("bullmq");

/** A server that keeps a queue, and how to leave it. */
export interface Connection {
  readonly bullmq: BullMQ;
  /** To be given to BullMQ, which leaves it open. */
  readonly redis: import("ioredis").Redis;
  close(): void;
}

/** How long a server may take to answer at first, in milliseconds. */
const PATIENCE = 10_000;

/**
 * Connects to a Redis by its URL. Rejects with a SiglipError where the packages are missing, the URL is none, or nobody
 * answers; once it has answered, a connection that is lost comes back by itself.
 */
export async function connect(url: string, patience = PATIENCE): Promise<Connection> {
  const place = placeOf(url);
  const [bullmq, { Redis }] = await Promise.all([import("bullmq"), import("ioredis")]).catch((cause) => {
    const advice = "run npm install bullmq ioredis";
    throw mismatch("unsupported", "a queue", "the packages bullmq and ioredis", "them missing", advice, cause);
  });
  let answered = false;
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: patience,
    maxRetriesPerRequest: null,
    // Who never answered is not waited for; who did is asked again, for as long as it takes.
    retryStrategy: (times) => (answered ? Math.min(2000, 100 * times) : null),
  });
  let told: string | undefined;
  redis.on("error", (error: Error) => {
    told = error.message || told;
  });
  // One that takes connections and says nothing, as while it is stopped, would be waited for.
  const timer = setTimeout(() => redis.disconnect(), patience);
  try {
    await redis.connect();
    await redis.ping();
    // Of a database that there is none of it tells, and goes on with another.
    if (told !== undefined) throw new Error(told);
    answered = true;
  } catch (cause) {
    redis.disconnect();
    if ((cause as Error).name === "ReplyError") told = (cause as Error).message;
    throw mismatch(
      "network",
      place,
      "a Redis that answers",
      told ?? "no answer",
      "check its address and whether it runs",
      cause,
    );
  } finally {
    clearTimeout(timer);
  }
  return { bullmq, redis, close: () => redis.disconnect() };
}

/** The URL without what is secret in it. */
function placeOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol === "redis:" || parsed?.protocol === "rediss:") return `${parsed.protocol}//${parsed.host}`;
  throw mismatch("bad-input", "--queue", "redis://host:port", parsed?.protocol ?? "no URL", "name a Redis by its URL");
}
