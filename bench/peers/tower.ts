import type { VisionConfig } from "../../src/model/config.ts";
import { syntheticTensor } from "../../test/judge/synthetic.ts";
import { type Float, Graph } from "./onnx.ts";
import { type Product, products } from "./products.ts";

/** The names of the tower's input [batch, 3, size, size] and output [batch, hidden]. */
export const INPUT = "pixel_values";
export const OUTPUT = "pooler_output";

/**
 * How attention is written: as onnxruntime's fused MultiHeadAttention, or in the plain nodes that PyTorch's exporter writes,
 * for adapters on which onnxruntime's fused kernel is wrong.
 */
export type Attention = "fused" | "plain";

/**
 * The image tower on synthetic weights as an ONNX graph: the nodes that PyTorch's exporter writes, after the fusions of
 * onnxruntime's transformer optimizer (`onnxruntime/python/tools/transformers`) and its float16 converter. The batch is fixed,
 * so that nothing is left to be inferred when it runs. `product` is how weights of linear layers are stored and multiplied. The external
 * file is the same for every batch and either attention.
 */
export function imageTower(
  config: VisionConfig,
  options: { dtype: Float; product: Product; batch: number; attention: Attention; file: string },
) {
  const { dtype, product, batch, attention, file } = options;
  const g = new Graph(dtype, file);
  const { hidden, mlp, tokens, heads, patchSize, imageSize, channels } = config;
  const epsilon = { float: config.eps };

  const plain = (name: string, shape: number[]) => g.weight(name, shape, () => syntheticTensor(name, shape));
  const multiply = products(g, product);
  /** x times rows `from` to `to` of a torch weight [out, in]. */
  const matmulRows = (x: string, name: string, shape: number[], from: number, to: number) =>
    multiply(x, {
      name: `${name}.${from}`,
      out: to - from,
      depth: shape[1],
      rows: () => syntheticTensor(name, shape, from, to),
    });
  const matmul = (x: string, name: string, out: number, depth: number) =>
    matmulRows(x, `${name}.weight`, [out, depth], 0, out);
  const bias = (name: string, width: number) => plain(`${name}.bias`, [width]);
  const norm = (name: string) => [plain(`${name}.weight`, [hidden]), bias(name, hidden)];
  const layerNorm = (x: string, name: string) =>
    g.node("LayerNormalization", [x, ...norm(name)], { axis: -1, epsilon });
  const scale = attention === "plain" ? g.scalar("scale", 1 / Math.sqrt(hidden / heads)) : "";
  const split = attention === "plain" ? g.integers("split_shape", [0, 0, heads, hidden / heads]) : "";
  const merged = attention === "plain" ? g.integers("merged_shape", [0, 0, hidden]) : "";
  /** Self-attention of projections without their biases, which `biases` makes, q's, k's and v's in turn. */
  const attend = (qkv: readonly string[], name: string, biases: () => Float32Array) => {
    if (attention === "fused") {
      return g.fused("MultiHeadAttention", [...qkv, g.weight(name, [3 * hidden], biases)], { num_heads: heads })[0];
    }
    const names = g.weights(
      ["q", "k", "v"].map((part) => `${name}.${part}`),
      [hidden],
      biases,
    );
    const [q, k, v] = qkv.map((x, index) =>
      g.node("Transpose", [g.node("Reshape", [g.node("Add", [x, names[index]]), split])], {
        perm: index === 1 ? [0, 2, 3, 1] : [0, 2, 1, 3],
      }),
    );
    const scores = g.node("MatMul", [g.node("Mul", [q, scale]), k]);
    const mixed = g.node("MatMul", [g.node("Softmax", [scores], { axis: -1 }), v]);
    return g.node("Reshape", [g.node("Transpose", [mixed], { perm: [0, 2, 1, 3] }), merged]);
  };
  /** fc2(gelu(fc1(x))) without fc2's bias, which the next node adds. */
  const perceptron = (x: string, name: string) => {
    const inner = matmul(x, `${name}.fc1`, mlp, hidden);
    const activated = g.fused("FastGelu", [inner, bias(`${name}.fc1`, mlp)])[0];
    return matmul(activated, `${name}.fc2`, hidden, mlp);
  };
  /** The norm of x + skip + its bias, and that sum. */
  const skipNorm = (x: string, skip: string, biased: string, name: string) => {
    const inputs = [x, skip, ...norm(name), bias(biased, hidden)];
    const [normed, , , sum] = g.fused("SkipLayerNormalization", inputs, { epsilon }, [true, false, false, true]);
    return [normed, sum];
  };

  const embeddings = "vision_model.embeddings";
  const patches = g.node(
    "Conv",
    [
      g.input(INPUT),
      plain(`${embeddings}.patch_embedding.weight`, [hidden, channels, patchSize, patchSize]),
      bias(`${embeddings}.patch_embedding`, hidden),
    ],
    {
      kernel_shape: [patchSize, patchSize],
      strides: [patchSize, patchSize],
      pads: [0, 0, 0, 0],
      dilations: [1, 1],
      group: 1,
    },
  );
  const flat = g.node("Reshape", [patches, g.integers("patch_shape", [0, hidden, tokens])]);
  const positions = plain(`${embeddings}.position_embedding.weight`, [tokens, hidden]);
  let x = g.node("Add", [g.node("Transpose", [flat], { perm: [0, 2, 1] }), positions]);

  const layers = Array.from({ length: config.layers }, (_, index) => `vision_model.encoder.layers.${index}`);
  let normed = layerNorm(x, `${layers[0]}.layer_norm1`);
  for (const [index, layer] of layers.entries()) {
    const self = `${layer}.self_attn`;
    const qkv = ["q", "k", "v"].map((part) => matmul(normed, `${self}.${part}_proj`, hidden, hidden));
    const biases = () => {
      const parts = ["q", "k", "v"].map((part) => syntheticTensor(`${self}.${part}_proj.bias`, [hidden]));
      return Float32Array.from(parts.flatMap((part) => [...part]));
    };
    const attended = matmul(attend(qkv, `${self}.bias`, biases), `${self}.out_proj`, hidden, hidden);
    [normed, x] = skipNorm(attended, x, `${self}.out_proj`, `${layer}.layer_norm2`);
    const next = layers[index + 1];
    const nextNorm = next ? `${next}.layer_norm1` : "vision_model.post_layernorm";
    [normed, x] = skipNorm(perceptron(normed, `${layer}.mlp`), x, `${layer}.mlp.fc2`, nextNorm);
  }

  const head = "vision_model.head";
  const projections = `${head}.attention.in_proj_weight`;
  const project = (input: string, third: number) =>
    matmulRows(input, projections, [3 * hidden, hidden], third * hidden, (third + 1) * hidden);
  const probe = g.node("Expand", [
    plain(`${head}.probe`, [1, 1, hidden]),
    g.integers("probe_shape", [batch, 1, hidden]),
  ]);
  const biases = `${head}.attention.in_proj_bias`;
  const pooled = attend([project(probe, 0), project(normed, 1), project(normed, 2)], biases, () =>
    syntheticTensor(biases, [3 * hidden]),
  );
  const out = `${head}.attention.out_proj`;
  const h = g.node("Add", [matmul(pooled, out, hidden, hidden), bias(out, hidden)]);
  const mlpOut = perceptron(layerNorm(h, `${head}.layernorm`), `${head}.mlp`);
  const sum = g.node("Add", [h, g.node("Add", [mlpOut, bias(`${head}.mlp.fc2`, hidden)])]);
  g.output(g.node("Reshape", [sum, g.integers("pooled_shape", [batch, hidden])]), OUTPUT);

  const model = g.model({ [INPUT]: [batch, channels, imageSize, imageSize] }, { [OUTPUT]: [batch, hidden] });
  return { model, external: g.external, nodes: g.types };
}
