import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** An object store. */
export interface Bucket extends AsyncDisposable {
  /** What makes a process take it for Amazon's. */
  readonly env: Readonly<Record<string, string>>;
  /** What lies in it, by key. */
  readonly objects: ReadonlyMap<string, Buffer>;
}

/** An S3 bucket of that name in memory: of its interface what LanceDB uses for small tables, and no check of who asks. */
export async function openBucket(name: string): Promise<Bucket> {
  const objects = new Map<string, Buffer>();
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url!, "http://localhost");
    const [, bucket, ...words] = decodeURIComponent(pathname).split("/");
    const key = words.join("/");
    const answer = (status: number, body: string | Buffer = "", headers: Record<string, string> = {}) => {
      const told = { ETag: '"1"', "Last-Modified": new Date(0).toUTCString(), ...headers };
      response.writeHead(status, { ...told, "Content-Length": Buffer.byteLength(body) }).end(body);
    };
    const refuse = (status: number, code: string, message: string) =>
      answer(status, `<Error><Code>${code}</Code><Message>${message}</Message></Error>`);
    if (bucket !== name) return refuse(404, "NoSuchBucket", "The specified bucket does not exist");
    if (request.method === "PUT") {
      const body = Buffer.concat(await request.toArray());
      if (request.headers["if-none-match"] === "*" && objects.has(key))
        return refuse(412, "PreconditionFailed", "There is one");
      objects.set(key, body);
      return answer(200);
    }
    if (searchParams.get("list-type") === "2") {
      const found = [...objects]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .filter(([key]) => key.startsWith(searchParams.get("prefix") ?? ""));
      const rows = found.map(
        ([key, { length }]) =>
          `<Contents><Key>${key}</Key><LastModified>${new Date(0).toISOString()}</LastModified><Size>${length}</Size></Contents>`,
      );
      const facts = `<Name>${name}</Name><KeyCount>${rows.length}</KeyCount><IsTruncated>false</IsTruncated>`;
      return answer(200, `<ListBucketResult>${facts}${rows.join("")}</ListBucketResult>`);
    }
    const object = objects.get(key);
    if (!object) return refuse(404, "NoSuchKey", "The specified key does not exist.");
    const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    if (first === undefined) return answer(200, object);
    const begin = first === "" ? object.length - Number(last) : Number(first);
    const end = first === "" || last === "" ? object.length : Math.min(object.length, Number(last) + 1);
    return answer(206, object.subarray(begin, end), { "Content-Range": `bytes ${begin}-${end - 1}/${object.length}` });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    objects,
    env: bucketEnvironment(port),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What makes a process take a port of this machine for Amazon's S3. */
export function bucketEnvironment(port: number): Record<string, string> {
  return {
    AWS_ENDPOINT: `http://127.0.0.1:${port}`,
    AWS_ALLOW_HTTP: "true",
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "name",
    AWS_SECRET_ACCESS_KEY: "secret",
  };
}
