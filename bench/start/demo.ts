import { fileURLToPath } from "node:url";
import { openCheckpoint, readConfig } from "../../src/files/read-model.ts";
import { loadTowers } from "../../src/model/towers.ts";
import { folderFiles } from "../../src/node/folder.ts";
import { CpuBackend } from "../../src/tensor/cpu.ts";
import { random } from "../../test/judge/reference.ts";
import { farthest, type Subject } from "../model/subject.ts";

const FOLDER = fileURLToPath(new URL("../../weights/demo/", import.meta.url));

/** The demo model on noise and on a text of the first tokens; what they should give is what the CPU backend makes of them. */
export async function demoSubject(): Promise<Subject> {
  const config = await readConfig(await folderFiles(FOLDER));
  const [height, width] = config.image.size;
  const pixels = random(3 * height * width, 1);
  const ids = Float64Array.from({ length: config.text.positions }, (_, i) => (i < 5 ? i + 2 : 1));
  const open = async () => openCheckpoint(await folderFiles(FOLDER));
  return {
    name: "demo",
    config,
    source: "file",
    open,
    prepare(tower, batch) {
      const items = <T>(one: ArrayLike<T>) => Array.from({ length: batch * one.length }, (_, i) => one[i % one.length]);
      if (tower === "text") {
        const all = items(ids);
        return (towers) => towers.text(all);
      }
      const all = Float32Array.from(items(pixels));
      return (towers) => towers.image(all);
    },
    async distance(values, tower) {
      const cpu = await loadTowers(new CpuBackend(), await open(), config, { dtype: "f32", towers: [tower] });
      return farthest(values, tower === "image" ? await cpu.image(pixels) : await cpu.text(ids));
    },
  };
}
