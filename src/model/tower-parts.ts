import { type Program, Recorder } from "../tensor/program.ts";
import type { Pass, PassOptions } from "./pass.ts";
import type { ForwardOptions, PreparedPictures, Values } from "./towers.ts";
import { pool, probe, type VisionTower, visionTower } from "./vision.ts";

/**
 * What can be had of an image tower beside its pooled output; pictures are in patches, as `Towers.patches` takes them.
 */
export interface TowerParts {
  /** What the blocks before `layer` make, or without one the last hidden state: tokens [n, tokens * hidden]. */
  features(pictures: PreparedPictures, layer: number | undefined, options?: ForwardOptions): Promise<Values>;
  /** The MAP head's keys and values [n, tokens * 2 hidden]. The only tap is its `query` [1, 1, hidden]. */
  probe(pictures: PreparedPictures, options?: ForwardOptions): Promise<Values>;
  /** What that head's query attends to, [n, hidden], to pooled images [n, hidden]. */
  pool(attended: Float32Array, options?: ForwardOptions): Promise<Values>;
}

/** How a tower's programs are run on the backend that holds its weights. */
interface Runner {
  passOf(program: PassOptions["program"]): Pass;
  runImages(pictures: PreparedPictures, options?: ForwardOptions, pass?: Pass): Promise<Values>;
}

const made = new WeakMap<VisionTower, TowerParts>();

/** The parts of a tower that has been loaded; each of its programs is made once. */
export function partsOf(tower: VisionTower, runner: Runner): TowerParts {
  let parts = made.get(tower);
  if (!parts) {
    parts = makeParts(tower, runner);
    made.set(tower, parts);
  }
  return parts;
}

function makeParts(tower: VisionTower, { passOf, runImages }: Runner): TowerParts {
  const { hidden, channels, patchSize } = tower.config;
  const passes = new Map<number | string, Pass>();
  const pass = (key: number | string, program: PassOptions["program"]) => {
    if (!passes.has(key)) passes.set(key, passOf(program));
    return passes.get(key)!;
  };
  /** Of a tower that ends in tokens; `end` records what follows them and ends the program. */
  const tokens = (
    of: VisionTower,
    batch: number,
    most: number,
    end: (p: Recorder, x: ReturnType<typeof visionTower>) => void,
  ) => {
    const p = new Recorder();
    end(p, visionTower(p, { ...of, head: undefined }, p.input("patches", [batch, most, channels * patchSize ** 2])));
    return p.finish();
  };
  const features = (layer: number | undefined) => {
    const part = layer === undefined ? tower : { ...tower, blocks: tower.blocks.slice(0, layer), norm: undefined };
    return (batch: number, _taps: boolean, most: number): Program =>
      tokens(part, batch, most, (p, x) => p.output("pooled", x));
  };
  const asked = (batch: number, _taps: boolean, most: number): Program =>
    tokens(tower, batch, most, (p, x) => {
      const { query, kv } = probe(p, x, tower.head!);
      p.output("query", query);
      p.output("pooled", kv);
    });
  const pooled = (batch: number): Program => {
    const p = new Recorder();
    p.output("pooled", pool(p, p.input("attended", [batch, 1, hidden]), tower.head!));
    return p.finish();
  };
  return {
    features: (pictures, layer, options) => runImages(pictures, options, pass(layer ?? "last", features(layer))),
    probe: (pictures, options) => runImages(pictures, options, pass("probe", asked)),
    pool(attended, options) {
      const inputs = async (from: number, to: number) => ({
        attended: attended.subarray(from * hidden, to * hidden),
      });
      return pass("pool", pooled).run(attended.length / hidden, options, inputs, 1);
    },
  };
}
