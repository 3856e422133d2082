import { addAbortSignal } from "node:stream";
import { readFile } from "../node/file.ts";
import { mismatch } from "../support/error.ts";

/**
 * A list of texts is at most this large, in bytes and in lines: each line becomes a string, and a row of embeddings.
 */
const BYTES = 256 * 2 ** 20;
const LINES = 2 ** 22;

/**
 * The lines of a UTF-8 file, or of stdin for "-". Windows' line ends and a byte order mark are taken away, and the line
 * end at the very end begins no line; an empty line is an empty text. Rejects with a SiglipError for more than 256 MiB
 * or 4,194,304 lines, invalid UTF-8 and no line at all.
 */
export async function readLines(path: string, signal: AbortSignal): Promise<string[]> {
  const bytes = path === "-" ? await readStdin(signal) : await readFile(path, BYTES, signal);
  const name = path === "-" ? "stdin" : path;
  if (bytes.length === 0) throw mismatch("bad-input", name, "one text a line", "none", "write some lines");
  const count = countLines(bytes);
  if (count > LINES) throw mismatch("bad-input", name, `at most ${LINES} texts`, `${count}`, "split the list");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw mismatch("bad-input", name, "texts in UTF-8", "other bytes", "convert the file", cause);
  }
  return text.replace(/\r?\n$/, "").split(/\r?\n/);
}

function countLines(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count++;
  return count;
}

async function readStdin(signal: AbortSignal): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of addAbortSignal(signal, process.stdin)) {
    parts.push(part);
    size += part.length;
    if (size > BYTES) throw mismatch("bad-input", "stdin", `at most ${BYTES} bytes of texts`, "more", "split the list");
  }
  return Buffer.concat(parts);
}
