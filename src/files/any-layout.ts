import type { Source } from "../checkpoint/source.ts";
import type { ModelFiles } from "./model-files.ts";

/** What is made of a model's own files where it is laid out otherwise, and the index, which must not be found then. */
const MADE: readonly string[] = [
  "config.json",
  "preprocessor_config.json",
  "processor_config.json",
  "model.safetensors",
  "model.safetensors.index.json",
];

/**
 * Files of a model of any layout as Hugging Face would have them. One whose weights are an `.npz` file is
 * big_vision's, one without `config.json`, or whose `config.json` is of a wrapper around open_clip, is open_clip's
 * where it has `open_clip_config.json`: of such a model `open` gives a `config.json`, a `preprocessor_config.json`
 * and a `model.safetensors` that are made as they are read. Changes `open` and `close` of the files that it is given,
 * which come back.
 */
export function anyLayout<Files extends ModelFiles>(files: Files): Files {
  const open = files.open.bind(files);
  const close = files.close.bind(files);
  /** Whether there is a `config.json`, and it where it was opened to see that. */
  const unknown = files.npz === undefined ? undefined : false;
  let plain: boolean | undefined = unknown;
  let config: Source | undefined;
  let other: Promise<ReadonlyMap<string, Source> | undefined> | undefined;
  return Object.assign(files, {
    async open(file: string, signal?: AbortSignal): Promise<Source | undefined> {
      if (!MADE.includes(file)) return open(file, signal);
      if (plain === undefined) {
        config = await open("config.json", signal);
        plain = config !== undefined && !(await namesOpenClip(config, signal));
      }
      if (plain) {
        const opened = file === "config.json" ? config : undefined;
        if (opened) config = undefined;
        return opened ?? open(file, signal);
      }
      other ??= read(signal);
      const made = await other;
      if (made) return made.get(file);
      return file === "config.json" ? config : open(file, signal);
    },
    async close(): Promise<void> {
      plain = unknown;
      config = undefined;
      other = undefined;
      await close();
    },
  });

  async function read(signal?: AbortSignal): Promise<ReadonlyMap<string, Source> | undefined> {
    try {
      // A chunk of its own: most models are as Hugging Face has them.
      const { readOther } = await import("./other-layouts.ts");
      return await readOther({ name: files.name, npz: files.npz, open }, signal);
    } catch (error) {
      other = undefined;
      throw error;
    }
  }
}

/** What `config.json` may have at most to be looked at, in bytes. */
const MOST_CONFIG = 2 ** 20;

/** Whether a `config.json` is of a class of its own that loads an open_clip model, as some fine-tunes have it. */
async function namesOpenClip(config: Source, signal?: AbortSignal): Promise<boolean> {
  if (config.size > MOST_CONFIG) return false;
  return new TextDecoder().decode(await config.read(0, config.size, signal)).includes('"open_clip_model_name"');
}
