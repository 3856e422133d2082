// Writes the WebAssembly that lies beside `siglip/workerd`, for platforms that compile only what was deployed: kernels.wasm, which has
// every kernel, and the decoders. `npm run build` does.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import wabt from "wabt";
import { type Instructions, kernelModule, kernelNames } from "../../../kernels/wasm/index.ts";
import { dotModule } from "../../../kernels/wasm/probe.ts";
import { readDecoders } from "../../node/images/generate.ts";
import { DOT, exportName } from "../export-name.ts";

/** Every such platform takes relaxed SIMD; what its machine makes of the dot is seen there. */
const ENGINES: readonly Instructions[] = [false, true].map((dot8) => ({ madd: true, dot: true, dot8 }));

/** The module, which imports a memory that is not shared as "env" "memory". */
export async function mergeKernels(): Promise<Uint8Array> {
  const tools = await wabt();
  const features = { simd: true, relaxed_simd: true };
  const modules = new Map([[DOT, dotModule()]]);
  for (const engine of ENGINES) {
    for (const name of kernelNames(engine)) {
      modules.set(exportName(name, engine), kernelModule(name, engine, { shared: false }));
    }
  }
  const parts = [...modules].map(([name, bytes], index) => {
    const module = tools.readWasm(bytes, { readDebugNames: false, ...features });
    const text = module.toText({ foldExprs: false, inlineExport: false });
    module.destroy();
    return renamed(text, `k${index}`, name);
  });
  const module = tools.parseWat(
    "kernels",
    `(module (import "env" "memory" (memory 1))\n${parts.join("\n")})`,
    features,
  );
  const { buffer } = module.toBinary({});
  module.destroy();
  return buffer;
}

/** A module's types, functions and export, under names that no other module has. */
function renamed(text: string, prefix: string, name: string): string {
  return text
    .replace(/^\(module$/m, "")
    .replace(/^ *\(import .*$/m, "")
    .replace(/\)\s*$/, "")
    .replaceAll(/\((type|func) \(;(\d+);\)/g, `($1 $${prefix}-$1-$2`)
    .replaceAll(/\(type (\d+)\)/g, `(type $${prefix}-type-$1)`)
    .replaceAll(/\bcall (\d+)/g, `call $${prefix}-func-$1`)
    .replace(/\(export "run" \(func (\d+)\)\)/, `(export "${name}" (func $${prefix}-func-$1))`);
}

/** Writes them into a folder. */
export async function writeWasm(folder: string): Promise<void> {
  writeFileSync(join(folder, "kernels.wasm"), await mergeKernels());
  for (const [name, wasm] of readDecoders()) writeFileSync(join(folder, `${name}.wasm`), wasm);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [folder] = process.argv.slice(2);
  mkdirSync(folder, { recursive: true });
  await writeWasm(folder);
}
