import { asComposed, type ComposedTensor, type Part } from "../../checkpoint/composed.ts";
import type { TensorInfo } from "../../checkpoint/safetensors.ts";
import type { Source } from "../../checkpoint/source.ts";
import { mismatch } from "../../support/error.ts";

/** What training may have put before every name. */
const WRAPPERS = /^((module|model|_orig_mod)\.)*/;

/** Beginnings of names, longest first where one begins another: open_clip's and Hugging Face's. */
const NAMES: readonly (readonly [string, string])[] = [
  ["visual.trunk.patch_embed.proj.", "vision_model.embeddings.patch_embedding."],
  ["visual.trunk.pos_embed", "vision_model.embeddings.position_embedding.weight"],
  ["visual.trunk.blocks.", "vision_model.encoder.layers."],
  ["visual.trunk.norm.", "vision_model.post_layernorm."],
  ["visual.trunk.attn_pool.latent", "vision_model.head.probe"],
  ["visual.trunk.attn_pool.proj.", "vision_model.head.attention.out_proj."],
  ["visual.trunk.attn_pool.norm.", "vision_model.head.layernorm."],
  ["visual.trunk.attn_pool.mlp.", "vision_model.head.mlp."],
  ["text.token_embedding.weight", "text_model.embeddings.token_embedding.weight"],
  ["text.positional_embedding", "text_model.embeddings.position_embedding.weight"],
  ["text.transformer.resblocks.", "text_model.encoder.layers."],
  ["text.ln_final.", "text_model.final_layer_norm."],
  ["text.text_projection.", "text_model.head."],
];

/** The same within a block. */
const IN_BLOCK: readonly (readonly [RegExp, string])[] = [
  [/\.(norm|ln_)([12])\./, ".layer_norm$2."],
  [/\.attn\.(out_)?proj\./, ".self_attn.out_proj."],
  [/\.mlp\.c_fc\./, ".mlp.fc1."],
  [/\.mlp\.c_proj\./, ".mlp.fc2."],
];

/**
 * An open_clip checkpoint's tensors (timm's image tower as `visual.trunk`, open_clip's own text tower) under Hugging
 * Face's names: fused q, k, v are taken apart, the pooling head's q and kv put together, `pos_embed` loses its first
 * axis. What has no such name keeps its own.
 */
export function fromTimm(tensors: ReadonlyMap<string, TensorInfo>, source: Source): ComposedTensor[] {
  const found = new Map([...tensors.values()].map((info) => [info.name.replace(WRAPPERS, ""), info]));
  const composed: ComposedTensor[] = [];
  for (const [name, info] of [...found].sort(([, a], [, b]) => a.begin - b.begin)) {
    const pooled = /^visual\.trunk\.attn_pool\.(q|kv)\.(weight|bias)$/.exec(name);
    const fused = /^(.*\.)attn\.(qkv\.|in_proj_)(weight|bias)$/.exec(name);
    if (pooled) {
      const [, which, kind] = pooled;
      const others = { q: "kv", kv: "q" }[which as "q" | "kv"];
      const other = found.get(`visual.trunk.attn_pool.${others}.${kind}`);
      if (!other) {
        const wanted = `the tensor visual.trunk.attn_pool.${others}.${kind}`;
        throw mismatch("bad-checkpoint", source.name, wanted, "none", "fetch the model again");
      }
      // Once for both.
      if (which === "kv") composed.push(joined(`vision_model.head.attention.in_proj_${kind}`, other, info, source));
    } else if (fused) {
      const [, block, , kind] = fused;
      for (const [third, part] of ["q", "k", "v"].entries()) {
        composed.push(slice(`${rename(block)}self_attn.${part}_proj.${kind}`, info, source, third));
      }
    } else {
      const tensor = asComposed(info, source);
      const [first = 1, ...rest] = info.shape;
      const shape = name.endsWith(".pos_embed") && first === 1 ? rest : name.startsWith("logit_") ? [1] : info.shape;
      composed.push({ ...tensor, name: rename(name), shape });
    }
  }
  return composed;
}

function rename(name: string): string {
  const [theirs, ours] = NAMES.find(([theirs]) => name.startsWith(theirs)) ?? ["", ""];
  const renamed = ours + name.slice(theirs.length);
  if (!/\.encoder\.layers\./.test(ours)) return renamed;
  return IN_BLOCK.reduce((text, [from, to]) => text.replace(from, to), renamed);
}

function joined(name: string, q: TensorInfo, kv: TensorInfo, source: Source): ComposedTensor {
  const [rows, ...rest] = q.shape;
  const parts = [q, kv].map(({ begin, end }): Part => ({ source, begin, end }));
  if (q.dtype !== kv.dtype) {
    const advice = "write the model again in one precision";
    throw mismatch("unsupported", source.name, `${kv.name} as ${q.dtype}, as ${q.name} is`, kv.dtype, advice);
  }
  return { name, dtype: q.dtype, shape: [3 * rows, ...rest], parts };
}

/** One third of the rows. */
function slice(name: string, { dtype, shape, begin, end }: TensorInfo, source: Source, third: number): ComposedTensor {
  const [rows = 0, ...rest] = shape;
  if (rows % 3 !== 0) {
    const wanted = "q, k and v of one height";
    throw mismatch("bad-checkpoint", source.name, `${wanted} in ${name}`, `${rows} rows`, "fetch the model again");
  }
  const bytes = (end - begin) / 3;
  const part = { source, begin: begin + third * bytes, end: begin + (third + 1) * bytes };
  return { name, dtype, shape: [rows / 3, ...rest], parts: [part] };
}
