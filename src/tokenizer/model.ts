import { mismatch } from "../support/error.ts";
import { invalid } from "./invalid.ts";
import { ProtoReader } from "./protobuf.ts";

/** Piece types, as sentencepiece_model.proto numbers them. */
export const NORMAL = 1;
export const UNKNOWN = 2;
export const CONTROL = 3;
export const USER_DEFINED = 4;
export const UNUSED = 5;
export const BYTE = 6;

/**
 * The largest model file read: 16 MiB, over three times the largest published one. It bounds what a load may take: at
 * most about 50 bytes for each byte of the file.
 */
export const MAX_MODEL_BYTES = 1 << 24;

/**
 * The longest piece, and the longest text a normaliser rule matches or writes, in bytes: it keeps the work on a text
 * linear.
 */
export const MAX_PIECE_BYTES = 512;

/**
 * One vocabulary entry; its position in `ModelProto.pieces` is its id, its UTF-8 bytes are `ModelProto.bytes[start,
 * end)`.
 */
export interface Piece {
  readonly start: number;
  readonly end: number;
  readonly score: number;
  readonly type: number;
}

/** What encoding needs of sentencepiece_model.proto's `ModelProto`; absent fields have the proto's defaults. */
export interface ModelProto {
  readonly bytes: Uint8Array;
  readonly pieces: Piece[];
  algorithm: "unigram" | "bpe";
  byteFallback: boolean;
  treatWhitespaceAsSuffix: boolean;
  /** Empty where the normaliser is the identity. */
  charsmap: Uint8Array;
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
  escapeWhitespaces: boolean;
}

/**
 * Reads a SentencePiece `.model` file. Unknown fields are passed over; damaged protobufs, word and char models, empty
 * or overlong pieces, unknown types and scores that are not finite are SiglipErrors.
 */
export function parseModel(bytes: Uint8Array): ModelProto {
  if (!(bytes instanceof Uint8Array))
    throw mismatch("bad-input", "tokenizer model", "its bytes", typeof bytes, "pass a Uint8Array");
  if (bytes.length > MAX_MODEL_BYTES) throw invalid(`at most ${MAX_MODEL_BYTES} bytes`, `${bytes.length}`);
  const model: ModelProto = {
    bytes,
    pieces: [],
    algorithm: "unigram",
    byteFallback: false,
    treatWhitespaceAsSuffix: false,
    charsmap: new Uint8Array(),
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    escapeWhitespaces: true,
  };
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) model.pieces.push(readPiece(reader.message(), model.pieces.length));
    else if (reader.field === 2) readTrainerSpec(reader.message(), model);
    else if (reader.field === 3) readNormalizerSpec(reader.message(), model);
    else reader.skip();
  }
  return model;
}

function readPiece(reader: ProtoReader, id: number): Piece {
  let start = 0;
  let end = 0;
  let score = 0;
  let type = NORMAL;
  while (reader.next()) {
    if (reader.field === 1) {
      const text = reader.message();
      start = text.position;
      end = text.end;
    } else if (reader.field === 2) score = reader.float();
    else if (reader.field === 3) type = reader.varint();
    else reader.skip();
  }
  if (start === end || end - start > MAX_PIECE_BYTES)
    throw invalid(`pieces of 1 to ${MAX_PIECE_BYTES} bytes`, `piece ${id} of ${end - start}`);
  if (!Number.isFinite(score)) throw invalid("finite scores", `${score} at piece ${id}`);
  if (type < NORMAL || type > BYTE) throw invalid("piece types from 1 to 6", `${type} at piece ${id}`);
  return { start, end, score, type };
}

function readTrainerSpec(reader: ProtoReader, model: ModelProto): void {
  while (reader.next()) {
    if (reader.field === 3) {
      const type = reader.varint();
      if (type !== 1 && type !== 2) {
        const wanted = "a unigram (1) or BPE (2) model";
        throw mismatch("unsupported", "tokenizer model", wanted, `model type ${type}`, "take SigLIP's own");
      }
      model.algorithm = type === 1 ? "unigram" : "bpe";
    } else if (reader.field === 24) model.treatWhitespaceAsSuffix = reader.varint() !== 0;
    else if (reader.field === 35) model.byteFallback = reader.varint() !== 0;
    else reader.skip();
  }
}

function readNormalizerSpec(reader: ProtoReader, model: ModelProto): void {
  while (reader.next()) {
    if (reader.field === 2) {
      const blob = reader.message();
      model.charsmap = blob.bytes.subarray(blob.position, blob.end);
    } else if (reader.field === 3) model.addDummyPrefix = reader.varint() !== 0;
    else if (reader.field === 4) model.removeExtraWhitespaces = reader.varint() !== 0;
    else if (reader.field === 5) model.escapeWhitespaces = reader.varint() !== 0;
    else reader.skip();
  }
}
