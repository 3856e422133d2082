import { Siglip } from "../../src/node.ts";
import { onGpu } from "../harness/cases.ts";
import { aloneAsTogether } from "./demo.ts";

onGpu("the demo model embeds a picture alone as in a batch of 16", { precision: "f32" }, async ({ device }) => {
  const model = await Siglip.load("demo", { backend: "webgpu", dtype: "f32", device });
  await aloneAsTogether(model, 16, [0, 7, 15]);
  model.dispose();
});
