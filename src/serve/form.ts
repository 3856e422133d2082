import { SiglipError } from "../support/error.ts";
import { bad } from "./refusal.ts";

/** A request's fields, whatever form they came in: pictures of a multipart upload are bytes. */
export type Fields = Readonly<Record<string, unknown>>;

/** Fields of a multipart form that are lists however often they stand there. */
const LISTS = ["input", "labels", "templates"];

/**
 * The fields of a body: JSON, a multipart form (its files under `image` are pictures, of `input` too), or a picture file
 * itself, which is the field `image`. Throws a Refusal for anything else.
 */
export async function readFields(bytes: Uint8Array, type: string | null): Promise<Fields> {
  const kind = (type ?? "").split(";")[0].trim().toLowerCase();
  if (kind === "application/json") return parseJson(bytes);
  if (kind === "multipart/form-data") return parseForm(bytes, type!);
  if (kind.startsWith("image/") || kind === "application/octet-stream") return { image: bytes };
  const found = kind === "" ? "none" : JSON.stringify(kind.slice(0, 100));
  throw bad("Content-Type", "application/json, multipart/form-data or a picture's", found, "send one of these", 415);
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function parseJson(bytes: Uint8Array): Fields {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(bytes));
  } catch {
    throw bad("body", "JSON in UTF-8", "something else", "check how it is written");
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw bad("body", "a JSON object", Array.isArray(value) ? "a list" : typeof value, "put the fields into { }");
}

async function parseForm(bytes: Uint8Array, type: string): Promise<Fields> {
  const headers = { "Content-Type": type };
  const form = await new Response(bytes as BodyInit, { headers }).formData().catch((cause) => {
    if (cause instanceof SiglipError) throw cause;
    throw bad("body", "a multipart form", "a damaged one", "check its boundary and its end");
  });
  const fields: Record<string, unknown[]> = {};
  for (const [name, value] of form) {
    const part = typeof value === "string" ? value : new Uint8Array(await value.arrayBuffer());
    if (!Object.hasOwn(fields, name)) fields[name] = [];
    fields[name].push(part);
  }
  return Object.fromEntries(
    Object.entries(fields).map(([name, values]) => [
      name,
      values.length === 1 && !LISTS.includes(name) ? values[0] : values,
    ]),
  );
}
