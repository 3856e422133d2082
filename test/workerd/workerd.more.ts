// The example in the runtime of Cloudflare Workers, which is too large to be installed by everyone who tests: it runs where
// SIGLIP_WORKERD names the program `workerd` of the npm package of that name.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { bundleStatic } from "../../src/node/bundle-static.ts";
import { writeWasm } from "../../src/workerd/node/wasm.ts";
import { answerRange, serve } from "../browser/site.ts";
import { tallied } from "../harness/cases.ts";

const binary = process.env.SIGLIP_WORKERD;
const demo = new URL("../../weights/demo/", import.meta.url);

tallied(
  "the example runs in workerd, one request after another and several at once",
  { backend: "wasm", precision: "q4", skip: binary ? undefined : "SIGLIP_WORKERD names no workerd" },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "siglip-workerd-"));
    await using site = await serve(async (request, response, path) =>
      answerRange(request, response, await readFile(new URL(`.${path}`, demo))),
    );
    const address = `127.0.0.1:${await freePort()}`;
    await writeWorker(folder, address, site.url);
    const running = spawn(binary!, ["serve", "config.capnp"], { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
    try {
      const post = async (file: string) => {
        const body = readFileSync(new URL(`examples/${file}`, demo));
        const response = await fetch(`http://${address}/`, { method: "POST", body });
        return response.json();
      };
      const first = expect.poll(() => post("two-cats.png").catch(() => undefined), { timeout: 30_000 });
      await first.toMatchObject([{ label: "2 cats" }, {}, {}, {}]);
      const files = ["plane.jpg", "guitar.jpg", "pizza.png", "plane.jpg"];
      const found = await Promise.all(files.map(post));
      expect(found.map(([{ label }]) => label)).toEqual(["a plane", "a guitar", "a pizza", "a plane"]);
      expect(await post("examples.json")).toEqual({ error: expect.stringMatching(/^the picture: wanted/) });
    } finally {
      running.kill();
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

/** A worker as a bundler would leave it, and workerd's word for it. */
async function writeWorker(folder: string, address: string, model: string): Promise<void> {
  mkdirSync(join(folder, "workerd"));
  await writeWasm(join(folder, "workerd"));
  writeFileSync(join(folder, "workerd.js"), await bundleStatic("workerd"));
  const example = readFileSync(new URL("../../docs/examples/cloudflare/worker.js", import.meta.url), "utf8");
  writeFileSync(join(folder, "worker.js"), example.replace('"siglip"', '"./workerd.js"'));
  const modules = [
    ...["worker.js", "workerd.js"].map((name) => `(name = "${name}", esModule = embed "${name}")`),
    ...readdirSync(join(folder, "workerd")).map((name) => `(name = "workerd/${name}", wasm = embed "workerd/${name}")`),
  ];
  writeFileSync(
    join(folder, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main), (name = "internet", network = (allow = ["public", "private"]))],
  sockets = [(name = "http", address = "${address}", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [${modules.join(", ")}],
  bindings = [(name = "MODEL", text = "${model}")],
  compatibilityDate = "2025-08-15",
  globalOutbound = "internet",
);
`,
  );
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
