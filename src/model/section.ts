import { mismatch } from "../support/error.ts";

/** One JSON object and its place, for errors. Keys are read as own properties only. */
export class Section {
  private readonly path: string;
  private readonly values: object;

  constructor(path: string, values: unknown) {
    if (typeof values !== "object" || values === null || Array.isArray(values)) {
      throw mismatch("bad-checkpoint", path, "an object", show(values), "fetch the file again");
    }
    this.path = path;
    this.values = values;
  }

  fail(key: string, wanted: string, found: unknown, aside = ""): never {
    const advice = "use a checkpoint that this package supports";
    throw mismatch("unsupported", this.path, `${key} to be ${wanted}`, `${show(found)}${aside}`, advice);
  }

  get(key: string, otherwise?: unknown): unknown {
    return Object.hasOwn(this.values, key) ? (this.values as Record<string, unknown>)[key] : otherwise;
  }

  /** The object under a key; an empty one where it is left out or null, as Hugging Face takes both. */
  section(key: string): Section {
    return new Section(`${this.path}: ${key}`, this.get(key) ?? {});
  }

  /** A whole number from 1 to `most`. */
  count(key: string, otherwise: number, most: number): number {
    const value = this.get(key, otherwise);
    if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= most) return value;
    return this.fail(key, `a whole number from 1 to ${most}`, value);
  }

  /** A number from 1e-12 to 1: neither may vanish in float32. */
  fraction(key: string, otherwise: number): number {
    const value = this.get(key, otherwise);
    if (typeof value === "number" && value >= 1e-12 && value <= 1) return value;
    return this.fail(key, "a number from 1e-12 to 1", value);
  }

  flag(key: string, otherwise: boolean): boolean {
    const value = this.get(key, otherwise);
    return typeof value === "boolean" ? value : this.fail(key, "true or false", value);
  }

  /** Three numbers within bounds, one for each colour. */
  triple(key: string, otherwise: number, least: number, most: number): [number, number, number] {
    const value = this.get(key) ?? [otherwise, otherwise, otherwise];
    const within = (v: unknown) => typeof v === "number" && v >= least && v <= most;
    if (Array.isArray(value) && value.length === 3 && value.every(within)) return [value[0], value[1], value[2]];
    return this.fail(key, `three numbers from ${least} to ${most}`, value);
  }
}

/** A foreign value, short enough for a sentence. */
export function show(value: unknown): string {
  if (value === undefined) return "none";
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  const text = String(JSON.stringify(value));
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
