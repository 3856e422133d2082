import type { Engine, Kind } from "./engine.ts";
import { Metrics, SECONDS, SIZES } from "./metrics.ts";

/** What the service counts of itself. */
export class Gauges {
  private readonly metrics = new Metrics();
  /** A request was answered, on a route with a status. */
  readonly requests = this.metrics.counter("siglip_requests_total", "Requests answered, by route and status.");
  /** A request was refused for lack of room, or while the service shuts down. */
  readonly rejected = this.metrics.counter("siglip_rejected_total", "Requests refused, by reason.");
  /** A client went away before its answer. */
  readonly cancelled = this.metrics.counter("siglip_cancelled_total", "Requests whose client went away.");
  /** Seconds from a request's head to its answer. */
  readonly latency = this.metrics.histogram("siglip_request_seconds", "Time to answer a request.", SECONDS);
  private readonly items = this.metrics.counter("siglip_items_total", "Pictures and texts embedded, by kind.");
  private readonly sizes = this.metrics.histogram("siglip_batch_size", "Items of a batch, by kind.", SIZES);
  private readonly times = this.metrics.histogram("siglip_batch_seconds", "Time that a batch took.", SECONDS);

  constructor() {
    this.rejected({ reason: "queue" }, 0);
    this.rejected({ reason: "draining" }, 0);
    this.cancelled({}, 0);
  }

  /** A batch ended. */
  batch(kind: Kind, size: number, seconds: number): void {
    this.items({ kind }, size);
    this.sizes(size, { kind });
    this.times(seconds, { kind });
  }

  /** What is asked for when the metrics are shown. */
  watch({ batchers }: Engine, open: () => number): void {
    const { image, text } = batchers;
    this.metrics.gauge("siglip_queue", "Items that wait, by kind.", () => [
      [{ kind: "image" }, image.waiting],
      [{ kind: "text" }, text.waiting],
    ]);
    this.metrics.gauge("siglip_open_requests", "Requests being answered.", () => [[{}, open()]]);
    const started = Date.now() / 1000;
    this.metrics.gauge("process_start_time_seconds", "When the process began to serve.", () => [[{}, started]]);
    const memory = () => [[{}, process.memoryUsage().rss]] as const;
    this.metrics.gauge("process_resident_memory_bytes", "Memory in use.", memory);
    this.metrics.gauge("siglip_heap_bytes", "JavaScript's heap and buffers, what may be collected included.", () => {
      const { heapUsed, external } = process.memoryUsage();
      return [[{}, heapUsed + external]];
    });
  }

  /** In Prometheus's text form. */
  text(): string {
    return this.metrics.text();
  }
}
