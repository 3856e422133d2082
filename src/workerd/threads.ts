// In place of src/browser/threads.ts.
import type { Threads } from "../tensor/wasm/crowd.ts";

/** None but the caller's own. */
export function browserThreads(): Threads {
  return { cores: 1, ways: "there are no workers here" };
}
