import { anyLayout } from "../files/any-layout.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { type LoadProgress, reporter } from "../support/progress.ts";
import { DEFAULT_ENDPOINT, hubFiles, parseEndpoint, parseHubModel } from "./hub.ts";
import type { Spool } from "./ranges.ts";
import { urlFiles } from "./urls.ts";

/** What `Siglip.load` says of files on servers. */
export interface NetworkOptions {
  /** Of a Hub id: a branch, a tag or a commit; `org/name@revision` says the same. "main" by default. */
  readonly revision?: string;
  /** An access token for the Hub; it is sent to no other place, wherever that redirects to. */
  readonly token?: string;
  /** The Hub that ids are of: https://huggingface.co by default. */
  readonly endpoint?: string;
  /** Told how far loading is, tensor by tensor. */
  readonly onProgress?: (progress: LoadProgress) => void;
}

/** How files on servers are opened, and where one goes that has to be fetched whole. */
export interface Openers {
  readonly hub?: typeof hubFiles;
  readonly url?: typeof urlFiles;
  readonly spool?: Spool;
}

/**
 * The files of a model on a server: a URL's, or a Hub's by its id (`org/name` or `org/name@revision`); undefined for
 * a string of another form. The token is for the endpoint: a URL elsewhere never gets it. Throws a SiglipError for a
 * revision or an endpoint that is none.
 */
export function networkFiles(
  model: string | URL,
  { revision, token, endpoint = DEFAULT_ENDPOINT, onProgress }: NetworkOptions = {},
  { hub: openHub = hubFiles, url: openUrl = urlFiles, spool }: Openers = {},
): ModelFiles | undefined {
  const reports = new Map<string, (loaded: number, total: number) => void>();
  const onDownload = (file: string, loaded: number, total: number) => {
    if (!onProgress) return;
    // Of a download that goes on, the first report says how much was there.
    if (!reports.has(file)) reports.set(file, reporter(onProgress, "download", file, undefined, loaded));
    reports.get(file)!(loaded, total);
  };
  const options = { endpoint, spool, onDownload };
  if (model instanceof URL) {
    const meant = model.origin === new URL(parseEndpoint(endpoint)).origin;
    return anyLayout(openUrl(model, { ...options, token: meant ? token : undefined }));
  }
  const hub = parseHubModel(model, revision);
  return hub && anyLayout(openHub(hub, { ...options, token }));
}
