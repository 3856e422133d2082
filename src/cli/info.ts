import type { Command } from "commander";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { type DType, elementSize } from "../checkpoint/safetensors.ts";
import type { Source } from "../checkpoint/source.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { openCheckpoint, readConfig, readJson, readTokenizer, TOKENIZER_LIMIT } from "../files/read-model.ts";
import type { SiglipConfig } from "../model/config.ts";
import { PREFIX } from "../model/layouts/hugging-face.ts";
import { findFiles } from "../node/find.ts";
import { bytes, grouped } from "../support/units.ts";
import { SentencePiece } from "../tokenizer/sentencepiece.ts";
import { readTokenizerJson } from "../tokenizer/tokenizer-json.ts";
import { readDevice, showDevice } from "./device.ts";
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
    .option("--device", "describe what there is to compute on: threads, instructions, the WebGPU adapter")
    .option("--program", "print every operation of both towers with its shapes, weights, FLOPs and bytes")
    .option("--json", "print JSON");
  addCacheOption(command).action(async (name: string | undefined, { device, program, json, cache }: InfoOptions) => {
    if (name === undefined && !device) command.error("error: wanted a model or --device, found neither");
    const model = name === undefined ? undefined : await readModel(name, cache, signal);
    const adapter = device ? await readDevice() : undefined;
    const wasm = device ? await readWasm() : undefined;
    const programs = model && program ? readPrograms(model.config, "f16") : undefined;
    if (json) return printJson({ ...model, adapter, wasm, programs });
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
    if (source) files.push({ name: file, size: source.size });
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
  const { vision, text, image } = config;
  const towers = [vision, text];
  const stored = [weights.image, weights.text];
  const rows = [
    ["", "image", "text"],
    ["parameters", ...stored.map(({ parameters }) => grouped(parameters))],
    ["stored as", ...stored.map(({ dtypes }) => Object.keys(dtypes).join(", "))],
    ["size", ...stored.map((tower) => bytes(tower.bytes))],
    ["layers", ...towers.map(({ layers }) => `${layers}`)],
    ["hidden", ...towers.map(({ hidden }) => `${hidden}`)],
    ["MLP", ...towers.map(({ mlp }) => `${mlp}`)],
    ["heads", ...towers.map(({ heads, hidden }) => `${heads} of ${hidden / heads}`)],
    ["input", image.maxPatches ? "any shape" : `${image.size.join(" x ")} px`, `${text.positions} tokens`],
    ["patches", `${image.maxPatches ? `at most ${image.maxPatches}` : vision.tokens} of ${vision.patchSize} px`],
    ["vocabulary", "", grouped(text.vocabulary)],
  ];
  const pieces = tokenizer
    ? `${tokenizer.algorithm}, ${grouped(tokenizer.pieces)} pieces`
    : tokenizer === null
      ? "none"
      : "not looked at";
  const facts = [
    ["in all", `${grouped(weights.total.parameters)} parameters, ${bytes(weights.total.bytes)}`],
    ["embedding", `${vision.hidden} values`],
    [
      "pictures",
      `${image.maxPatches ? "aspect ratio kept" : image.size.join(" x ")}, ${image.resample}, mean ${image.mean.join(" ")}, std ${image.std.join(" ")}`,
    ],
    ["tokenizer", pieces],
  ];
  const listed = files.map(({ name, size }) => [bytes(size), plain(name)]);
  return [style("bold", plain(model)), aligned(rows), "", aligned(facts), "", aligned(listed)].join("\n");
}
