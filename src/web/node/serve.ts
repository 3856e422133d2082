// Builds the page and serves it on this machine: `npm run web`, with PORT=… for a port other than 8080.
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import { extname } from "node:path";
import { pathToFileURL } from "node:url";
import { ISOLATION } from "../isolation.ts";
import { type Built, buildPage } from "./build.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".jpg": "image/jpeg",
};

/** A static server of the page's files, under `/` or a folder such as `/siglip/`, with headers of its own. */
export function pageServer(files: Built, folder = "/", own: Readonly<Record<string, string>> = {}): Server {
  return createServer(({ url = "/", method, headers }, response) => {
    response.setHeader("X-Content-Type-Options", "nosniff");
    response.setHeader("Content-Security-Policy", "frame-ancestors 'none'");
    // Two slashes at its beginning, either way, would make a host of what follows.
    if (!/^\/(?![/\\])/.test(url) || !URL.canParse(url, "http://localhost")) {
      response.writeHead(400, { "Content-Type": "text/plain" }).end("Bad request.\n");
      return;
    }
    const { pathname } = new URL(url, "http://localhost");
    const name = pathname.startsWith(folder) ? pathname.slice(folder.length) || "index.html" : undefined;
    const bytes = name === undefined ? undefined : files.get(name);
    if (!bytes) {
      response.writeHead(404, { "Content-Type": "text/plain" }).end("Not found.\n");
      return;
    }
    for (const [header, value] of Object.entries(own)) response.setHeader(header, value);
    response.setHeader("Content-Type", TYPES[extname(name!)] ?? "application/octet-stream");
    response.setHeader("Content-Length", bytes.length);
    const hashed = /-[A-Z0-9]{8}\.\w+$/.test(name!);
    response.setHeader("Cache-Control", hashed ? "max-age=31536000, immutable" : "no-cache");
    const etag = `"${createHash("sha256").update(bytes).digest("hex")}"`;
    response.setHeader("ETag", etag);
    if (headers["if-none-match"] === etag) {
      response.removeHeader("Content-Length");
      response.writeHead(304).end();
      return;
    }
    response.end(method === "HEAD" ? undefined : bytes);
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const port = Number(process.env.PORT ?? 8080);
  // The service worker does the same, but only from the second visit on.
  const server = pageServer(await buildPage(), "/", ISOLATION);
  server.on("error", ({ message }) => {
    console.error(`The page was to be served on port ${port}, found ${message}; name another port with PORT=…`);
    process.exitCode = 1;
  });
  server.listen(port, "localhost", () => console.log(`http://localhost:${port}/`));
}
