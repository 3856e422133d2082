/** A decoder as `generate.ts` writes it: Emscripten's script, given the globals it may see, and its WebAssembly deflated, in base64. */
export interface Embedded {
  readonly glue: (globals: object) => (options: object) => Promise<unknown>;
  readonly wasm: string;
}

/** What is made at the first use and kept for the next ones. */
export interface Kept<T> {
  get(): Promise<T>;
  /** Forgets it, so that the next use makes another. */
  drop(): void;
}

/** Keeps what `make` gives, but no failure: the next use tries again. */
export function keep<T>(make: () => Promise<T>): Kept<T> {
  let kept: Promise<T> | undefined;
  return {
    get() {
      const mine = kept ?? make();
      kept = mine;
      mine.catch(() => {
        if (kept === mine) kept = undefined;
      });
      return mine;
    },
    drop() {
      kept = undefined;
    },
  };
}

/** A codec whose heap has grown past this is dropped after use: WebAssembly memory never shrinks. */
export const KEPT_HEAP = 128 << 20;

/** A new instance of a compiled decoder. `globals` is its `globalThis`; what it prints is given line by line. */
export async function instantiate(
  { glue }: Embedded,
  program: WebAssembly.Module,
  globals: object,
  print: (line: string) => void,
): Promise<unknown> {
  return await glue(globals)({
    noInitialRun: true,
    printErr: print,
    instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) {
      const instance = new WebAssembly.Instance(program, imports);
      done(instance);
      return instance.exports;
    },
  });
}
