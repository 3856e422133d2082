import { mismatch } from "../../support/error.ts";
import { isSoftware } from "../../tensor/webgpu/device.ts";
import type { AppContext } from "../context.ts";
import { make, sentence } from "../dom.ts";
import { adapterFacts, factList } from "./facts.ts";
import { mountMeasuring } from "./measuring.ts";

/** The kernel bench: what the device is, and on request what every kernel does on it. */
export function mountBench(root: HTMLElement, { announce }: AppContext): void {
  root.classList.add("bench");
  void findAdapter().then(
    (adapter) => {
      const software = isSoftware(adapter.info);
      if (software) root.append(softwareNotice());
      root.append(make("h2", {}, "This device"), factList(adapterFacts(adapter)));
      mountMeasuring(root, software, announce);
    },
    (error) => root.append(make("p", { class: "card" }, sentence(error))),
  );
}

async function findAdapter(): Promise<GPUAdapter> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (adapter) return adapter;
  const found = navigator.gpu
    ? "no WebGPU adapter on this device"
    : "a browser, or a page without https, that has no WebGPU";
  throw mismatch("no-device", "bench", "a GPU to measure", found, "use the other views, which carry on without");
}

function softwareNotice(): HTMLElement {
  return make(
    "p",
    { class: "software", role: "note" },
    make("strong", {}, "Software adapter"),
    " There is no GPU behind it: shaders run on the CPU. That the kernels are right can be seen here; " +
      "their times say nothing about a GPU, and only small shapes are run.",
  );
}
