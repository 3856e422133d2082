import { stat } from "node:fs/promises";
import { join } from "node:path";
import { demoFiles } from "../files/demo.ts";
import { listFiles } from "../files/list.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { hubFiles } from "../network/hub.ts";
import { type NetworkOptions, networkFiles, type Openers } from "../network/network-files.ts";
import { isWeights, urlFiles } from "../network/urls.ts";
import type { LoadOptions } from "../siglip/load.ts";
import { mismatch } from "../support/error.ts";
import { asUrl } from "./address.ts";
import type { KeptFiles } from "./cache/cache.ts";
import { keptHubFiles } from "./cache/hub-files.ts";
import { keptUrlFiles } from "./cache/url-files.ts";
import { filePath } from "./file.ts";
import { folderFiles } from "./folder.ts";
import { proxiedFetch } from "./proxy.ts";
import { temporarySpool } from "./spool.ts";
import { hubDefaults } from "./token.ts";

/** What a model may be named by in Node, Deno and Bun. */
export type NodeModel = string | URL | Iterable<File>;

/** What `Siglip.load` says of where files come from. */
export type FindOptions = NetworkOptions & Pick<LoadOptions, "onWarning" | "cache">;

/**
 * The files of a model: `"demo"`, a folder or a safetensors or npz file in one (a path or file URL), an http or https
 * URL of such, an id of the Hub, or Files. `org/name` is a folder where there is one of that name with a
 * `config.json` or `open_clip_config.json` in it. Rejects with a SiglipError for anything else.
 */
export async function findFiles(model: NodeModel, options: FindOptions = {}): Promise<ModelFiles | KeptFiles> {
  if (model === "demo") return demoFiles();
  if (typeof model === "object" && model !== null && Symbol.iterator in model) return listFiles(model);
  if (!(typeof model === "string" || model instanceof URL) || model === "") {
    throw mismatch(
      "bad-input",
      "Siglip.load",
      '"demo", a folder, a URL, org/name of the Hub or a list of Files',
      String(model) || '""',
      "name a model",
    );
  }
  const url = asUrl(model);
  if (url?.protocol === "file:") return folderFiles(filePath(url));
  const isPath = /^([./\\~]|[a-z]:)/i.test(String(model));
  const isThere = async (...path: string[]) => Boolean(await stat(join(...path)).catch(() => undefined));
  const isFolder = async () =>
    (await isThere(String(model), "config.json")) ||
    (await isThere(String(model), "open_clip_config.json")) ||
    (isWeights(String(model)) && isThere(String(model)));
  const remote =
    url || !(isPath || (await isFolder()))
      ? networkFiles(url ?? String(model), { ...(await hubDefaults()), ...defined(options) }, keeping(options))
      : undefined;
  return remote ?? folderFiles(String(model));
}

/** Files on servers are kept on this machine as they are fetched, unless that is not wanted. */
function keeping({ onWarning = console.warn, cache = true }: FindOptions): Openers {
  const common = { fetch: proxiedFetch, onWarning };
  return {
    hub: (model, options) => (cache ? keptHubFiles : hubFiles)(model, { ...options, ...common }),
    url: (place, options) => (cache ? keptUrlFiles : urlFiles)(place, { ...options, ...common }),
    spool: cache ? undefined : temporarySpool,
  };
}

function defined(options: FindOptions): NetworkOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
