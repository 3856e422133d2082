import { Siglip } from "../../src/node.ts";
import { onGpu, tallied } from "../harness/cases.ts";
import { aloneAsTogether, expectRetrieval } from "./demo.ts";

onGpu("the demo model embeds a picture alone as in a batch of 16", { precision: "f32" }, async ({ device }) => {
  const model = await Siglip.load("demo", { backend: "webgpu", dtype: "f32", device });
  await aloneAsTogether(model, 16, [0, 7, 15]);
  model.dispose();
});

tallied("the demo model retrieves as the reference does on the cpu", { backend: "cpu", precision: "f32" }, async () => {
  const model = await Siglip.load("demo", { backend: "cpu" });
  await expectRetrieval(model);
  model.dispose();
});
