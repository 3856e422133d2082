import type { Command } from "commander";
import { type CachedModel, deleteCached, listCached } from "../node/cache/list.ts";
import { mismatch } from "../support/error.ts";
import { bytes } from "../support/units.ts";
import { aligned } from "./table.ts";
import { plain, print, printJson } from "./terminal.ts";

/** `siglip cache list` and `siglip cache rm`: what this machine keeps of models from servers. */
export function addCache(program: Command): void {
  const cache = program.command("cache").description("List or delete what this machine keeps of models from servers.");
  cache
    .command("list")
    .description("List the models that are kept, and what they take.")
    .option("--json", "print JSON")
    .addHelpText("after", "\nWith --json: [{ model, endpoint, bytes, complete, folders }].")
    .action(list);
  cache
    .command("rm")
    .description("Delete a model; one of the Hub is gone for Hugging Face's tools, too, which share it.")
    .argument("[model]", "as siglip cache list names it")
    .option("--all", "delete every model")
    .action(async (model: string | undefined, { all }: { all?: boolean }, command: Command) => {
      if ((model === undefined) === !all) {
        const found = all ? "both" : "neither";
        command.error(`error: wanted a model that siglip cache list names, or --all, found ${found}`);
      }
      await remove(model);
    });
}

async function list({ json }: { json?: boolean }): Promise<void> {
  const models = await listCached();
  if (json) return printJson(models);
  if (models.length === 0) return print("Nothing is kept.");
  print(aligned(models.map(({ bytes: size, ...model }) => [bytes(size), describe(model)])));
}

function describe({ model, complete }: Pick<CachedModel, "model" | "complete">): string {
  return plain(model) + (complete ? "" : ", not complete");
}

async function remove(model: string | undefined): Promise<void> {
  const models = (await listCached()).filter((kept) => model === undefined || kept.model === model);
  if (model !== undefined && models.length === 0) {
    throw mismatch("not-found", model, "a model that is kept", "none of that name", "see siglip cache list");
  }
  await deleteCached(model);
  for (const kept of models) print(`Deleted ${plain(kept.model)}, ${bytes(kept.bytes)}.`);
  if (models.length === 0) print("Nothing was kept.");
}
