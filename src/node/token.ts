import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { huggingFaceHome } from "./cache/folders.ts";

/**
 * The Hub and the token that Hugging Face's own tools would use: `HF_ENDPOINT`; `HF_TOKEN`, else the file that `hf
 * auth login` wrote (`HF_TOKEN_PATH`, `$HF_HOME/token`). No token where `HF_HUB_DISABLE_IMPLICIT_TOKEN` is set.
 */
export async function hubDefaults(env = process.env): Promise<{ endpoint?: string; token?: string }> {
  const endpoint = env.HF_ENDPOINT || undefined;
  if (env.HF_TOKEN) return { endpoint, token: env.HF_TOKEN.trim() };
  if (/^(1|on|yes|true)$/i.test(env.HF_HUB_DISABLE_IMPLICIT_TOKEN ?? "")) return { endpoint };
  const kept = await readFile(env.HF_TOKEN_PATH || join(huggingFaceHome(env), "token"), "utf8").catch(() => "");
  return { endpoint, token: kept.trim() || undefined };
}
