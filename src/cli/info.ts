import type { Command } from "commander";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { type DType, elementSize } from "../checkpoint/safetensors.ts";
import type { Source } from "../checkpoint/source.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { openCheckpoint, readConfig, readJson, readTokenizer, TOKENIZER_LIMIT } from "../files/read-model.ts";
import type { SiglipConfig, TowerConfig } from "../model/config.ts";
import { PREFIX } from "../model/layouts/hugging-face.ts";
import type { Tower } from "../model/towers.ts";
import { findFiles } from "../node/find.ts";
import { bytes, grouped } from "../support/units.ts";
import { SentencePiece } from "../tokenizer/sentencepiece.ts";
import { readTokenizerJson } from "../tokenizer/tokenizer-json.ts";
import { readDevice, showDevice } from "./device.ts";
import { readManifest, showManifest } from "./known.ts";
import { addCacheOption } from "./model.ts";
import { readPrograms, showPrograms } from "./program.ts";
import { aligned } from "./table.ts";
import { plain, print, printJson, style, tell } from "./terminal.ts";
import { readWasm, showWasm } from "./wasm.ts";

/** What the headers say of a tower's tensors. */
interface WeightCount {
  parameters: number;
  bytes: number;
  /** Parameters of each stored dtype. */
  dtypes: Partial<Record<DType, number>>;
}

interface ModelInfo {
  readonly model: string;
  readonly config: SiglipConfig;
  readonly weights: Record<"image" | "text" | "total", WeightCount>;
  /** Null where the model has none, absent where the model is on a server, since only headers are fetched. */
  readonly tokenizer?: { readonly algorithm: string; readonly pieces: number } | null;
  /** The files that make the model. */
  readonly files: readonly { readonly name: string; readonly size: number }[];
}

interface InfoOptions {
  readonly device?: boolean;
  readonly list?: boolean;
  readonly program?: boolean;
  readonly json?: boolean;
  readonly cache: boolean;
}

/** `siglip info`: what a model is, by its headers, and what models run on here. */
export function addInfo(program: Command, signal: AbortSignal): void {
  const command = program
    .command("info")
    .description("Describe a model without reading its weights, or what there is to compute on.")
    .argument("[model]", "demo, a folder with config.json and the weights, a URL, or org/name of the Hub")
    .option("--list", "list the published checkpoints: parameters, sizes, and what accuracy others publish")
    .option("--device", "describe what there is to compute on: threads, instructions, the WebGPU adapter")
    .option("--program", "print every operation of both towers with its shapes, weights, FLOPs and bytes")
    .option("--json", "print JSON");
  addCacheOption(command).action(async (name: string | undefined, options: InfoOptions) => {
    const { device, list, program, json, cache } = options;
    if (name === undefined && !device && !list) {
      command.error("error: wanted a model, --list or --device, found none of them");
    }
    const manifest = list ? readManifest() : undefined;
    const model = name === undefined ? undefined : await readModel(name, cache, signal);
    const adapter = device ? await readDevice() : undefined;
    const wasm = device ? await readWasm() : undefined;
    const programs = model && program ? readPrograms(model.config, "f16") : undefined;
    if (json) return printJson({ ...manifest, ...model, adapter, wasm, programs });
    if (manifest) print(showManifest(manifest));
    if (manifest && (model || device)) print();
    if (model) print(programs ? showPrograms(programs) : showModel(model));
    if (model && device) print();
    if (adapter !== undefined) print(showDevice(adapter));
    if (wasm !== undefined) print(`\n${showWasm(wasm)}`);
  });
}

async function readModel(model: string, cache: boolean, signal: AbortSignal): Promise<ModelInfo> {
  const found = await findFiles(model, { onWarning: tell, cache });
  const files: { name: string; size: number }[] = [];
  const open = async (file: string): Promise<Source | undefined> => {
    const source = await found.open(file, signal);
    const { name, size } = source?.from ?? { name: file, size: source?.size ?? 0 };
    if (source && !files.some((one) => one.name === name)) files.push({ name, size });
    return source;
  };
  const listed = { name: found.name, open, close: found.close };
  try {
    const config = await readConfig(listed, undefined, signal);
    const { tensors } = await openCheckpoint(listed, signal);
    const weights = {
      image: sum(tensors, PREFIX.image),
      text: sum(tensors, PREFIX.text),
      total: sum(tensors, ""),
    };
    const tokenizer = "complete" in found ? undefined : await describeTokenizer(listed, signal);
    return { model, config, weights, tokenizer, files };
  } finally {
    await found.close();
  }
}

async function describeTokenizer(files: ModelFiles, signal: AbortSignal): Promise<ModelInfo["tokenizer"]> {
  const bytes = await readTokenizer(files, signal);
  const json = bytes ? undefined : await readJson(files, "tokenizer.json", signal, TOKENIZER_LIMIT);
  if (!bytes && json === undefined) return null;
  const { algorithm, size } = bytes ? SentencePiece.parse(bytes) : new SentencePiece(readTokenizerJson(json).model);
  return { algorithm, pieces: size };
}

function sum(tensors: Checkpoint["tensors"], prefix: string): WeightCount {
  const weights: WeightCount = { parameters: 0, bytes: 0, dtypes: {} };
  for (const { name, dtype, begin, end } of tensors.values()) {
    // Buffers of older files, which are no parameters.
    if (!name.startsWith(prefix) || name.endsWith("position_ids")) continue;
    const count = (end - begin) / elementSize(dtype);
    weights.parameters += count;
    weights.bytes += end - begin;
    weights.dtypes[dtype] = (weights.dtypes[dtype] ?? 0) + count;
  }
  return weights;
}

function showModel({ model, config, weights, tokenizer, files }: ModelInfo): string {
  const { towers, vision, text, image, classes } = config;
  const of = (row: (tower: Tower, shape: TowerConfig) => string) =>
    towers.map((tower) => row(tower, tower === "image" ? vision : text));
  const rows = [
    ["", ...towers],
    ["parameters", ...of((tower) => grouped(weights[tower].parameters))],
    ["stored as", ...of((tower) => Object.keys(weights[tower].dtypes).join(", "))],
    ["size", ...of((tower) => bytes(weights[tower].bytes))],
    ["layers", ...of((_, { layers }) => `${layers}`)],
    ["hidden", ...of((_, { hidden }) => `${hidden}`)],
    ["MLP", ...of((_, { mlp }) => `${mlp}`)],
    ["heads", ...of((_, { heads, hidden }) => `${heads} of ${hidden / heads}`)],
    ["input", ...of((tower) => (tower === "text" ? `${text.positions} tokens` : pixels(config)))],
    ["patches", ...of((tower) => (tower === "text" ? "" : patches(config)))],
    ["vocabulary", ...of((tower) => (tower === "text" ? grouped(text.vocabulary) : ""))],
  ].filter(([head, ...cells]) => !head || cells.some(Boolean));
  const pieces = tokenizer
    ? `${tokenizer.algorithm}, ${grouped(tokenizer.pieces)} pieces`
    : tokenizer === null
      ? "none"
      : "not looked at";
  const facts = [
    ["in all", `${grouped(weights.total.parameters)} parameters, ${bytes(weights.total.bytes)}`],
    ["embedding", embedding(config)],
    ["pictures", `${pixels(config)}, ${image.resample}, mean ${image.mean.join(" ")}, std ${image.std.join(" ")}`],
    ["tokenizer", pieces],
    ["labels", classes ? `${classes.labels.length}: ${plain(classes.labels.join(", "))}` : ""],
  ].filter(([head, fact]) => fact && towers.includes(head === "pictures" ? "image" : towers[0]));
  const listed = files.map(({ name, size }) => [bytes(size), plain(name)]);
  return [style("bold", plain(model)), aligned(rows), "", aligned(facts), "", aligned(listed)].join("\n");
}

function pixels({ image }: SiglipConfig): string {
  return image.maxPatches ? "any shape" : `${image.size.join(" x ")} px`;
}

function patches({ image, vision }: SiglipConfig): string {
  return `${image.maxPatches ? `at most ${image.maxPatches}` : vision.tokens} of ${vision.patchSize} px`;
}

function embedding({ towers, vision, text }: SiglipConfig): string {
  if (!towers.includes("image")) return `${text.projection} values`;
  return vision.head ? `${vision.hidden} values` : "none, for it has no MAP head";
}
