/** A fault of one line that some test has to notice. */
export interface Mutant {
  readonly name: string;
  /** Which file of the tree has it. */
  readonly file: string;
  /** What stands there, once. */
  readonly find: string;
  /** What the fault makes of it. */
  readonly replace: string;
  /** The test that notices: its file, and a pattern of the names of the cases that are run. */
  readonly killedBy: readonly [file: string, pattern: string];
}

const GOLDEN = "test/model/golden.test.ts";
const CONFORMANCE = "test/tensor/conformance.test.ts";
/** The smallest golden case, on the backend that compiles nothing. */
const ON_CPU = "tiny-ragged on cpu";

/** Faults that are easily made and hard to see, one or more in every part that computes or decides something. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "resize: sums are cut off, not rounded",
    file: "src/image/resize.ts",
    find: "const HALF = 1 << (FRACTION_BITS - 1);",
    replace: "const HALF = 0;",
    killedBy: ["test/image/resize.test.ts", "equals PIL: 640 x 480"],
  },
  {
    name: "resize: a pixel's centre is its corner",
    file: "src/image/resize.ts",
    find: "const center = (t + 0.5) * scale;",
    replace: "const center = t * scale;",
    killedBy: ["test/image/resize.test.ts", "equals PIL: 640 x 480"],
  },
  {
    name: "EXIF: pictures that lie on their side stay so",
    file: "src/image/exif.ts",
    find: "[2, 3, 4, 5, 6, 7, 8].find(",
    replace: "[2, 3, 4].find(",
    killedBy: ["test/image/image.test.ts", "exif-orientation-[568]"],
  },
  {
    name: "PNG: the Paeth filter looks at the wrong corner",
    file: "src/image/png.ts",
    find: "above[i], above[i - distance]);",
    replace: "above[i], above[i]);",
    killedBy: ["test/image/image.test.ts", "photo-640x480"],
  },
  {
    name: "tokenizer: eos is dropped",
    file: "src/tokenizer/siglip.ts",
    find: "      ids[i * this.length + row.length] = EOS;\n",
    replace: "",
    killedBy: ["test/tokenizer/siglip.test.ts", "gives rows of the exact length|chooses dialect and pad"],
  },
  {
    name: "tokenizer: SigLIP 2 is padded with eos",
    file: "src/tokenizer/siglip.ts",
    find: '=== "bpe" ? 0 : EOS',
    replace: '=== "bpe" ? EOS : EOS',
    killedBy: ["test/tokenizer/siglip.test.ts", "chooses dialect and pad"],
  },
  {
    name: "tokenizer: a long text loses its eos",
    file: "src/tokenizer/siglip.ts",
    find: "this.length - 1;",
    replace: "this.length;",
    killedBy: ["test/tokenizer/siglip.test.ts", "truncation keeps the eos"],
  },
  {
    name: "http: a range is one byte short",
    file: "src/network/http.ts",
    find: "end - 1}",
    replace: "end - 2}",
    killedBy: ["test/network/http.test.ts", "read by one request for each range"],
  },
  {
    name: "http: what is asked for first of an extension's file passes for all of it",
    file: "src/network/http.ts",
    find: "if (this.size !== FIRST && this.size !== 0) return;",
    replace: "return;",
    killedBy: ["test/network/http.test.ts", "is read by ranges, whatever its length"],
  },
  {
    name: "http: another version of a file goes unnoticed",
    file: "src/network/http.ts",
    find: "if (mark !== (direct ? place?.mark : this.mark))",
    replace: "if (false)",
    killedBy: ["test/network/http.test.ts", "another content with a weak validator"],
  },
  {
    name: "http: the token follows a redirect",
    file: "src/network/exchange.ts",
    find: "token !== undefined && url.origin === start.origin",
    replace: "token !== undefined",
    killedBy: ["test/network/http.test.ts", "a redirect"],
  },
  {
    name: "checkpoint: reading goes on after an abort",
    file: "src/checkpoint/source.ts",
    find: "      signal?.throwIfAborted();\n      const length",
    replace: "      const length",
    killedBy: ["test/checkpoint/checkpoint.test.ts", "stop when the signal aborts"],
  },
  {
    name: "safetensors: tensors may overlap",
    file: "src/checkpoint/read-safetensors.ts",
    find: "if (info.begin < end)",
    replace: "if (info.end < end)",
    killedBy: ["test/checkpoint/safetensors.test.ts", "refuses overlapping tensors"],
  },
  {
    name: "cache: a kept block's digest is not compared",
    file: "src/node/cache/blocks.ts",
    find: "(digest, index) => digest !== found[index]",
    replace: "() => false",
    killedBy: ["test/node/cache/blocks.test.ts", "names what is damaged"],
  },
  {
    name: "cache: a whole file's digest is not compared",
    file: "src/node/cache/hub-repository.ts",
    find: 'hash.digest("hex") === oid',
    replace: 'hash.digest("hex") !== ""',
    killedBy: ["test/node/cache/hub.test.ts", "what is damaged"],
  },
  {
    name: "similarity: the bias is taken off",
    file: "src/siglip/siglip.ts",
    find: "cosine * scale + bias",
    replace: "cosine * scale - bias",
    killedBy: ["test/siglip/siglip.test.ts", "reference logits of all examples on the cpu"],
  },
  {
    name: "classifier: templates are added up but for the last",
    file: "src/siglip/classifier.ts",
    find: "for (let i = 0; i < data.length; i++) out[",
    replace: "for (let i = 0; i < data.length - width; i++) out[",
    killedBy: ["test/siglip/siglip.test.ts", "averages templates"],
  },
  {
    name: "search: of equals the last comes first",
    file: "src/search/top.ts",
    find: "a.index > b.index",
    replace: "a.index < b.index",
    killedBy: ["test/search/vector-index.test.ts", "the best of a list"],
  },
  {
    name: "search: rounded scores are taken for exact ones",
    file: "src/search/scan.ts",
    find: "=> lost[row] * length + rest",
    replace: "=> 0 * lost[row] * length * rest",
    killedBy: ["test/search/vector-index.test.ts", "the same ten to the bit"],
  },
  {
    name: "model: what pads a picture is attended",
    file: "src/model/transformer.ts",
    find: "part(fused, 2, hidden), heads, lengths)",
    replace: "part(fused, 2, hidden), heads)",
    killedBy: [GOLDEN, "tiny-naflex on cpu"],
  },
  {
    name: "naflex: a budget that is just kept counts as exceeded",
    file: "src/image/naflex.ts",
    find: "along(width, scale) <= maxPatches",
    replace: "along(width, scale) < maxPatches",
    killedBy: ["test/image/naflex.test.ts", "is Hugging Face's"],
  },
  {
    name: "model: queries and keys are swapped",
    file: "src/model/transformer.ts",
    find: "part(fused, 0, hidden), part(fused, 1, hidden)",
    replace: "part(fused, 1, hidden), part(fused, 0, hidden)",
    killedBy: [GOLDEN, ON_CPU],
  },
  {
    name: "model: the last layer is skipped",
    file: "src/model/transformer.ts",
    find: "    x = encoderBlock(",
    replace: "    if (index < blocks.length - 1) x = encoderBlock(",
    killedBy: [GOLDEN, ON_CPU],
  },
  {
    name: "model: pictures have no positions",
    file: "src/model/vision.ts",
    find: "{ add, exact: true }",
    replace: "{ exact: true }",
    killedBy: [GOLDEN, ON_CPU],
  },
  {
    name: "model: a text is its first position",
    file: "src/model/text.ts",
    find: "(item + 1) * positions - 1",
    replace: "item * positions",
    killedBy: [GOLDEN, ON_CPU],
  },
  {
    name: "program: a buffer is free one operation too early",
    file: "src/tensor/buffer-plan.ts",
    find: "made[a.id] <= end(b)",
    replace: "made[a.id] < end(b)",
    killedBy: [CONFORMANCE, "in a row .*f32 weights\\) direct"],
  },
  {
    name: "quantise: a group takes the scale before its own",
    file: "src/tensor/quantise.ts",
    find: "Math.floor(at / GROUP)",
    replace: "Math.max(0, Math.floor(at / GROUP) - 1)",
    killedBy: [CONFORMANCE, "linear \\[5,101\\].*q4 weights\\) on cpu"],
  },
  {
    name: "kernels: the bias is dropped",
    file: "kernels/parts/epilogue.wgsl",
    find: "sums + bias[column]",
    replace: "sums",
    killedBy: [CONFORMANCE, "linear \\[3,48\\].*f32 weights\\) direct"],
  },
  {
    name: "kernels: tanh is not clamped",
    file: "kernels/parts/gelu.wgsl",
    find: "tanh(clamp(inner, vec4(-15.0), vec4(15.0)))",
    replace: "tanh(inner)",
    killedBy: ["test/tensor/webgpu/kernels.test.ts", "GELU asks tanh"],
  },
  {
    name: "kernels: keys beyond the last are not masked",
    file: "kernels/attention.wgsl",
    find: "j < KEYS && first_key + j < keys",
    replace: "j < KEYS",
    killedBy: [CONFORMANCE, "heads of 7, 19 queries.*f32 weights\\) direct"],
  },
  {
    name: "kernels: the scales of two groups are swapped",
    file: "kernels/parts/codes.wgsl",
    find: "at / 4u % 2u == 1u",
    replace: "at / 4u % 2u == 0u",
    killedBy: [CONFORMANCE, "linear \\[5,101\\].*q4 weights\\) direct"],
  },
  {
    name: "webgpu: an abort between two submits is ignored",
    file: "src/tensor/webgpu/queue.ts",
    find: "      signal?.throwIfAborted();\n",
    replace: "",
    killedBy: ["test/tensor/webgpu/webgpu.test.ts", "submits nothing more once a forward is aborted"],
  },
  {
    name: "wasm: the second four columns take the bias of the first",
    file: "kernels/wasm/linear.ts",
    find: "v128.load(bias, half)",
    replace: "v128.load(bias, 0)",
    killedBy: [CONFORMANCE, "linear \\[3,48\\].*f32 weights\\) on wasm"],
  },
  {
    name: "wasm: layer norm leaves out its bias",
    file: "kernels/wasm/layer-norm.ts",
    find: "v128.load(i32.add(bias, at))",
    replace: "v128.load(i32.add(y, at))",
    killedBy: [CONFORMANCE, "layerNorm \\[3,7\\].*f32 weights\\) on wasm"],
  },
  {
    name: "service worker: whatever answers is kept",
    file: "src/web/service-worker.ts",
    find: "return hex === own.get(url) ?",
    replace: "return hex ?",
    killedBy: ["test/fuzz/fuzz.test.ts", "page-cache"],
  },
  {
    name: "browser storage: a copy is believed whatever model it says it is of",
    file: "src/browser/storage/cache.ts",
    find: "if (!manifest || manifest.model !== model) continue;",
    replace: "if (!manifest) continue;",
    killedBy: ["test/fuzz/fuzz.test.ts", "browser-cache"],
  },
  {
    name: "names: those behind nothing are taken first",
    file: "src/model/layouts/prefixes.ts",
    find: "b.found!.length - a.found!.length",
    replace: "a.found!.length - b.found!.length",
    killedBy: ["test/siglip/family.test.ts", "are found behind wrappers that stand in their middle"],
  },
  {
    name: "config: what transformers 5 says of pictures is not looked for",
    file: "src/files/read-model.ts",
    find: "as Json)?.image_processor;",
    replace: "as Json)?.feature_extractor;",
    killedBy: ["test/siglip/family.test.ts", "are read of processor_config.json"],
  },
  {
    name: "classifier: tokens are summed, not averaged",
    file: "src/siglip/own-labels.ts",
    find: "tokens[i] / (tokens.length / hidden)",
    replace: "tokens[i]",
    killedBy: ["test/siglip/classes.test.ts", "class_logits .* on cpu"],
  },
  {
    name: "classifier: labels that exclude each other are judged one by one",
    file: "src/model/classes.ts",
    find: "independent: multiple || labels.length === 1",
    replace: "independent: true",
    killedBy: ["test/siglip/classes.test.ts", "ranks its own labels by a softmax"],
  },
];
