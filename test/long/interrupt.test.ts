import { describe, expect, it } from "vitest";
import { downloads, interrupt } from "./interrupt.ts";

describe("a download", () => {
  // More in interrupt.more.ts, 500 in interrupt.long.ts.
  it("loses and corrupts nothing when it is killed at random, 8 times", async () => {
    const { killed } = await interrupt(8);
    expect(killed).toBe(8);
  });

  it("is done by two processes at once, and by one when the other is killed", async () => {
    await using model = await downloads();
    const both = [model.start(), model.start()];
    for (const { ended } of both) expect(await ended).toEqual({ code: 0, output: "" });
    expect([model.check(), model.leftovers()]).toEqual([model.names, []]);
    model.wipe();
    const [one, other] = [model.start(), model.start()];
    setTimeout(() => one.child.kill("SIGKILL"), 250);
    expect(await other.ended).toEqual({ code: 0, output: "" });
    await one.ended;
    expect(model.check()).toEqual(model.names);
  });
});
