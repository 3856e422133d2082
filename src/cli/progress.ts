import { SingleBar } from "cli-progress";
import { duration } from "../support/units.ts";
import { bar } from "./table.ts";

/** What lasts less than this needs no bar, in milliseconds. */
const PATIENCE = 600;

/** A bar at the bottom of the terminal that stderr is, and nothing anywhere else. An abort clears it at once. */
export class Progress {
  private readonly what: string;
  private readonly show: (count: number) => string;
  private readonly signal: AbortSignal;
  private readonly started = performance.now();
  private readonly timer: NodeJS.Timeout;
  private done = 0;
  private total = 0;
  private perSecond = 0;
  private shown: SingleBar | undefined;

  /** `show` puts an amount into words; a total of 0 is one that is not known. */
  constructor(what: string, signal: AbortSignal, total = 0, show: (count: number) => string = String) {
    this.what = what;
    this.signal = signal;
    this.total = total;
    this.show = show;
    this.timer = setTimeout(() => this.draw(), PATIENCE);
    signal.addEventListener("abort", this.stop);
  }

  /** `perSecond` is how fast it goes at present, where that is known better than by the mean so far. */
  update(done: number, total: number, perSecond = 0): void {
    this.done = done;
    this.total = total;
    this.perSecond = perSecond;
    if (performance.now() - this.started > PATIENCE) this.draw();
  }

  /** Clears the line for something else to be printed; the next update draws it again. */
  pause(): void {
    this.shown?.stop();
    this.shown = undefined;
  }

  readonly stop = (): void => {
    clearTimeout(this.timer);
    this.signal.removeEventListener("abort", this.stop);
    this.pause();
  };

  private draw(): void {
    if (this.shown || !process.stderr.isTTY || this.signal.aborted) return;
    // Three columns stay free, since the terminal's own ^C must not wrap: the line could then not be cleared.
    const format = (_options: unknown, { maxWidth }: { maxWidth: number }) => this.line(maxWidth - 3);
    this.shown = new SingleBar({ format, hideCursor: true, clearOnComplete: true, linewrap: true });
    this.shown.start(1, 0);
  }

  private line(room: number): string {
    const { done, total, what, show } = this;
    const seconds = (performance.now() - this.started) / 1000;
    const rate = this.perSecond ? `  ${show(rounded(this.perSecond))}/s` : "";
    if (total === 0) {
      const count = done === 0 ? "" : `  ${show(done)}${rate}`;
      return `${what}${count}  ${duration(seconds)}`.slice(0, room);
    }
    const speed = this.perSecond || done / seconds;
    const time = done === 0 ? duration(seconds) : `${duration((total - done) / speed)} left`;
    const text = `${show(done)} of ${show(total)}${rate}  ${time}`;
    const size = Math.min(30, room - what.length - text.length - 4);
    return (size < 4 ? `${what}  ${text}` : `${what}  ${bar(done / total, size, "░")}  ${text}`).slice(0, room);
  }
}

/** Slow rates are told by a digit more. */
function rounded(perSecond: number): number {
  return perSecond < 10 ? Math.round(perSecond * 10) / 10 : Math.round(perSecond);
}
