import type { Source } from "../checkpoint/source.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { mismatch, shorten } from "../support/error.ts";
import { checkStatus } from "./answers.ts";
import { get, Patience } from "./exchange.ts";
import { openRemote } from "./http.ts";
import { checkAddress } from "./request.ts";
import { OpenFiles, type UrlOptions } from "./urls.ts";

/** A model on a Hub. */
export interface HubModel {
  /** `org/name`. */
  readonly id: string;
  /** A branch, a tag, a commit or `refs/pr/N`. */
  readonly revision: string;
}

/** Hugging Face's own. */
export const DEFAULT_ENDPOINT = "https://huggingface.co";

/** Bytes of an answer of the API that are looked at. */
const MOST_ANSWERED = 2 ** 20;

const ID = /^(?=.{1,96}$)(?!.*(\.\.|--))[\w][\w.-]*\/[\w][\w.-]*(?<![.-])$/;

/**
 * `org/name` or `org/name@revision`, the revision "main" where none is given; undefined for what has not this form.
 * Throws a SiglipError for a revision that git would not take, and for two that differ.
 */
export function parseHubModel(text: string, revision?: string): HubModel | undefined {
  const [, id, own] = /^([^@]*)(?:@(.*))?$/s.exec(text) ?? [];
  if (!ID.test(id)) return undefined;
  if (own !== undefined && revision !== undefined && own !== revision) {
    throw mismatch(
      "bad-input",
      id,
      "one revision",
      `${JSON.stringify(own)} and ${JSON.stringify(revision)}`,
      "give it once",
    );
  }
  const wanted = own ?? revision ?? "main";
  if (!/^(?![-/])(?!.*(\.\.|\/\/|@\{))[^\s\p{Cc}\p{Cs}~^:?*[\\]{1,200}(?<![/.])$/u.test(wanted)) {
    throw mismatch(
      "bad-input",
      id,
      "a revision (branch, tag or commit)",
      JSON.stringify(wanted.slice(0, 100)),
      "take one from the model's page",
    );
  }
  return { id, revision: wanted };
}

/** A Hub's URL without a slash at its end. Throws a SiglipError for what is no http or https URL. */
export function parseEndpoint(endpoint = DEFAULT_ENDPOINT): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url) checkAddress(url);
  if (url && /^https?:$/.test(url.protocol) && !url.search && !url.hash) return url.href.replace(/\/+$/, "");
  throw mismatch(
    "bad-input",
    "endpoint",
    `a Hub's URL such as ${DEFAULT_ENDPOINT}`,
    JSON.stringify(shorten(endpoint)),
    "correct it",
  );
}

/** Where a Hub serves a file of a revision. */
export function hubUrl(endpoint: string, { id, revision }: HubModel, file: string): URL {
  if (/(^|\/)\.{0,2}(\/|$)|[\\\p{Cc}\p{Cs}]/u.test(file)) {
    throw mismatch(
      "bad-checkpoint",
      id,
      "a file of the model",
      `the name ${JSON.stringify(file.slice(0, 100))}`,
      "fetch the model again",
    );
  }
  const path = file.split("/").map(encodeURIComponent).join("/");
  return new URL(`${parseEndpoint(endpoint)}/${id}/resolve/${encodeURIComponent(revision)}/${path}`);
}

/** The commit that a revision is at present, by the Hub's API. */
export async function readCommit(
  { id, revision }: HubModel,
  options: UrlOptions,
  signal?: AbortSignal,
): Promise<string> {
  const endpoint = parseEndpoint(options.endpoint);
  const url = new URL(`${endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}`);
  const text = await readAnswer(url, options, signal);
  const sha = /"sha"\s*:\s*"([0-9a-f]{40})"/.exec(text ?? "")?.[1];
  if (sha) return sha;
  const found = text === undefined ? "no such page" : "an answer without";
  const advice = "check the model's id, its revision and the endpoint";
  throw mismatch(
    text === undefined ? "not-found" : "network",
    url.href,
    `the commit that ${revision} is`,
    found,
    advice,
  );
}

/** An answer of the Hub's API, of which no more than its first MiB is looked at; undefined where there is none. */
async function readAnswer(url: URL, options: UrlOptions, signal?: AbortSignal): Promise<string | undefined> {
  const patience = new Patience(url.href, options);
  for (;;) {
    try {
      const exchange = await get(url, {}, options, signal);
      try {
        if (exchange.response.status === 404) return undefined;
        checkStatus(exchange, url.href);
        const decoder = new TextDecoder();
        let text = "";
        for (let size = 0; size < MOST_ANSWERED; ) {
          const piece = await exchange.read();
          if (!piece) break;
          size += piece.length;
          text += decoder.decode(piece, { stream: true });
        }
        return text;
      } finally {
        exchange.close();
      }
    } catch (error) {
      await patience.after(error, "the Hub's answer", signal);
    }
  }
}

/**
 * The files of a model on a Hub, all of one commit: the one that the revision was when the first file was opened. The
 * token goes to the endpoint only.
 */
export function hubFiles(model: HubModel, options: UrlOptions = {}): ModelFiles {
  const endpoint = parseEndpoint(options.endpoint);
  const opened = new OpenFiles(options);
  let commit = /^[0-9a-f]{40}$/.test(model.revision) ? model.revision : undefined;
  const name = model.revision === "main" ? model.id : `${model.id}@${model.revision}`;
  return {
    name,
    key: endpoint === DEFAULT_ENDPOINT ? name : `${endpoint}/${name}`,
    get version() {
      return commit;
    },
    open,
    close: () => opened.close(),
  };

  async function open(file: string, signal?: AbortSignal): Promise<Source | undefined> {
    const remote = await openRemote(hubUrl(endpoint, { id: model.id, revision: commit ?? model.revision }, file), {
      ...options,
      pages: false,
      signal,
    });
    if (!remote) return undefined;
    if (!commit && !remote.commit) {
      commit = await readCommit(model, options, signal);
      return open(file, signal);
    }
    commit ??= remote.commit!;
    if (remote.commit && remote.commit !== commit) {
      throw mismatch(
        "network",
        name,
        `all files of the commit ${commit}`,
        `${file} of ${remote.commit}`,
        "load the model again",
      );
    }
    return opened.add(remote, signal);
  }
}
