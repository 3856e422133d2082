import { bytesSource, checkRange, type Source } from "../checkpoint/source.ts";
import { SiglipError } from "../error.ts";
import type { ModelFiles } from "../files.ts";
import { readBody, request, shorten } from "./http.ts";

/** Bytes of a file that come with the first request: small files, and most headers of large ones, need no second. */
const FIRST = 2 ** 18;

/** Most bytes taken, and kept in memory, of a file whose server knows no ranges and sends all of it. */
const WHOLE = 2 ** 24;

/**
 * The files of a model under a URL, which names their folder. They are read by HTTP Range requests, so that no more than what is asked
 * for is transferred or held. A server that ignores ranges serves for files of at most 16 MiB; a larger one is refused with a SiglipError.
 */
export function urlFiles(base: URL): ModelFiles {
  const folder = new URL(base);
  if (!folder.pathname.endsWith("/")) folder.pathname += "/";
  if (!URL.canParse("config.json", folder)) {
    throw new SiglipError(
      `${shorten(base)}: wanted a folder's URL, found one that has no paths; name one with http or https.`,
    );
  }
  return {
    name: folder.href,
    open: (file) => urlSource(new URL(encodeURIComponent(file), folder)),
    async close() {},
  };
}

/**
 * A file on a server, or undefined where it has none: status 404 or 410, or a web page, with which servers of single-page applications
 * answer for what they lack. Rejects with a SiglipError for every other answer that is not the file's bytes.
 */
export async function urlSource(url: URL, signal?: AbortSignal): Promise<Source | undefined> {
  const name = url.href;
  const response = await requestRange(url, 0, FIRST, signal);
  const isPage = response.headers.get("Content-Type")?.startsWith("text/html");
  if (response.status === 404 || response.status === 410 || (response.ok && isPage)) {
    await response.body?.cancel();
    return undefined;
  }
  // No range lies within a file of no bytes.
  if (response.status === 416) return bytesSource(new Uint8Array(0), name);
  if (response.status === 200) return bytesSource(await readWhole(response, name, signal), name);
  const size = rangeSize(response, 0, FIRST, name);
  const head = await readPart(response, Math.min(FIRST, size), name, signal);
  const source: Source = {
    name,
    size,
    async read(offset, length, signal) {
      checkRange(source, offset, length);
      if (length === 0 || offset + length <= head.length) return head.subarray(offset, offset + length);
      const response = await requestRange(url, offset, length, signal);
      const found = rangeSize(response, offset, length, name);
      if (found !== size) {
        await response.body?.cancel();
        throw new SiglipError(
          `${name}: wanted a file of ${size} bytes, found that it has ${found} by now; load it again.`,
        );
      }
      return readPart(response, length, name, signal);
    },
  };
  return source;
}

function requestRange(url: URL, offset: number, length: number, signal?: AbortSignal): Promise<Response> {
  const headers = { Range: `bytes=${offset}-${offset + length - 1}` };
  return request(url, "a file of the model", { headers, signal });
}

/** The file's size, by an answer that holds exactly the range that was asked for, as far as the file goes. */
function rangeSize({ status, headers, body }: Response, offset: number, length: number, name: string): number {
  const range = headers.get("Content-Range");
  const [, first, last, size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(range ?? "")?.map(Number) ?? [];
  if (status === 206 && first === offset && size <= Number.MAX_SAFE_INTEGER) {
    if (last === Math.min(offset + length, size) - 1) return size;
  }
  body?.cancel().catch(() => {});
  throw new SiglipError(
    `${name}: wanted bytes ${offset} to ${offset + length}, found HTTP status ${status} with Content-Range ${range ?? "hidden or absent"}; check the address, and that its server answers Range requests and exposes that header.`,
  );
}

async function readPart(response: Response, length: number, name: string, signal?: AbortSignal): Promise<Uint8Array> {
  const bytes = await readBody(response, length, name, signal);
  if (bytes.length === length) return bytes;
  throw new SiglipError(`${name}: wanted ${length} bytes, found an answer of ${bytes.length}; try again.`);
}

async function readWhole(response: Response, name: string, signal?: AbortSignal): Promise<Uint8Array> {
  const claimed = Number(response.headers.get("Content-Length") ?? 0);
  if (claimed <= WHOLE) return readBody(response, WHOLE, name, signal);
  await response.body?.cancel();
  throw new SiglipError(
    `${name}: wanted a part of a file of ${claimed} bytes, found a server that ignores Range requests; host it on one that answers them.`,
  );
}
