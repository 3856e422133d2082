import type { Source } from "../checkpoint/source.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { mismatch, shorten } from "../support/error.ts";
import type { RequestOptions } from "./exchange.ts";
import { openRemote, type RemoteFile } from "./http.ts";
import { type ClosableSource, type RemoteSourceOptions, remoteSource } from "./ranges.ts";

/** How the files of a model on a server are read. */
export interface UrlOptions extends RequestOptions, Omit<RemoteSourceOptions, "signal"> {
  /** The Hub for ids, and the only place that the token is sent to; Hugging Face's by default. */
  readonly endpoint?: string;
}

/** The name of a file of weights, at the end of a path. */
const WEIGHTS = /([^/]+\.(?:safetensors|npz))$/;

/**
 * The files of a model under a URL, which names their folder or the safetensors or npz file in it, whatever that is
 * called there. Ranges are read by HTTP, so that no more than what is asked for is transferred or held.
 */
export function urlFiles(place: URL, options: UrlOptions = {}): ModelFiles {
  const { urlOf, ...named } = filesUnder(place);
  const opened = new OpenFiles(options);
  return {
    ...named,
    get version() {
      return opened.version;
    },
    async open(file, signal) {
      const remote = await openRemote(urlOf(file), { ...options, signal });
      return remote && opened.add(remote, signal);
    },
    close: () => opened.close(),
  };
}

/** Where the files of a model lie by the URL of their folder or of the weights in it, and how errors name it. */
export function filesUnder(place: URL): {
  readonly name: string;
  readonly key: string;
  /** The weights' own name where they are an npz file. */
  readonly npz?: string;
  readonly urlOf: (file: string) => URL;
} {
  const folder = new URL(place);
  const file = WEIGHTS.exec(folder.pathname)?.[1];
  const weights = file === undefined ? undefined : new URL(place);
  if (weights) folder.pathname = folder.pathname.replace(/[^/]+$/, "");
  else if (!folder.pathname.endsWith("/")) folder.pathname += "/";
  if (!URL.canParse("config.json", folder)) {
    throw mismatch(
      "bad-input",
      shorten(place),
      "a folder's URL",
      "one that has no paths",
      "name one with http or https",
    );
  }
  const npz = file?.endsWith(".npz") ? file : undefined;
  const own = npz ?? "model.safetensors";
  const urlOf = (name: string) => (weights && name === own ? weights : new URL(encodeURIComponent(name), folder));
  return { name: shorten(weights ?? folder), key: (weights ?? folder).href, npz, urlOf };
}

/** Whether a file's name is one of weights, which are read in parts and of which the version is told. */
export function isWeights(file: string): boolean {
  return WEIGHTS.test(file);
}

/** The files that are open of a model. */
export class OpenFiles {
  private readonly options: RemoteSourceOptions;
  private readonly sources: ClosableSource[] = [];
  private readonly tags = new Map<string, string | undefined>();

  constructor(options: RemoteSourceOptions) {
    this.options = options;
  }

  /** The strong validators of the weights; undefined where one has none, or before any are open. */
  get version(): string | undefined {
    const tags = [...this.tags.values()];
    return tags.length > 0 && tags.every((tag) => tag !== undefined) ? tags.join("+") : undefined;
  }

  async add(remote: RemoteFile, signal?: AbortSignal): Promise<Source> {
    const source = await remoteSource(remote, { ...this.options, signal });
    this.sources.push(source);
    if (isWeights(new URL(remote.url).pathname)) this.tags.set(remote.url, remote.etag);
    return source;
  }

  async close(): Promise<void> {
    await Promise.all(this.sources.splice(0).map((source) => source.close()));
  }
}
