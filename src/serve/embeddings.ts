import type { SiglipConfig } from "../model/config.ts";
import type { Fields } from "./form.ts";
import { type Input, type InputLimits, readInputs } from "./input.ts";
import { bad, Refusal } from "./refusal.ts";

/** What a request to /v1/embeddings asks for. */
export interface EmbeddingsRequest {
  readonly inputs: readonly Input[];
  readonly base64: boolean;
}

/** Reads the fields of one. Throws a Refusal for what is missing, wrong, or not done here. */
export function readEmbeddingsRequest(
  fields: Fields,
  dim: number,
  name: string,
  limits: InputLimits,
): EmbeddingsRequest {
  checkModel(fields.model, name);
  const { dimensions } = fields;
  // Some clients send null for what was left out.
  const format = fields.encoding_format ?? "float";
  if (dimensions !== undefined && dimensions !== null && Number(dimensions) !== dim) {
    throw bad("dimensions", `${dim}, the model's`, JSON.stringify(dimensions).slice(0, 100), "leave it out");
  }
  if (format !== "float" && format !== "base64") {
    throw bad("encoding_format", `"float" or "base64"`, JSON.stringify(format).slice(0, 100), "choose one");
  }
  // Uploads stand under image, texts beside them under input.
  const { input, image } = fields;
  if (input === undefined && image === undefined) throw bad("input", "texts or pictures", "none", "send some");
  const uploads = [image ?? []].flat().map((one) => ({ image: one }));
  const list = uploads.length === 0 ? input : [...uploads, ...[input ?? []].flat()];
  return { inputs: readInputs(list, limits), base64: format === "base64" };
}

/** Throws a Refusal (404) for another model than the one that is served. */
export function checkModel(model: unknown, name: string): void {
  if (model === undefined || model === null || model === name) return;
  const { message } = bad("model", JSON.stringify(name), JSON.stringify(model).slice(0, 200), "ask for that one");
  throw new Refusal(404, message, { code: "model_not_found", param: "model" });
}

/** The answer, in the form of OpenAI's. */
export function embeddingsAnswer(
  rows: readonly Float32Array[],
  { inputs, base64 }: EmbeddingsRequest,
  name: string,
  config: SiglipConfig,
) {
  const tokens = inputs.reduce((sum, { kind }) => sum + tokensOf(kind, config), 0);
  return {
    object: "list",
    data: rows.map((row, index) => ({
      object: "embedding",
      index,
      embedding: base64 ? toBase64(row) : Array.from(row),
    })),
    model: name,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

/** What goes through a tower for it: every text is padded to the same length; of a picture the patches, at most. */
function tokensOf(kind: Input["kind"], { text, vision, image }: SiglipConfig): number {
  if (kind === "text") return text.positions;
  return vision.naflex ? (image.maxPatches ?? vision.tokens) : vision.tokens;
}

/** Little-endian float32, as OpenAI's clients read it; so are all machines that this runs on. */
function toBase64({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}
