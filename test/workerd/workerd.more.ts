// The packed package's example in the runtime of Cloudflare Workers, which is too large to be installed by everyone who tests: it runs where
// SIGLIP_WORKERD names the program `workerd` of the npm package of that name.

import { spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { answerRange, serve } from "../browser/site.ts";
import { tallied } from "../harness/cases.ts";
import { freePort } from "../harness/free-port.ts";
import { bundleWorker } from "../package/bundlers.ts";
import { installPackage } from "../package/project.ts";

const binary = process.env.SIGLIP_WORKERD;
const demo = new URL("../../weights/demo/", import.meta.url);

tallied(
  "the example runs in workerd, one request after another and several at once",
  { backend: "wasm", precision: "q4", skip: binary ? undefined : "SIGLIP_WORKERD names no workerd" },
  async () => {
    using project = await installPackage();
    await using site = await serve(async (request, response, path) =>
      answerRange(request, response, await readFile(new URL(`.${path}`, demo))),
    );
    const address = `127.0.0.1:${await freePort()}`;
    const folder = await bundleWorker(project);
    writeConfig(folder, address, site.url);
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
    }
  },
);

/** workerd's word for a worker in a folder. */
function writeConfig(folder: string, address: string, model: string): void {
  const modules = readdirSync(folder).map((name) => {
    return `(name = "${name}", ${name.endsWith(".wasm") ? "wasm" : "esModule"} = embed "${name}")`;
  });
  // What is asked for first is what answers.
  modules.sort((a, b) => Number(b.includes('"cloudflare.js"')) - Number(a.includes('"cloudflare.js"')));
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
