import { addAbortSignal } from "node:stream";
import { readFile } from "../node/file.ts";
import { SiglipError } from "../support/error.ts";

/** A list of texts is at most this large, in bytes. */
const LIMIT = 256 * 2 ** 20;

/**
 * The lines of a UTF-8 file, or of stdin for "-". Windows' line ends and a byte order mark are taken away, and the line end at
 * the very end begins no line; an empty line is an empty text. Rejects with a SiglipError for more than 256 MiB, invalid
 * UTF-8 and no line at all.
 */
export async function readLines(path: string, signal: AbortSignal): Promise<string[]> {
  const bytes = path === "-" ? await readStdin(signal) : await readFile(path, LIMIT, signal);
  const name = path === "-" ? "stdin" : path;
  if (bytes.length === 0) throw new SiglipError(`${name}: wanted one text a line, found none; write some lines.`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SiglipError(`${name}: wanted texts in UTF-8, found other bytes; convert the file.`, { cause });
  }
  return text.replace(/\r?\n$/, "").split(/\r?\n/);
}

async function readStdin(signal: AbortSignal): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of addAbortSignal(signal, process.stdin)) {
    parts.push(part);
    size += part.length;
    if (size > LIMIT) throw tooLong("stdin", "more");
  }
  return Buffer.concat(parts);
}

function tooLong(name: string, found: string): SiglipError {
  return new SiglipError(`${name}: wanted at most ${LIMIT} bytes of texts, found ${found}; split the list.`);
}
