type Later = (callback: (value?: unknown) => void) => void;

/**
 * Calls back once events have had a turn, without a timer's wait; undefined in browsers. In Deno it is a timer all the same:
 * immediates that follow each other leave its sockets no turn.
 */
export const immediate: Later | undefined =
  "Deno" in globalThis ? setTimeout : (globalThis as { setImmediate?: Later }).setImmediate;
