import { stat } from "node:fs/promises";
import { join } from "node:path";
import { demoFiles } from "../browser/demo.ts";
import { listFiles } from "../browser/list.ts";
import { SiglipError } from "../error.ts";
import type { ModelFiles } from "../files.ts";
import { type NetworkOptions, networkFiles } from "../network.ts";
import { filePath } from "./file.ts";
import { folderFiles } from "./files.ts";
import { hubDefaults } from "./token.ts";

/** What a model may be named by in Node, Deno and Bun. */
export type NodeModel = string | URL | Iterable<File>;

/**
 * The files of a model: `"demo"`, a folder (a path or file URL), an http or https URL of a folder or a safetensors file in one, an id of the
 * Hub, or Files. `org/name` is a folder where there is one of that name with a `config.json` in it. Rejects with a SiglipError for
 * anything else.
 */
export async function findFiles(model: NodeModel, options: NetworkOptions = {}): Promise<ModelFiles> {
  if (model === "demo") return demoFiles();
  if (typeof model === "object" && model !== null && !(model instanceof URL)) return listFiles(model);
  if (!(typeof model === "string" || model instanceof URL) || model === "") {
    throw new SiglipError(
      `Siglip.load: wanted "demo", a folder, a URL, org/name of the Hub or a list of Files, found ${String(model) || '""'}; name a model.`,
    );
  }
  const url = /^[a-z][a-z0-9+.-]+:/i.test(String(model)) && URL.canParse(model) ? new URL(model) : undefined;
  if (url?.protocol === "file:") return folderFiles(filePath(url));
  const isPath = /^([./\\~]|[a-z]:)/i.test(String(model));
  const isFolder = async () => Boolean(await stat(join(String(model), "config.json")).catch(() => undefined));
  const remote =
    url || !(isPath || (await isFolder()))
      ? networkFiles(url ?? String(model), { ...(await hubDefaults()), ...defined(options) })
      : undefined;
  return remote ?? folderFiles(String(model));
}

function defined(options: NetworkOptions): NetworkOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
