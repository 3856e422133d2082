import { concatenate } from "../support/bytes.ts";
import { mismatch, SiglipError, shorten } from "../support/error.ts";

/**
 * `fetch`, whose failures become SiglipErrors, but for an aborted signal's reason. The status is the caller's to judge.
 */
export async function request(url: string | URL, wanted: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    if (init.signal?.aborted) throw init.signal.reason;
    throw mismatch(
      "network",
      shorten(url),
      wanted,
      `no answer (${(cause as Error).message})`,
      "check the address and that its server lets this page read it (CORS)",
      cause,
    );
  }
}

/**
 * The body of a response, at most `limit` bytes, of which it holds twice as many. Throws a SiglipError where there are
 * more.
 */
export async function readBody(
  response: Response,
  limit: number,
  name: string,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const tooLong = (found: string) =>
    mismatch("bad-input", name, `at most ${limit} bytes`, found, "check the file and its server");
  const parts: Uint8Array[] = [];
  let size = 0;
  const reader = response.body?.getReader();
  try {
    for (;;) {
      const part = (await reader?.read())?.value;
      if (!part) break;
      parts.push(part);
      size += part.length;
      if (size > limit) throw tooLong("more");
    }
  } catch (cause) {
    reader?.cancel().catch(() => {});
    if (signal?.aborted) throw signal.reason;
    if (cause instanceof SiglipError) throw cause;
    throw mismatch(
      "network",
      name,
      "all of the answer",
      `its end after ${size} bytes (${(cause as Error).message})`,
      "try again",
      cause,
    );
  }
  return concatenate(parts);
}
