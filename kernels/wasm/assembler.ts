/** Functions and modules of what `instructions.ts` computes: a small assembler for WebAssembly. */
import {
  type Code,
  codeOf,
  EMPTY,
  END,
  type Expr,
  flatten,
  type I32,
  i32,
  type Local,
  SIMD,
  TYPE,
  type Type,
  unsigned,
} from "./instructions.ts";

/** The body of a function while it is written: statements are appended in order. */
export class Body {
  readonly locals: Type[];
  private code: Code[] = [];

  /** Locals begin with the function's parameters. */
  constructor(params: number) {
    this.locals = new Array(params).fill("i32");
  }

  /** A new local, 0 at first. */
  local<T extends Type>(type: T): Local<T> {
    const index = this.locals.push(type) - 1;
    return { type, index, code: [0x20, unsigned(index)] };
  }

  /** A new local that holds a value. */
  let<T extends Type>(value: Expr<T>): Local<T> {
    const local = this.local(value.type);
    this.set(local, value);
    return local;
  }

  set<T extends Type>(local: Local<T>, value: Expr<T> | (T extends "i32" ? number : never)): void {
    this.code.push([codeOf(value), 0x21, unsigned(local.index)]);
  }

  /** local += by */
  bump(local: Local<"i32">, by: I32): void {
    this.set(local, i32.add(local, by));
  }

  /** Appends what leaves no value: stores and calls. */
  do(...statements: Code[]): void {
    this.code.push(...statements);
  }

  /** Runs the body once, then again while the condition holds. */
  repeat(body: () => void, condition: () => I32): void {
    this.code.push([0x03, EMPTY]);
    body();
    this.code.push([codeOf(condition()), 0x0d, 0, END]);
  }

  when(condition: I32, body: () => void, otherwise?: () => void): void {
    this.code.push([codeOf(condition), 0x04, EMPTY]);
    body();
    if (otherwise) {
      this.code.push([0x05]);
      otherwise();
    }
    this.code.push([END]);
  }

  /** For each `from`, `from + step` … below `below`, unsigned; `below` is computed at every turn: give a local. */
  for(from: I32, below: I32, step: I32, body: (at: Local<"i32">) => void): void {
    const at = this.local("i32");
    this.set(at, from);
    this.when(i32.lt_u(at, below), () => {
      this.repeat(
        () => {
          body(at);
          this.bump(at, step);
        },
        () => i32.lt_u(at, below),
      );
    });
  }

  /**
   * The bytes of the function, its size in front. Vector constants go into locals at its beginning: V8 makes one of three
   * instructions wherever it stands, in every turn of a loop.
   */
  assemble(params: number): number[] {
    const kept: Record<string, Code> = {};
    const written = this.code;
    this.code = [];
    const rest = flatten(written, (bytes) => {
      kept[bytes] ??= this.let({ type: "v128", code: [SIMD, 0x0c, bytes.split(",").map(Number)] }).code;
      return kept[bytes];
    });
    const locals = this.locals.slice(params);
    const code = flatten([unsigned(locals.length), locals.map((type) => [1, TYPE[type]]), this.code, rest, END]);
    return [...unsigned(code.length), ...code];
  }
}

/** What calls a function of the module. */
export type Call = (...args: (Expr | number)[]) => Code;

/** Functions over one imported memory, "env" "memory". All take i32s and return nothing. */
export class Module {
  private readonly functions: { params: number; code: number[] }[] = [];

  /** Adds a function of so many parameters; what it calls must have been added before. The last one is exported as `run`. */
  function(params: number, write: (f: Body, ...params: Local<"i32">[]) => void): Call {
    const body = new Body(params);
    const locals = body.locals.map((_, index): Local<"i32"> => ({ type: "i32", index, code: [0x20, index] }));
    write(body, ...locals);
    const index = this.functions.push({ params, code: body.assemble(params) }) - 1;
    return (...args) => [args.map(codeOf), 0x10, unsigned(index)];
  }

  /** The module's bytes; a shared memory must have a maximum, any up to 4 GiB is taken. */
  assemble({ shared }: { readonly shared: boolean }): Uint8Array<ArrayBuffer> {
    const section = (id: number, content: Code) => {
      const bytes = flatten(content);
      return [id, unsigned(bytes.length), bytes];
    };
    const name = (text: string) => [text.length, [...text].map((letter) => letter.charCodeAt(0))];
    const count = unsigned(this.functions.length);
    const types = this.functions.map(({ params }) => [0x60, params, new Array(params).fill(TYPE.i32), 0]);
    const limits = shared ? [3, 1, unsigned(65536)] : [0, 1];
    return Uint8Array.from(
      flatten([
        [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
        section(1, [count, types]),
        section(2, [1, name("env"), name("memory"), 2, limits]),
        section(3, [count, this.functions.map((_, index) => unsigned(index))]),
        section(7, [1, name("run"), 0, unsigned(this.functions.length - 1)]),
        section(10, [count, this.functions.map(({ code }) => code)]),
      ]),
    );
  }
}
