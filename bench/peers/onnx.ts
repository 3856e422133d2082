import { float32ToHalf } from "../../src/support/numbers.ts";

/** Precision of a graph's activations, and of weights that are not stored in another way. */
export type Float = "f32" | "f16";

/** Element types of onnx.proto3's TensorProto. */
const ELEMENT = { f32: 1, u8: 2, i8: 3, i64: 7, f16: 10 } as const;
/** Bytes of one element of an external weight. */
const BYTES = { f32: 4, f16: 2, u8: 1, i8: 1 } as const;
/** Attribute types of onnx.proto3's AttributeProto. */
const ATTRIBUTE = { float: 1, int: 2, ints: 7 } as const;
/** Where external tensors begin: a page, as onnx's own external_data_helper aligns them. */
const ALIGNMENT = 4096;
const MICROSOFT = "com.microsoft";

/** Weights that lie in the external file. */
export interface External {
  readonly offset: number;
  readonly bytes: number;
  /** Little-endian, row-major. */
  make(): Uint8Array;
}

type Attribute = number | readonly number[] | { float: number };

/** Builds an ONNX model of one precision (opset 20, and onnxruntime's own operators) whose weights lie in an external file. */
export class Graph {
  readonly dtype: Float;
  /** In the order of their offsets. */
  readonly external: External[] = [];
  private readonly file: string;
  private readonly nodes: object[] = [];
  private readonly initializers: object[] = [];
  private readonly counts = new Map<string, number>();

  /** `file` is the external file's name, relative to the model's. */
  constructor(dtype: Float, file: string) {
    this.dtype = dtype;
    this.file = file;
  }

  /** How many nodes there are of each type. */
  get types(): Record<string, number> {
    return Object.fromEntries([...this.counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Adds a node of ONNX's own operators and names its output. An empty input name is one left out. */
  node(type: string, inputs: readonly string[], attributes: Record<string, Attribute> = {}): string {
    return this.add("", type, inputs, attributes, 1)[0];
  }

  /** The same for nodes of several outputs. */
  several(type: string, inputs: readonly string[], outputs: number): string[] {
    return this.add("", type, inputs, {}, outputs, Array<boolean>(outputs).fill(true));
  }

  /** Adds a Cast. */
  cast(value: string, to: keyof typeof ELEMENT): string {
    return this.node("Cast", [value], { to: ELEMENT[to] });
  }

  /** Adds a node of onnxruntime's operators; `outputs` marks those that are wanted. */
  fused(
    type: string,
    inputs: readonly string[],
    attributes: Record<string, Attribute> = {},
    outputs: readonly boolean[] = [true],
  ): string[] {
    return this.add(MICROSOFT, type, inputs, attributes, outputs.length, outputs);
  }

  /** Adds a weight in the graph's precision; `values` is called when the external file is written. */
  weight(name: string, shape: readonly number[], values: () => Float32Array): string {
    return this.weights([name], shape, values)[0];
  }

  /** Adds weights of one shape that lie behind each other; `values` makes them all. */
  weights(names: readonly string[], shape: readonly number[], values: () => Float32Array): string[] {
    return this.place(names, this.dtype, shape, () => this.encode(values()));
  }

  /** Adds a weight of any type; `make` is called for its bytes when the external file is written. */
  raw(name: string, type: keyof typeof BYTES, shape: readonly number[], make: () => Uint8Array): string {
    return this.place([name], type, shape, make)[0];
  }

  /** Adds a number in the graph's precision. */
  scalar(name: string, value: number): string {
    const rawData = this.encode(Float32Array.of(value));
    this.initializers.push({ name, dims: [], dataType: ELEMENT[this.dtype], rawData });
    return name;
  }

  /** Adds a short list of integers: a shape. */
  integers(name: string, values: readonly number[]): string {
    const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    this.initializers.push({ name, dims: [values.length], dataType: ELEMENT.i64, rawData });
    return name;
  }

  /** A float32 input in the graph's precision, as onnx's float16 converter casts it when the outer types are kept. */
  input(name: string): string {
    return this.dtype === "f32" ? name : this.cast(name, "f16");
  }

  /** Gives a result its outer name, in float32. */
  output(value: string, name: string): void {
    const [type, attributes] = this.dtype === "f32" ? ["Identity", {}] : ["Cast", { to: ELEMENT.f32 }];
    this.node(type, [value], attributes);
    (this.nodes.at(-1) as { output: string[] }).output = [name];
  }

  /** The whole as a plain ModelProto object; inputs and outputs are float32. */
  model(inputs: Record<string, readonly number[]>, outputs: Record<string, readonly number[]>): object {
    const values = (list: Record<string, readonly number[]>) =>
      Object.entries(list).map(([name, shape]) => ({
        name,
        type: { tensorType: { elemType: ELEMENT.f32, shape: { dim: shape.map((dimValue) => ({ dimValue })) } } },
      }));
    return {
      irVersion: 10,
      producerName: "siglip bench/peers",
      opsetImport: [
        { domain: "", version: 20 },
        { domain: MICROSOFT, version: 1 },
      ],
      graph: {
        name: "image_tower",
        node: this.nodes,
        initializer: this.initializers,
        input: values(inputs),
        output: values(outputs),
      },
    };
  }

  private place(
    names: readonly string[],
    type: keyof typeof BYTES,
    shape: readonly number[],
    make: () => Uint8Array,
  ): string[] {
    const bytes = shape.reduce((a, b) => a * b, 1) * BYTES[type];
    const last = this.external.at(-1);
    const offset = last ? Math.ceil((last.offset + last.bytes) / ALIGNMENT) * ALIGNMENT : 0;
    this.external.push({ offset, bytes: bytes * names.length, make });
    for (const [index, name] of names.entries()) {
      const external = { location: this.file, offset: offset + index * bytes, length: bytes };
      const externalData = Object.entries(external).map(([key, value]) => ({ key, value: String(value) }));
      this.initializers.push({ name, dims: shape, dataType: ELEMENT[type], dataLocation: 1, externalData });
    }
    return [...names];
  }

  private encode(values: Float32Array): Uint8Array {
    return new Uint8Array(this.dtype === "f32" ? values.buffer : float32ToHalf(values).buffer);
  }

  private add(
    domain: string,
    type: string,
    inputs: readonly string[],
    attributes: Record<string, Attribute>,
    count: number,
    wanted: readonly boolean[] = [true],
  ): string[] {
    const name = `${type}_${this.counts.get(type) ?? 0}`;
    this.counts.set(type, (this.counts.get(type) ?? 0) + 1);
    const output = Array.from({ length: count }, (_, index) => (wanted[index] ? `${name}:${index}` : ""));
    const attribute = Object.entries(attributes).map(([key, value]) => encodeAttribute(key, value));
    this.nodes.push({ name, opType: type, domain, input: inputs, output, attribute });
    return output;
  }
}

function encodeAttribute(name: string, value: Attribute): object {
  if (typeof value === "number") return { name, type: ATTRIBUTE.int, i: value };
  if ("float" in value) return { name, type: ATTRIBUTE.float, f: value.float };
  return { name, type: ATTRIBUTE.ints, ints: value };
}
