import { InvalidArgumentError } from "commander";

const TIMES: Readonly<Record<string, number>> = { "": 1, ms: 1, s: 1000, min: 60_000 };
const SIZES: Readonly<Record<string, number>> = {
  ...{ "": 1, b: 1, kb: 1e3, mb: 1e6, gb: 1e9 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30 },
};

/** Milliseconds of "5ms", "2s", "1min" or "5". */
export function parseTime(text: string): number {
  return parse(text, TIMES, "a time such as 5ms, 2s or 1min");
}

/** Bytes of "64MiB", "10MB" or "4096". */
export function parseSize(text: string): number {
  const bytes = Math.floor(parse(text, SIZES, "a size such as 64MiB or 10MB"));
  if (bytes >= 1) return bytes;
  throw new InvalidArgumentError("Wanted at least a byte.");
}

function parse(text: string, units: Readonly<Record<string, number>>, wanted: string): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text) ?? [];
  const factor = Object.hasOwn(units, unit.toLowerCase()) ? units[unit.toLowerCase()] : undefined;
  if (number !== undefined && factor !== undefined) return Number(number) * factor;
  throw new InvalidArgumentError(`Wanted ${wanted}.`);
}
