import type { Tower } from "../towers.ts";

/** What Hugging Face puts before the names of each tower's tensors; the layout whose names the towers ask for. */
export const PREFIX: Readonly<Record<Tower, string>> = { image: "vision_model.", text: "text_model." };

/** The last norms: a checkpoint that has either by this name has all others by theirs. */
export const NORMS = [`${PREFIX.image}post_layernorm.weight`, `${PREFIX.text}final_layer_norm.weight`] as const;

/** The one tensor of which only rows are read; see TokenTable. */
export const TOKEN_TABLE = `${PREFIX.text}embeddings.token_embedding.weight`;

/** Buffers that older checkpoints carry and that say nothing. */
export const HARMLESS = /(^|\.)position_ids$/;

/** The tower that a tensor belongs to; undefined for what both share (`logit_scale`, `logit_bias`). */
export function towerOf(tensor: string): Tower | undefined {
  return (["image", "text"] as const).find((tower) => tensor.startsWith(PREFIX[tower]));
}
