import type { ClassesConfig } from "./config.ts";
import type { Section } from "./section.ts";

/** More labels than any classifier has, ImageNet-21k's 21,843 among them. */
const MOST = 65536;

/**
 * Takes the `config.json` of an image classifier apart: its image tower as a tower alone says it, for `parseConfig`,
 * and its labels. Without `id2label` they are `LABEL_0`, `LABEL_1`, … as Hugging Face names them. Throws a SiglipError
 * that names the key.
 */
export function parseClassifier(root: Section): { tower: object; classes: ClassesConfig } {
  const type = root.get("model_type");
  if (type !== "siglip" && type !== "siglip2") root.fail("model_type", '"siglip" or "siglip2" of a classifier', type);
  const problem = root.get("problem_type") ?? null;
  const multiple = problem === "multi_label_classification";
  if (!multiple && problem !== null && problem !== "single_label_classification") {
    root.fail("problem_type", '"single_label_classification" or "multi_label_classification"', problem);
  }
  const labels = parseLabels(root);
  root.section("vision_config"); // throws for what is none
  const vision = { ...(root.get("vision_config") as object | null | undefined) };
  return {
    // The MAP head is in the files but was not trained: the classifier reads the mean of the tokens instead.
    tower: { ...vision, model_type: `${type}_vision_model`, vision_use_head: false },
    // Of a single label a softmax would say 1 always.
    classes: { labels, independent: multiple || labels.length === 1 },
  };
}

function parseLabels(root: Section): string[] {
  const names = root.get("id2label") ?? undefined;
  if (names === undefined) {
    return Array.from({ length: root.count("num_labels", 2, MOST) }, (_, index) => `LABEL_${index}`);
  }
  const section = root.section("id2label");
  const count = Object.keys(names).length;
  if (count < 1 || count > MOST) root.fail("id2label", `1 to ${MOST} labels`, count);
  return Array.from({ length: count }, (_, index) => {
    const label = section.get(String(index));
    return typeof label === "string" ? label : section.fail(`${index}`, "a label", label);
  });
}
