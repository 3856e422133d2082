import type { Command } from "commander";
import type { ModelFiles } from "../files/model-files.ts";
import { openCheckpoint, readConfig, TOKENIZER_MODELS } from "../files/read-model.ts";
import { findFiles } from "../node/find.ts";
import { mismatch } from "../support/error.ts";
import { bytes, duration } from "../support/units.ts";
import { Progress } from "./progress.ts";
import { aligned } from "./table.ts";
import { plain, print, printJson, tell } from "./terminal.ts";

interface DownloadOptions {
  readonly revision?: string;
  readonly token?: string;
  readonly json?: boolean;
}

/** `siglip download`: all of a model's files onto this machine, whole and verified. */
export function addDownload(program: Command, signal: AbortSignal): void {
  const command = program
    .command("download")
    .description("Fetch a model for use without a network. What an earlier try has fetched is not fetched again.")
    .argument("<model>", "org/name of the Hub, or a URL")
    .option("--revision <name>", "branch, tag or commit of the Hub (default: main)")
    .option("--token <token>", "access token for the Hub (default: HF_TOKEN, or that of hf auth login)")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
A model of huggingface.co comes into Hugging Face's cache (HF_HOME,
HF_HUB_CACHE), where Python finds it too; until a file is whole and verified it
lies in siglip's own ($XDG_CACHE_HOME/siglip or ~/.cache/siglip), as models from
other Hubs (HF_ENDPOINT) and URLs do for good.
With --json: { model, version, files: [{ name, size, path }] }.`,
    );
  command.action((model: string, options: DownloadOptions) => download(model, options, signal));
}

async function download(model: string, { json, ...options }: DownloadOptions, signal: AbortSignal): Promise<void> {
  const began = performance.now();
  let progress: { readonly file: string; readonly bar: Progress } | undefined;
  const files = await findFiles(model, {
    ...options,
    onWarning(message) {
      progress?.bar.pause();
      tell(message);
    },
    onProgress({ file, loaded, total, bytesPerSecond }) {
      if (progress?.file !== file) {
        progress?.bar.stop();
        progress = { file, bar: new Progress(plain(file.replace(/[?#].*$|^.*\//gs, "")), signal, total, bytes) };
      }
      progress.bar.update(loaded, total, bytesPerSecond);
    },
  });
  try {
    if (!("complete" in files)) {
      throw mismatch("bad-input", model, "a model on the Hub or at a URL", "one on this machine", "just use it");
    }
    await readConfig(files, tell, signal);
    await openCheckpoint(files, signal);
    await openTokenizer(files, signal);
    const complete = await files.complete(signal);
    progress?.bar.stop();
    if (json) return printJson({ model, version: files.version, files: complete });
    const size = complete.reduce((sum, file) => sum + file.size, 0);
    const seconds = (performance.now() - began) / 1000;
    print(
      `${plain(files.name)}: ${complete.length} files, ${bytes(size)}, whole and verified in ${duration(seconds)}.`,
    );
    print(aligned(complete.map((file) => [bytes(file.size), plain(file.path, 1000)])));
  } finally {
    progress?.bar.stop();
    await files.close();
  }
}

/** Opens what a load may want of the tokenizer: tokenizer.json only where there is no `.model`. */
async function openTokenizer(files: ModelFiles, signal: AbortSignal): Promise<void> {
  for (const file of [...TOKENIZER_MODELS, "tokenizer.json"]) if (await files.open(file, signal)) break;
  for (const file of ["tokenizer_config.json", "added_tokens.json"]) await files.open(file, signal);
}
