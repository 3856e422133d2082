// The packed package where package.test.ts does not run it: it takes these half a minute.
import { describe } from "vitest";
import { inRuntimes, installed, throughBundlers } from "./cases.ts";

const open = installed();

describe("in an empty project", () =>
  inRuntimes(open, [
    { name: "a current Node", backend: "webgpu" },
    { name: "Deno", backend: "webgpu" },
  ]));

describe("in Chromium", () => throughBundlers(open, ["esbuild", "vite", "webpack"]));
