import { replaced } from "../lib/profile.ts";

/** A device that behaves as the one it wraps, and the seconds that trials of kernel forms took on it. */
export interface Watched {
  readonly device: GPUDevice;
  /** So far: from recording each timed run of a form until the device was done with it. */
  trialSeconds(): number;
}

/** Only a trial clears a buffer, before every timed run, and waits for the device after it: that is how one is known. */
export function watchTrials(real: GPUDevice): Watched {
  let sum = 0;
  let began: number | undefined;
  const queue = replaced(real.queue, {
    async onSubmittedWorkDone() {
      await real.queue.onSubmittedWorkDone();
      if (began !== undefined) sum += performance.now() - began;
      began = undefined;
    },
  });
  const device = replaced(real, {
    queue,
    createCommandEncoder(descriptor?: GPUCommandEncoderDescriptor) {
      const encoder = real.createCommandEncoder(descriptor);
      return replaced(encoder, {
        clearBuffer(buffer: GPUBuffer, offset?: number, size?: number) {
          began ??= performance.now();
          encoder.clearBuffer(buffer, offset, size);
        },
      });
    },
  });
  return { device, trialSeconds: () => sum / 1000 };
}
