import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that take long, longest first: begun last, one of them would run alone at the end. */
const SLOW = [
  "test/tensor/conformance",
  "test/model/golden",
  "test/package/",
  "test/siglip/siglip",
  "test/web/page",
  "test/web/bench",
  "test/tensor/webgpu/",
  "test/browser/",
  "test/long/",
  "test/cli/",
];

/** The slow files first, then the others in Vitest's own order: what it knows by itself are sizes, in a fresh clone. */
export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const place = ({ moduleId }: TestSpecification) => {
      const index = SLOW.findIndex((part) => moduleId.includes(part));
      return index < 0 ? SLOW.length : index;
    };
    return sorted.sort((a, b) => place(a) - place(b));
  }
}
