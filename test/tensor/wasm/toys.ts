// Kernels for tests of the pool, each a few lines of WebAssembly text.
import wabt from "wabt";

const MEMORY = {
  shared: '(import "env" "memory" (memory 1 65536 shared))',
  unshared: '(import "env" "memory" (memory 1))',
};

const BODIES = {
  /** params: input, output, count. output[chunk] = 3 input[(7 chunk + 1) mod count] + chunk: it reads what other chunks wrote before. */
  mix: `(i32.store
      (i32.add (i32.load offset=4 (local.get $params)) (i32.shl (local.get $chunk) (i32.const 2)))
      (i32.add (local.get $chunk) (i32.mul (i32.const 3) (i32.load
        (i32.add (i32.load (local.get $params)) (i32.shl
          (i32.rem_u
            (i32.add (i32.mul (local.get $chunk) (i32.const 7)) (i32.const 1))
            (i32.load offset=8 (local.get $params)))
          (i32.const 2)))))))`,
  /** params: turns. Takes time, and writes to its scratch area. */
  spin: `(local $i i32)
    (local.set $i (i32.load (local.get $params)))
    (loop $again
      (i32.store (local.get $scratch) (local.get $i))
      (local.set $i (i32.sub (local.get $i) (i32.const 1)))
      (br_if $again (i32.gt_s (local.get $i) (i32.const 0))))`,
  /** params: output. Fills 4 KiB of scratch with the chunk's number, waits, and writes whether all of it is still there. */
  own: `(local $i i32) (local $j i32) (local $good i32)
    (local.set $good (i32.const 1))
    (loop $write
      (i32.store (i32.add (local.get $scratch) (local.get $i)) (local.get $chunk))
      (br_if $write (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 4096))))
    (loop $wait (br_if $wait (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (i32.const 20000))))
    (local.set $i (i32.const 0))
    (loop $read
      (if (i32.ne (i32.load (i32.add (local.get $scratch) (local.get $i))) (local.get $chunk))
        (then (local.set $good (i32.const 0))))
      (br_if $read (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 4096))))
    (i32.store (i32.add (i32.load (local.get $params)) (i32.shl (local.get $chunk) (i32.const 2))) (local.get $good))`,
  /** Does nothing. */
  empty: "",
  /** Fails in its third chunk. */
  trap: "(if (i32.eq (local.get $chunk) (i32.const 2)) (then (unreachable)))",
} as const;

/** The module of a toy, for shared memory or not. */
export async function toy(name: keyof typeof BODIES, shared: boolean): Promise<Uint8Array<ArrayBuffer>> {
  const text = `(module ${MEMORY[shared ? "shared" : "unshared"]}
    (func (export "run") (param $params i32) (param $chunk i32) (param $scratch i32) ${BODIES[name]}))`;
  const module = (await wabt()).parseWat(name, text, { threads: true });
  return new Uint8Array(module.toBinary({}).buffer);
}

/** All of them, to be sent where no compiler is. */
export async function toyModules(): Promise<Record<keyof typeof BODIES, Record<"true" | "false", number[]>>> {
  const both = async (name: keyof typeof BODIES) => ({
    true: [...(await toy(name, true))],
    false: [...(await toy(name, false))],
  });
  const names = Object.keys(BODIES) as (keyof typeof BODIES)[];
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await both(name)])));
}
