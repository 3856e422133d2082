import type { LoadProgress } from "../../index.ts";
import { bytes, duration } from "../../support/units.ts";
import { BITS } from "../../tensor/cost.ts";
import { KNOWN, type Known, RECOMMENDED } from "./known.ts";
import type { ModelOptions } from "./remote.ts";

/** A known model's name and what its files take. */
export function nameWithSize(known: Known): string {
  const { image, text, table } = known.parameters;
  const advice = known.id === RECOMMENDED.id ? `, recommended at ${RECOMMENDED.dtype}` : "";
  return `${known.id.replace("google/", "")} · ${bytes(4 * (image + text + table))}${advice}`;
}

/** How much a known model transfers and what it takes on the device, in a sentence. */
export function describeSize(id: string, { dtype, towers = [], backend }: ModelOptions): string {
  if (id === "demo")
    return "5 MB, part of this page. It knows things as emoji draw them and was never shown a photograph.";
  const known = KNOWN.find((entry) => entry.id === id);
  if (!known) return "";
  const { image, text, table } = known.parameters;
  const onDevice = (towers.includes("image") ? image : 0) + (towers.includes("text") ? text : 0);
  const read = onDevice + (towers.includes("text") ? table : 0);
  const plain = backend === "cpu";
  const cpu = plain || backend === "wasm" || !navigator.gpu;
  const precision = dtype ?? (plain ? "f32" : "f16");
  const taken = bytes((onDevice * BITS[precision]) / 8);
  const size = `Transfers ${bytes(read * 4)} once, then takes ${taken} on the device as ${precision}.`;
  return size + (cpu ? ` On the CPU a picture takes ${plain ? "minutes" : "some seconds"}.` : "");
}

/** Bytes, rate and time left. */
export function describeProgress({ phase, loaded, total, bytesPerSecond }: LoadProgress): string {
  const left = loaded < total && bytesPerSecond > 0 ? `, ${duration((total - loaded) / bytesPerSecond)} left` : "";
  const what = phase === "download" ? "Tokenizer: " : "";
  return `${what}${bytes(loaded)} of ${bytes(total)}, ${bytes(Math.round(bytesPerSecond))}/s${left}`;
}
