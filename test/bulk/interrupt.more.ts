import { expect, it } from "vitest";
import { interrupt } from "./interrupt.ts";

it.each(["jsonl", "safetensors"])(
  "embedding into .%s loses, doubles and damages nothing, killed 100 times",
  async (ending) => {
    expect((await interrupt(100, ending)).killed).toBe(100);
  },
);
