import { type Choices, choose, clock, decode, type Trial } from "./choose.ts";
import type { Staging } from "./staging.ts";
import { type Dispatch, type Step, step, type Variant } from "./steps.ts";

/** How much of a result is compared in a trial, from its beginning and from its end. */
const COMPARED = 16384;

/** Operations of one call in a trial: a fraction of a second on the weakest GPU, a picture's worth on any. */
const TRIED = 8e9;

/** Milliseconds that the plain form takes in a trial where there is work for that: the others are to fill a large GPU, too. */
const PLAIN = 8;

/** How many times TRIED a trial is at most, whatever a clock says. */
const MOST = 16;

/** Which way a dispatch is done: chosen once by a trial on the device, on the real buffers, and then kept. */
export class Trials {
  /** Those of this session, by key. */
  readonly trials = new Map<string, readonly Trial[]>();
  private readonly choices: Choices;
  private readonly device: GPUDevice;
  private readonly staging: Staging;
  private readonly submit: (steps: readonly Step[]) => Promise<void>;

  /** `choices` may be filled beforehand. */
  constructor(
    choices: Choices,
    device: GPUDevice,
    staging: Staging,
    submit: (steps: readonly Step[]) => Promise<void>,
  ) {
    this.choices = choices;
    this.device = device;
    this.staging = staging;
    this.submit = submit;
  }

  /** The variant chosen for a dispatch, if one is, and if the runtime takes it. */
  async chosen({ variants, key }: Dispatch): Promise<Variant | undefined> {
    const name = this.choices.get(key);
    const found = variants.find((variant) => variant.name === name);
    return found && (await compiles(found)) ? found : undefined;
  }

  /** Starts to compile what a dispatch will want: the variant chosen, or else all, at the same time. */
  prepare({ variants, key }: Dispatch): void {
    const name = this.choices.get(key);
    const chosen = variants.filter((variant) => variant.name === name);
    for (const { pipeline } of chosen.length > 0 ? chosen : variants) pipeline();
  }

  /** Runs every variant of a dispatch where it stands, which changes nothing but its result. */
  async hold(whole: Dispatch, signal?: AbortSignal): Promise<void> {
    const able: Variant[] = [];
    for (const { pipeline } of whole.variants) pipeline();
    for (const variant of whole.variants) if (able.length === 0 || (await compiles(variant))) able.push(variant);
    const names = able.map(({ name }) => name);
    const run = async (dispatch: Dispatch, name: string, calls: number) => {
      signal?.throwIfAborted();
      // A way that writes nothing must not be taken for one that repeats what stood there.
      const clear = { kind: "clear", buffer: dispatch.buffers.at(-1)!, bytes: dispatch.result.bytes } as const;
      const variant = dispatch.variants.find((variant) => variant.name === name)!;
      await this.submit([clear, ...new Array<Step>(calls).fill(step(dispatch, variant))]);
      await this.device.queue.onSubmittedWorkDone();
    };
    let dispatch = whole.part?.(TRIED) ?? whole;
    if (dispatch.work < whole.work) {
      const plain = (calls: number) => clock(() => run(dispatch, names[0], calls));
      await plain(1);
      const took = (await plain(3)) - (await plain(1));
      dispatch = whole.part!(TRIED * Math.max(1, Math.min(MOST, (2 * PLAIN) / Math.max(took, 0))));
    }
    const { bytes, storage, precision } = dispatch.result;
    const from = dispatch.buffers.at(-1)!;
    const part = Math.min(bytes, COMPARED);
    const staging = this.staging.take(2 * part);
    try {
      const ways = names.map((name) => ({ name, run: (calls: number) => run(dispatch, name, calls) }));
      const { name, trials } = await choose(ways, precision, async () => {
        const encoder = this.device.createCommandEncoder();
        encoder.copyBufferToBuffer(from, 0, staging, 0, part);
        encoder.copyBufferToBuffer(from, bytes - part, staging, part, part);
        this.device.queue.submit([encoder.finish()]);
        return decode(await this.staging.read(staging, 2 * part), storage);
      });
      if (name === undefined) return;
      this.choices.set(dispatch.key, name);
      this.trials.set(dispatch.key, trials);
    } finally {
      this.staging.give(staging);
    }
  }
}

/** Whether a runtime takes a variant: what is experimental changes from one to the next, and a plain form always serves. */
function compiles({ pipeline }: Variant): Promise<boolean> {
  return pipeline().compiled.then(
    () => true,
    () => false,
  );
}
