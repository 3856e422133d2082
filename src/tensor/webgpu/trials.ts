import { type ChosenForms, choose, clock, decode, type Trial } from "./choose.ts";
import type { Staging } from "./staging.ts";
import { type Dispatch, type Form, type Step, step } from "./steps.ts";

/** How much of a result is compared in a trial, from its beginning and from its end. */
const COMPARED = 16384;

/** Operations of one call in a trial: a fraction of a second on the weakest GPU, a picture's worth on any. */
const TRIED = 8e9;

/** Milliseconds that the plain form takes in a trial where there is work for that: the others are to fill a large GPU, too. */
const PLAIN = 8;

/** How many times TRIED a trial is at most, whatever a clock says. */
const MOST = 16;

/** Which form a dispatch takes: chosen once by a trial on the device, on the real buffers, and then kept. */
export class Trials {
  /** Those of this session, by key. */
  readonly trials = new Map<string, readonly Trial[]>();
  private readonly kept: ChosenForms;
  private readonly device: GPUDevice;
  private readonly staging: Staging;
  private readonly submit: (steps: readonly Step[]) => Promise<void>;

  /** `kept` may be filled beforehand. */
  constructor(
    kept: ChosenForms = new Map(),
    device: GPUDevice,
    staging: Staging,
    submit: (steps: readonly Step[]) => Promise<void>,
  ) {
    this.kept = kept;
    this.device = device;
    this.staging = staging;
    this.submit = submit;
  }

  /** The form chosen for a dispatch, if one is, and if the runtime takes it. */
  async chosen({ forms, key }: Dispatch): Promise<Form | undefined> {
    const name = this.kept.get(key);
    const found = forms.find((form) => form.name === name);
    return found && (await compiles(found)) ? found : undefined;
  }

  /** Starts to compile what a dispatch will want: the form chosen, or else all, at the same time. */
  prepare({ forms, key }: Dispatch): void {
    const name = this.kept.get(key);
    const chosen = forms.filter((form) => form.name === name);
    for (const { pipeline } of chosen.length > 0 ? chosen : forms) pipeline();
  }

  /** Runs every form of a dispatch where it stands, which changes nothing but its result, and keeps the fastest right one. */
  async choose(whole: Dispatch, signal?: AbortSignal): Promise<void> {
    const able: Form[] = [];
    for (const { pipeline } of whole.forms) pipeline();
    for (const form of whole.forms) if (able.length === 0 || (await compiles(form))) able.push(form);
    const names = able.map(({ name }) => name);
    const run = async (dispatch: Dispatch, name: string, calls: number) => {
      signal?.throwIfAborted();
      // A form that writes nothing must not be taken for one that repeats what stood there.
      const clear = { kind: "clear", buffer: dispatch.buffers.at(-1)!, bytes: dispatch.result.bytes } as const;
      const form = dispatch.forms.find((form) => form.name === name)!;
      await this.submit([clear, ...new Array<Step>(calls).fill(step(dispatch, form))]);
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
      const timed = names.map((name) => ({ name, run: (calls: number) => run(dispatch, name, calls) }));
      const { name, trials } = await choose(timed, precision, async () => {
        const encoder = this.device.createCommandEncoder();
        encoder.copyBufferToBuffer(from, 0, staging, 0, part);
        encoder.copyBufferToBuffer(from, bytes - part, staging, part, part);
        this.device.queue.submit([encoder.finish()]);
        return decode(await this.staging.read(staging, 2 * part), storage);
      });
      if (name === undefined) return;
      this.kept.set(dispatch.key, name);
      this.trials.set(dispatch.key, trials);
    } finally {
      this.staging.give(staging);
    }
  }
}

/** Whether a runtime takes a form: what is experimental changes from one to the next, and a plain form always serves. */
function compiles({ pipeline }: Form): Promise<boolean> {
  return pipeline().compiled.then(
    () => true,
    () => false,
  );
}
