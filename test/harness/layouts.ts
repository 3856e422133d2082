import { readFileSync } from "node:fs";
import { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { bytesSource, type Source } from "../../src/checkpoint/source.ts";
import { anyLayout } from "../../src/files/any-layout.ts";
import type { ModelFiles } from "../../src/files/model-files.ts";
import { parseConfig } from "../../src/model/config.ts";
import { asBigVision, asOpenClip, bytesOf, type Tensors } from "../judge/layouts.ts";
import { writeNpz } from "./npz.ts";

/** Files by name. */
export type Contents = Record<string, Uint8Array<ArrayBuffer>>;

const demoFile = (name: string) => new Uint8Array(readFileSync(new URL(`../../weights/demo/${name}`, import.meta.url)));

/** A safetensors file of tensors in the order given. */
export async function safetensors(all: Tensors): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  const data = [...all].map(([name, { shape, data }]) => ({ name, dtype: "F32" as const, shape, data: bytesOf(data) }));
  for await (const chunk of writeSafetensors(data)) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

/** A model's files in memory, and how many bytes were read of each. */
export function filesOf(contents: Record<string, Uint8Array>, npz?: string) {
  const read: Record<string, number> = {};
  const files: ModelFiles = anyLayout({
    name: "memory",
    npz,
    async open(file: string): Promise<Source | undefined> {
      if (!Object.hasOwn(contents, file)) return undefined;
      const source = bytesSource(contents[file], file);
      return {
        ...source,
        read(offset, length) {
          read[file] = (read[file] ?? 0) + length;
          return source.read(offset, length);
        },
      };
    },
    async close() {},
  });
  return { files, read };
}

/** The demo model's own files. */
export function demoContents(): Contents {
  const names = ["config.json", "preprocessor_config.json", "spiece.model", "model.safetensors"];
  return Object.fromEntries(names.map((name) => [name, demoFile(name)]));
}

/** The demo model as an open_clip folder and as a big_vision file, each with its tokenizer beside it. */
export async function demoInOtherLayouts(): Promise<{ openClip: Contents; bigVision: Contents }> {
  const config = parseConfig(JSON.parse(new TextDecoder().decode(demoFile("config.json"))));
  const checkpoint = await Checkpoint.open([bytesSource(demoFile("model.safetensors"))]);
  const tensors: Tensors = new Map();
  for (const { name, shape } of checkpoint.tensors.values()) {
    tensors.set(name, { shape, data: await checkpoint.read(name) });
  }
  const { eps, heads } = config.text;
  const clip = {
    model_cfg: {
      vision_cfg: { image_size: 112, timm_model_name: "vit_demo_patch14_siglip_112", timm_pool: "map" },
      text_cfg: {
        ...{ heads, pool_type: "last", no_causal_mask: true, norm_kwargs: { eps } },
        tokenizer_kwargs: { clean: "canonicalize" },
      },
    },
    preprocess_cfg: { interpolation: config.image.resample, resize_mode: "squash" },
  };
  const spiece = { "spiece.model": demoFile("spiece.model") };
  return {
    openClip: {
      ...spiece,
      "open_clip_config.json": new TextEncoder().encode(JSON.stringify(clip)),
      "open_clip_model.safetensors": await safetensors(asOpenClip(tensors)),
    },
    bigVision: { ...spiece, "demo.npz": writeNpz(asBigVision(tensors, config, true)) },
  };
}
