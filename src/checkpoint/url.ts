import { SiglipError } from "../error.ts";
import { shorten } from "./exchange.ts";
import { openRemote, type RemoteFile, type RemoteOptions, WHOLE } from "./http.ts";
import { bytesSource, checkRange, type ModelFiles, type Source } from "./source.ts";

/**
 * The files of a model under a URL, which names their folder or the safetensors file in it, whatever that is called there. They are read
 * by HTTP Range requests, so that no more than what is asked for is transferred or held.
 */
export function urlFiles(place: URL, options: RemoteOptions = {}): ModelFiles {
  const folder = new URL(place);
  const weights = /[^/]+\.safetensors$/.test(folder.pathname) ? new URL(place) : undefined;
  if (weights) folder.pathname = folder.pathname.replace(/[^/]+$/, "");
  else if (!folder.pathname.endsWith("/")) folder.pathname += "/";
  if (!URL.canParse("config.json", folder)) {
    throw new SiglipError(
      `${shorten(place)}: wanted a folder's URL, found one that has no paths; name one with http or https.`,
    );
  }
  return {
    name: place.href,
    async open(file, signal) {
      const url = weights && file === "model.safetensors" ? weights : new URL(encodeURIComponent(file), folder);
      const remote = await openRemote(url, { ...options, signal });
      return remote && (await remoteSource(remote, signal));
    },
    async close() {},
  };
}

/** A file on a server as a Source. */
export async function remoteSource(file: RemoteFile, signal?: AbortSignal): Promise<Source> {
  if (!file.ranges) {
    if (file.size <= WHOLE) return bytesSource(await collect(file, 0, file.size, signal), file.name);
    throw new SiglipError(
      `${file.name}: wanted a part of a file of ${file.size} bytes, found a server that ignores Range requests; host it on one that answers them.`,
    );
  }
  const source: Source = {
    name: file.name,
    size: file.size,
    async read(offset, length, signal) {
      checkRange(source, offset, length);
      return collect(file, offset, length, signal);
    },
    stream: (offset, length, signal) => file.stream(offset, length, signal),
  };
  return source;
}

async function collect(file: RemoteFile, offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for await (const part of file.stream(offset, length, signal)) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
