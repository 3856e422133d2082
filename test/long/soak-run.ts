// Loads and disposes of a model again and again, then embeds with one, in a process of its own, so that its memory is its own.
// Prints one line of JSON. usage: node --expose-gc --import tsx test/long/soak-run.ts
// cpu|wasm|webgpu MODEL ROUNDS EMBEDDINGS-A-ROUND EMBEDDINGS [shared]
import { setImmediate } from "node:timers/promises";
import { findGpu } from "../../src/node/gpu.ts";
import { Siglip } from "../../src/node.ts";

/** What a process holds, in bytes, after garbage has been collected. */
export interface Held {
  /** JavaScript's heap and array buffers. */
  heap: number;
  /** Resident, which includes everything that Dawn and a software adapter take. */
  resident: number;
  /**
   * Buffers made on the device and not destroyed. Of a model in use without uniforms, here and below: a cut of work that has
   * not been met before adds one of a few bytes, and how many are kept has a test of its own (webgpu.test.ts).
   */
  buffers: number;
  /** What the backend says it holds; 0 of a model disposed of. */
  backend: number;
}

/** What one run found. */
export interface Soak {
  /** What a loaded model's backend holds. */
  model: number;
  /** After every round of load, embed and dispose. */
  rounds: Held[];
  /** Of one model, after every fortieth part of the embeddings. */
  embeddings: Held[];
}

const [name, place, rounds, each, embeddings, device] = process.argv.slice(2);
const backend = name as "cpu" | "wasm" | "webgpu";
const SIZE = 40;
const live = new Set<GPUBuffer>();

/** Counts the buffers of every device that the adapters of this process make. */
function count(device: GPUDevice): GPUDevice {
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    live.add(buffer);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      live.delete(buffer);
      return destroy();
    };
    return buffer;
  };
  return device;
}

async function countBuffers(gpu: GPU): Promise<void> {
  const request = gpu.requestAdapter.bind(gpu);
  gpu.requestAdapter = async (options) => {
    const adapter = await request(options);
    const make = adapter?.requestDevice.bind(adapter);
    if (adapter && make) adapter.requestDevice = async (descriptor) => count(await make(descriptor));
    return adapter;
  };
}

/** Finalisers run in turns of the event loop after a collection, and what they free is free at the next. */
async function held(model: Siglip): Promise<Held> {
  for (let i = 0; i < 2; i++) {
    globalThis.gc!();
    await setImmediate();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  const uniforms = [...live].filter(({ usage }) => model.bytes > 0 && usage & GPUBufferUsage.UNIFORM);
  const bytes = uniforms.reduce((sum, { size }) => sum + size, 0);
  const buffers = live.size - uniforms.length;
  return { heap: heapUsed + external, resident: rss, buffers, backend: model.bytes - bytes };
}

/**
 * Pictures and texts that differ from call to call, in batches of one to sixteen. One call in seven has pictures, in every
 * batch by and by: on a software adapter a picture takes as long as six texts.
 */
async function embed(model: Siglip, from: number, count: number): Promise<void> {
  const calls = [1, 2, 4, 8, 16].flatMap((batch) => [batch, batch]);
  for (let done = 0, call = from; done < count; call++) {
    const batch = Math.min(count - done, calls[call % calls.length]);
    const at = Array.from({ length: batch }, (_, i) => from + done + i);
    if (call % 7 === 0) await model.embedImages(at.map(picture), { batch });
    else await model.embedTexts(at.map((number) => `abc ${number} caab`));
    done += batch;
  }
}

function picture(number: number) {
  return { width: SIZE, height: SIZE, data: new Uint8Array(3 * SIZE * SIZE).fill(number) };
}

const gpu = backend === "webgpu" ? await findGpu() : undefined;
if (gpu) await countBuffers(gpu);
const own = device === "shared" ? await (await gpu!.requestAdapter())!.requestDevice() : undefined;
const load = () => Siglip.load(place, { backend, dtype: "f32", device: own, onWarning: () => {} });

const result: Soak = { model: 0, rounds: [], embeddings: [] };
for (let round = 0; round < Number(rounds); round++) {
  const model = await load();
  await embed(model, 0, Number(each));
  result.model = model.bytes;
  model.dispose();
  result.rounds.push(await held(model));
}
const model = await load();
const part = Math.ceil(Number(embeddings) / 40);
for (let done = 0; done < Number(embeddings); done += part) {
  await embed(model, done, part);
  result.embeddings.push(await held(model));
}
model.dispose();
/** Dawn keeps the process alive, so it is ended once the line is out. */
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
