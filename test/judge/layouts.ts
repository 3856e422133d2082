import type { SiglipConfig } from "../../src/model/config.ts";
import { syntheticShapes, syntheticTensor } from "./synthetic.ts";

/** A tensor's values, row-major. */
export interface Values {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Tensors by name. */
export type Tensors = Map<string, Values>;

/** Values as they stand in files. */
export function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Synthetic weights under Hugging Face's names. */
export function syntheticTensors(config: SiglipConfig): Tensors {
  return new Map(
    [...syntheticShapes(config)].map(([name, shape]) => [name, { shape, data: syntheticTensor(name, shape) }]),
  );
}

/** The same as open_clip saves them. */
export function asOpenClip(tensors: Tensors): Tensors {
  const out: Tensors = new Map();
  const get = (name: string) => tensors.get(name)!;
  const both = (to: string, from: string) => {
    for (const kind of ["weight", "bias"]) out.set(`${to}.${kind}`, get(`${from}.${kind}`));
  };
  const stack = (to: string, from: string) => {
    for (const [kind, suffix] of Object.entries(to.endsWith("_") ? { weight: "weight", bias: "bias" } : DOTTED)) {
      out.set(`${to}${suffix}`, concatenate(["q", "k", "v"].map((which) => get(`${from}.${which}_proj.${kind}`))));
    }
  };
  for (const name of ["logit_scale", "logit_bias"]) out.set(name, { shape: [], data: get(name).data });
  const [trunk, vision, text] = ["visual.trunk", "vision_model", "text_model"];
  both(`${trunk}.patch_embed.proj`, `${vision}.embeddings.patch_embedding`);
  const positions = get(`${vision}.embeddings.position_embedding.weight`);
  out.set(`${trunk}.pos_embed`, { ...positions, shape: [1, ...positions.shape] });
  for (let n = 0; tensors.has(`${vision}.encoder.layers.${n}.mlp.fc1.weight`); n++) {
    const [to, from] = [`${trunk}.blocks.${n}`, `${vision}.encoder.layers.${n}`];
    both(`${to}.norm1`, `${from}.layer_norm1`);
    both(`${to}.norm2`, `${from}.layer_norm2`);
    stack(`${to}.attn.qkv`, `${from}.self_attn`);
    both(`${to}.attn.proj`, `${from}.self_attn.out_proj`);
    both(`${to}.mlp.fc1`, `${from}.mlp.fc1`);
    both(`${to}.mlp.fc2`, `${from}.mlp.fc2`);
  }
  both(`${trunk}.norm`, `${vision}.post_layernorm`);
  out.set(`${trunk}.attn_pool.latent`, get(`${vision}.head.probe`));
  for (const kind of ["weight", "bias"]) {
    const fused = get(`${vision}.head.attention.in_proj_${kind}`);
    const third = fused.shape[0] / 3;
    out.set(`${trunk}.attn_pool.q.${kind}`, rows(fused, 0, third));
    out.set(`${trunk}.attn_pool.kv.${kind}`, rows(fused, third, 3 * third));
  }
  both(`${trunk}.attn_pool.proj`, `${vision}.head.attention.out_proj`);
  both(`${trunk}.attn_pool.norm`, `${vision}.head.layernorm`);
  both(`${trunk}.attn_pool.mlp.fc1`, `${vision}.head.mlp.fc1`);
  both(`${trunk}.attn_pool.mlp.fc2`, `${vision}.head.mlp.fc2`);
  out.set("text.token_embedding.weight", get(`${text}.embeddings.token_embedding.weight`));
  out.set("text.positional_embedding", get(`${text}.embeddings.position_embedding.weight`));
  for (let n = 0; tensors.has(`${text}.encoder.layers.${n}.mlp.fc1.weight`); n++) {
    const [to, from] = [`text.transformer.resblocks.${n}`, `${text}.encoder.layers.${n}`];
    both(`${to}.ln_1`, `${from}.layer_norm1`);
    both(`${to}.ln_2`, `${from}.layer_norm2`);
    stack(`${to}.attn.in_proj_`, `${from}.self_attn`);
    both(`${to}.attn.out_proj`, `${from}.self_attn.out_proj`);
    both(`${to}.mlp.c_fc`, `${from}.mlp.fc1`);
    both(`${to}.mlp.c_proj`, `${from}.mlp.fc2`);
  }
  both("text.ln_final", `${text}.final_layer_norm`);
  both("text.text_projection", `${text}.head`);
  return out;
}

const DOTTED = { weight: ".weight", bias: ".bias" };

/** The same as big_vision saves them: a block an array, or all blocks of a tower in one. */
export function asBigVision(tensors: Tensors, { vision, text }: SiglipConfig, stacked: boolean): Tensors {
  const out: Tensors = new Map();
  const get = (name: string) => tensors.get(name)!;
  const norm = (to: string, from: string) => {
    out.set(`${to}/scale`, get(`${from}.weight`));
    out.set(`${to}/bias`, get(`${from}.bias`));
  };
  const dense = (to: string, from: string) => {
    out.set(`${to}/kernel`, transpose(get(`${from}.weight`)));
    out.set(`${to}/bias`, get(`${from}.bias`));
  };
  const heads = (to: string, weight: Values, bias: Values, count: number) => {
    const [width] = bias.shape;
    const split = [count, width / count];
    const { data } = transpose(weight);
    out.set(`${to}/kernel`, { shape: to.endsWith("out") ? [...split, width] : [width, ...split], data });
    out.set(`${to}/bias`, { shape: to.endsWith("out") ? [width] : split, data: bias.data });
  };
  const blocks = (to: string, from: string, count: number) => {
    for (let n = 0; tensors.has(`${from}.encoder.layers.${n}.mlp.fc1.weight`); n++) {
      const [block, layer] = [`${to}/encoderblock_${n}`, `${from}.encoder.layers.${n}`];
      norm(`${block}/LayerNorm_0`, `${layer}.layer_norm1`);
      norm(`${block}/LayerNorm_1`, `${layer}.layer_norm2`);
      dense(`${block}/MlpBlock_0/Dense_0`, `${layer}.mlp.fc1`);
      dense(`${block}/MlpBlock_0/Dense_1`, `${layer}.mlp.fc2`);
      for (const [theirs, ours] of Object.entries({ query: "q", key: "k", value: "v", out: "out" })) {
        const name = `${layer}.self_attn.${ours}_proj`;
        const at = `${block}/MultiHeadDotProductAttention_0/${theirs}`;
        heads(at, get(`${name}.weight`), get(`${name}.bias`), count);
      }
    }
  };
  const leading = ({ shape, data }: Values) => ({ shape: [1, ...shape], data });
  out.set("params/t", get("logit_scale"));
  out.set("params/b", get("logit_bias"));
  const patches = get("vision_model.embeddings.patch_embedding.weight");
  out.set("params/img/embedding/kernel", vision.naflex ? transpose(patches) : patchKernel(patches));
  out.set("params/img/embedding/bias", get("vision_model.embeddings.patch_embedding.bias"));
  const positions = get("vision_model.embeddings.position_embedding.weight");
  const side = Math.sqrt(vision.tokens);
  const grid = { shape: [side, side, vision.hidden], data: positions.data };
  out.set("params/img/pos_embedding", vision.naflex ? grid : leading(positions));
  blocks("params/img/Transformer", "vision_model", vision.heads);
  norm("params/img/Transformer/encoder_norm", "vision_model.post_layernorm");
  const head = "params/img/MAPHead_0";
  out.set(`${head}/probe`, get("vision_model.head.probe"));
  const [weight, bias] = ["weight", "bias"].map((kind) => get(`vision_model.head.attention.in_proj_${kind}`));
  for (const [third, name] of ["query", "key", "value"].entries()) {
    const [from, to] = [third * vision.hidden, (third + 1) * vision.hidden];
    const at = `${head}/MultiHeadDotProductAttention_0/${name}`;
    heads(at, rows(weight, from, to), rows(bias, from, to), vision.heads);
  }
  const projection = "vision_model.head.attention.out_proj";
  const at = `${head}/MultiHeadDotProductAttention_0/out`;
  heads(at, get(`${projection}.weight`), get(`${projection}.bias`), vision.heads);
  norm(`${head}/LayerNorm_0`, "vision_model.head.layernorm");
  dense(`${head}/MlpBlock_0/Dense_0`, "vision_model.head.mlp.fc1");
  dense(`${head}/MlpBlock_0/Dense_1`, "vision_model.head.mlp.fc2");
  out.set("params/txt/Embed_0/embedding", get("text_model.embeddings.token_embedding.weight"));
  out.set("params/txt/pos_embedding", leading(get("text_model.embeddings.position_embedding.weight")));
  blocks("params/txt/Encoder_0", "text_model", text.heads);
  norm("params/txt/Encoder_0/encoder_norm", "text_model.final_layer_norm");
  dense("params/txt/head", "text_model.head");
  return stacked ? stackBlocks(out) : out;
}

/** Arrays of `encoderblock_0`, `encoderblock_1`, … as one of `encoderblock`. */
function stackBlocks(arrays: Tensors): Tensors {
  const out: Tensors = new Map();
  for (const [name, values] of arrays) {
    if (!/encoderblock_\d+/.test(name)) out.set(name, values);
    if (!name.includes("encoderblock_0/")) continue;
    const layers: Values[] = [];
    for (let n = 0; arrays.has(name.replace("block_0/", `block_${n}/`)); n++) {
      layers.push(arrays.get(name.replace("block_0/", `block_${n}/`))!);
    }
    const { data } = concatenate(layers);
    out.set(name.replace("block_0/", "block/"), { shape: [layers.length, ...values.shape], data });
  }
  return out;
}

/** [D, 3, p, p] to [p, p, 3, D]. */
function patchKernel({ shape, data }: Values): Values {
  const [width, channels, height, across] = shape;
  const out = new Float32Array(data.length);
  let at = 0;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < across; x++)
      for (let c = 0; c < channels; c++)
        for (let d = 0; d < width; d++) out[at++] = data[((d * channels + c) * height + y) * across + x];
  return { shape: [height, across, channels, width], data: out };
}

function transpose({ shape: [rows, columns], data }: Values): Values {
  const out = new Float32Array(data.length);
  for (let i = 0; i < out.length; i++) out[i] = data[(i % rows) * columns + Math.floor(i / rows)];
  return { shape: [columns, rows], data: out };
}

function rows({ shape, data }: Values, from: number, to: number): Values {
  const each = data.length / shape[0];
  return { shape: [to - from, ...shape.slice(1)], data: data.subarray(from * each, to * each) };
}

function concatenate(parts: readonly Values[]): Values {
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  const [first, ...rest] = parts[0].shape;
  return { shape: [first * parts.length, ...rest], data };
}
