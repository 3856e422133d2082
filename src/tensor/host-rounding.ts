import { toFloat32 } from "../support/numbers.ts";
import type { FloatChunk, RowChunk } from "./packing.ts";
import type { StoredDType } from "./program.ts";
import { packRows } from "./quantise.ts";
import type { Threads } from "./wasm/crowd.ts";
import type { Packer } from "./wasm/packer.ts";

/** So many weights are rounded in less time than threads take to start. */
const FEW = 2 ** 21;

/** A chunk of fewer is not worth telling other threads of it. */
const SMALL = 2 ** 14;

/**
 * Rounds rows of floats to what a backend or a cache stores: large models in WebAssembly on all threads where the engine
 * has SIMD, everything else by `packRows`, which gives the same bits.
 */
export class HostRounding {
  private readonly threading: () => Threads | Promise<Threads>;
  /** How many weights are still rounded by the plain code. */
  private few: number;
  private packer: Promise<Packer | undefined> | undefined;

  /** `threading` is what the runtime has for threads; without it the caller's own does everything, in slices. */
  constructor(threading: () => Threads | Promise<Threads> = () => ({ cores: 1, ways: "none are wanted" }), few = FEW) {
    this.threading = threading;
    this.few = few;
  }

  /** Rows of `width` floats in another precision. Rejects with a SiglipError that begins with `name` for one that is not finite. */
  async round(chunk: FloatChunk, width: number, as: Exclude<StoredDType, "f32">, name: string): Promise<RowChunk> {
    const weights = chunk.rows * width;
    this.few -= weights;
    if (this.few < 0 && weights >= SMALL) {
      this.packer ??= this.open();
      const { packer } = this;
      const packed = await (await packer)?.pack(chunk, width, as).catch(() => this.give(packer));
      if (packed) return packed;
    }
    return packRows(toFloat32(chunk.bytes, chunk.dtype), width, as, name);
  }

  /** Ends its threads. They are started anew where a large chunk comes later. */
  close(): void {
    this.packer?.then((packer) => packer?.close());
    this.packer = undefined;
  }

  private async open(): Promise<Packer | undefined> {
    try {
      const { Packer } = await import("./wasm/open.ts");
      return await Packer.open(this.threading);
    } catch {
      return undefined; // no module, no memory or no kernel here: the plain code needs none
    }
  }

  /** Goes on without threads where one has died, unless they were ended meanwhile. */
  private give(packer: Promise<Packer | undefined>): undefined {
    if (this.packer !== packer) return;
    this.close();
    this.packer = Promise.resolve(undefined);
  }
}
