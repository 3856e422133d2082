import { expect } from "vitest";
import type { Pixels } from "../../src/image/pixels.ts";
import type { Sent } from "./page.ts";

/** Of CMYK a mean difference in levels is allowed, because decoders turn ink into light each in its own way. */
export const CMYK_MEAN = 0.1;

/** What a page sent. */
export function received({ width, height, base64 }: Sent): Pixels {
  return { width, height, data: Buffer.from(base64, "base64") };
}

export function expectEqual(found: Pixels, wanted: Pixels): void {
  expect([found.width, found.height]).toEqual([wanted.width, wanted.height]);
  expect(Buffer.compare(found.data, wanted.data)).toBe(0);
}

export function meanDifference(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0) / a.length;
}
