// Embeds twenty pictures on wasm and prints the longest stretch between two turns of the event loop: `turns-node.mjs FOLDER`, a
// model with its examples. `own` is what of it this thread computed, `wall` what passed on the clock; milliseconds.
import { readdirSync } from "node:fs";
import { Siglip } from "../../src/node.ts";

const folder = process.argv.at(-1)!;
const some = readdirSync(`${folder}/examples`).filter((name) => /\.(png|jpg)$/.test(name));
const pictures = [...some, ...some].slice(0, 20).map((name) => `${folder}/examples/${name}`);
const model = await Siglip.load(folder, { backend: "wasm", towers: ["image"] });

/** Milliseconds that this thread has computed; newer than the types that the project is compiled with. */
function computed(): number {
  const { user, system } = (process as unknown as { threadCpuUsage(): NodeJS.CpuUsage }).threadCpuUsage();
  return (user + system) / 1000;
}

let last = { wall: performance.now(), own: computed() };
const longest = { wall: 0, own: 0 };
let turns = 0;
const timer = setInterval(() => {
  const now = { wall: performance.now(), own: computed() };
  longest.wall = Math.max(longest.wall, now.wall - last.wall);
  // A computing thread's own time is never longer than the clock's; the other way round others were at work.
  longest.own = Math.max(longest.own, Math.min(now.own - last.own, now.wall - last.wall));
  last = now;
  turns++;
}, 1);
const { shape } = await model.embedImages(pictures);
clearInterval(timer);
model.dispose();
console.log(JSON.stringify({ ...longest, turns, shape, threads: model.device.adapter }));
