import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { tallied } from "../harness/cases.ts";
import { failed, refused, siglip, temporaryFolder } from "../harness/cli.ts";

const folder = temporaryFolder();
afterAll(folder.remove);
const at = (name: string) => join(folder.path, name);

const scenes = fileURLToPath(new URL("../../weights/demo/eval", import.meta.url));
const captions = readFileSync(join(scenes, "captions.jsonl"), "utf8");
const reference = JSON.parse(readFileSync(join(scenes, "reference.json"), "utf8"));
const wasm = ["--backend", "wasm", "--dtype", "f32"];

describe("siglip eval", () => {
  tallied(
    "retrieval gives the reference figures, leaves a bad picture out, and fits probabilities that classify takes",
    { backend: "wasm", precision: "f32" },
    async () => {
      writeFileSync(at("scenes.jsonl"), `${JSON.stringify({ image: "nowhere.png", caption: "a cat" })}\n${captions}`);
      const fit = at("calibration.json");
      const args = ["eval", "retrieval", at("scenes.jsonl"), "--images", scenes, ...wasm, "--fit", fit, "--json"];
      const { code, stdout, stderr } = await siglip(args);
      expect(stderr).toMatch(
        /^siglip: \S+nowhere\.png: wanted [^\n]+\nsiglip: [^\n]+wanted 201 pictures that can be read, /,
      );
      expect(code).toBe(1);
      const found = JSON.parse(stdout);
      expect(found).toMatchObject({ model: "demo", pictures: 200, captions: 200, skipped: [expect.any(String)] });
      const [run] = found.runs;
      expect(run).toMatchObject({ backend: "wasm", dtype: "f32" });
      const values = Object.fromEntries(
        run.metrics.map((row: { name: string; value: number }) => [row.name, row.value]),
      );
      for (const name of ["image to text", "text to image"].flatMap((way) => [`${way} R@1`, `${way} R@5`])) {
        expect(values[name]).toBe(reference[name]);
      }
      for (const { value, interval } of run.metrics) {
        expect(interval[0]).toBeLessThanOrEqual(value);
        expect(interval[1]).toBeGreaterThanOrEqual(value);
      }
      const written = JSON.parse(readFileSync(fit, "utf8"));
      expect(written).toEqual(found.calibration);
      expect(written).toMatchObject({
        model: { name: "demo", dim: 144 },
        bounded: false,
        pairs: { matching: 200, others: 39800 },
      });
      expect(written.gradient).toBeLessThan(1e-10);
      expect(written.after.loss).toBeLessThan(written.before.loss);
      const { loss, matching, others } = run.probabilities;
      expect(loss).toBe(written.before.loss);
      expect(matching.overHalf).toBe(reference["true pairs over 0.5"]);
      expect(others.overHalf).toBeCloseTo(reference["false pairs over 0.5"], 5);

      const { file, labels, logits } = JSON.parse(readFileSync("weights/demo/examples/examples.json", "utf8"))
        .examples[0];
      const picture = ["classify", `weights/demo/examples/${file}`, "--labels", labels[0], "--template", "{label}"];
      const classified = await siglip([...picture, ...wasm, "--json", "--calibration", fit]);
      const { logitScale, logitBias, model } = written;
      const stretch = Math.exp(logitScale - model.logitScale);
      const { logit } = JSON.parse(classified.stdout)[0].labels[0];
      expect(Math.abs(logit - (stretch * (logits[0] - model.logitBias) + logitBias))).toBeLessThan(0.01 * stretch);
    },
  );

  it("is told in one sentence what is wrong, before a model is loaded", async () => {
    const nowhere = ["--model", at("nowhere")];
    writeFileSync(at("lost.csv"), "lost.png,cat\nlost.jpg,dog\n");
    const [both, lost] = await Promise.all([
      siglip(["eval", "retrieval", scenes, ...nowhere, "--fit", at("a"), "--calibration", at("b")]),
      siglip(["eval", "zeroshot", at("lost.csv"), ...nowhere]),
    ]);
    refused(both, /wanted --fit or --calibration, found both/);
    failed(lost, /lost\.png in it, found no such file; name the folder of the pictures by --images/);
  });
});
