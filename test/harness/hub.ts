// The parts of the Hub that a model's files come from: resolve URLs, a CDN on another host, and the listing's API.
import { type Content, digest, type Entry, type FileServer, serveFiles } from "./server.ts";

/** Files of one commit by name. */
export type HubFiles = Readonly<Record<string, Content>>;

export interface Hub extends AsyncDisposable {
  /** What HF_ENDPOINT would be; without a slash at its end. */
  readonly endpoint: string;
  /** Answers for small files, redirects for large ones, and the API. */
  readonly site: FileServer;
  /** Holds the large files (*.safetensors, *.model) by their sha256, on another host. */
  readonly cdn: FileServer;
  /** Makes a commit of these files, which `revision` ("main" by default) means from now on, and gives its name. */
  publish(id: string, files: HubFiles, revision?: string): string;
  /** From now on the model is only for those who send this token. */
  gate(id: string, token: string): void;
}

interface Repository {
  readonly commits: Map<string, HubFiles>;
  readonly references: Map<string, string>;
  token?: string;
}

/** Starts both servers. */
export async function serveHub(): Promise<Hub> {
  const repositories = new Map<string, Repository>();
  const cdn = await serveFiles();
  let made = 0;
  const find = (path: string, authorization?: string): Entry | undefined => {
    const [, api, id, tail] = /^(api\/models\/)?([^/]+\/[^/]+)\/(.*)$/.exec(path) ?? [];
    const repository = repositories.get(id);
    if (!repository || (repository.token && authorization !== `Bearer ${repository.token}`)) {
      return refused(401, repository ? "GatedRepo" : "RepoNotFound");
    }
    const [, kind, revision, file] = /^(resolve|revision|tree)\/(refs\/pr\/\d+|[^/]+)(?:\/(.*))?$/.exec(tail) ?? [];
    const commit = repository.references.get(revision) ?? revision;
    const files = repository.commits.get(commit);
    if (!files) return refused(404, "RevisionNotFound");
    if (api) return { content: JSON.stringify(kind === "tree" ? listing(files) : { id, sha: commit }) };
    if (!Object.hasOwn(files, file)) return refused(404, "EntryNotFound");
    return resolve(files[file], file, commit, cdn);
  };
  const site = await serveFiles({}, (path, { headers }) => find(path, headers.authorization));
  return {
    endpoint: site.url.slice(0, -1),
    site,
    cdn,
    publish(id, files, revision = "main") {
      const repository = repositories.get(id) ?? { commits: new Map(), references: new Map() };
      repositories.set(id, repository);
      const commit = digest("sha1", `${id} ${made++}`);
      repository.commits.set(commit, files);
      repository.references.set(revision, commit);
      for (const [name, content] of Object.entries(files)) {
        if (isLarge(name)) cdn.files.set(sha256(content), { content });
      }
      return commit;
    },
    gate(id, token) {
      repositories.get(id)!.token = token;
    },
    async [Symbol.asyncDispose]() {
      await site[Symbol.asyncDispose]();
      await cdn[Symbol.asyncDispose]();
    },
  };
}

function isLarge(name: string): boolean {
  return /\.(safetensors|model)$/.test(name);
}

function resolve(content: Content, name: string, commit: string, cdn: FileServer): Entry {
  if (!isLarge(name)) return { content, headers: { "X-Repo-Commit": commit, ETag: `"${gitSha1(content)}"` } };
  const sha = sha256(content);
  const headers = {
    "X-Repo-Commit": commit,
    "X-Linked-Size": `${sizeOf(content)}`,
    "X-Linked-ETag": `"${sha}"`,
    ETag: `"${sha}"`,
    // Another host and another port: a token must reach neither.
    Location: `http://localhost:${cdn.port}/${sha}?signature=${commit.slice(0, 8)}`,
  };
  return { content: "Found. Redirecting.", status: 302, headers };
}

function refused(status: number, code: string): Entry {
  return { content: code, status, headers: { "X-Error-Code": code } };
}

function listing(files: HubFiles): unknown[] {
  return Object.entries(files).map(([path, content]) => {
    const size = sizeOf(content);
    const lfs = isLarge(path) ? { oid: sha256(content), size, pointerSize: 135 } : undefined;
    return { type: "file", path, size, oid: gitSha1(content), ...(lfs && { lfs }) };
  });
}

function sizeOf(content: Content): number {
  if (typeof content === "string") return Buffer.byteLength(content);
  return content instanceof Uint8Array ? content.length : content.size;
}

/** Of a Source, whose bytes may be too many: something as long that stands for it. */
function sha256(content: Content): string {
  return digest("sha256", isBytes(content) ? content : content.name);
}

/** git's name of a file: the sha1 of a header and its bytes. */
function gitSha1(content: Content): string {
  return digest("sha1", `blob ${sizeOf(content)}\0`, isBytes(content) ? content : content.name);
}

function isBytes(content: Content): content is string | Uint8Array {
  return typeof content === "string" || content instanceof Uint8Array;
}
