import type { Backend } from "../../src/tensor/backend.ts";
import { Recorder } from "../../src/tensor/program.ts";

/** A first small run, so that everything uploaded has arrived. */
export async function arrived(backend: Backend): Promise<void> {
  const p = new Recorder();
  p.output("x", p.input("x", [1]));
  await backend.run(p.finish(), { x: Float32Array.of(1) });
}
