// Captions, labelled pictures and calibrations as strangers publish them.
import assert from "node:assert/strict";
import { CAPTIONS, parseCaptions } from "../../src/evaluate/captions.ts";
import { nameClasses, parseLabelled } from "../../src/evaluate/labelled.ts";
import { parseJson, type SiglipConfig } from "../../src/model/config.ts";
import type { Towers } from "../../src/model/towers.ts";
import { calibrated } from "../../src/siglip/calibration.ts";
import { mutateJson } from "./json.ts";
import { join, mutateBytes } from "./random.ts";
import type { Target } from "./targets.ts";

type Part = Pick<Target, "make" | "read">;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const DATA = [
  {
    images: [
      { filepath: "val2014", filename: "1.jpg", split: "test", sentences: [{ raw: "a cat" }, { raw: "a dog" }] },
      { filename: "2.jpg", split: "train", sentences: [{ raw: "a cat" }] },
    ],
  },
  { images: [{ id: 1, file_name: "1.jpg" }], annotations: [{ image_id: 1, caption: "a cat" }] },
  [{ image: "1.jpg", captions: ["a cat", "a dog"], split: "test" }],
  { file: "1.jpg", caption: "a cat" },
];

const captions: Part = {
  make(random) {
    const one = mutateJson(random, random.pick(DATA), ["split", "captions", "images", "annotations"]);
    const lines = random.chance(0.3) ? [one, encoder.encode("\n"), mutateJson(random, DATA[3], ["text"])] : [one];
    return [join(...lines)];
  },
  async read([file]) {
    const { pictures, without } = parseCaptions("c", decoder.decode(file));
    return () => {
      assert(pictures.length > 0 && without >= 0);
      for (const { image, captions } of pictures) {
        assert(typeof image === "string" && captions.length > 0 && captions.length <= CAPTIONS);
        assert(captions.every((caption) => typeof caption === "string"));
      }
    };
  },
};

const TABLE = encoder.encode('path,label\r\n1.jpg,cat\r\n"2, ""b"".jpg",dog\n3.jpg,"a\nb"\n');
const NAMES = { cat: "a cat", dog: "a dog", "a\nb": "c" };

const labelled: Part = {
  make: (random) => [
    random.chance(0.5) ? mutateBytes(random, TABLE, [TABLE]) : TABLE,
    random.chance(0.5) ? mutateJson(random, NAMES, ["dog"]) : new Uint8Array(),
  ],
  async read([table, names]) {
    const pictures = parseLabelled("l", decoder.decode(table));
    const labels = pictures.map(({ label }) => label);
    const classes = nameClasses(labels, names.length > 0 ? { file: "n", text: decoder.decode(names) } : undefined);
    return () => {
      assert(classes.keys.length === classes.names.length && new Set(classes.keys).size === classes.keys.length);
      assert(labels.every((label) => classes.keys.includes(label)));
    };
  },
};

const TOWERS = { scale: Math.exp(3.5), bias: -10.5 } as Towers;
const CONFIG = { towers: ["image", "text"], vision: { hidden: 144 } } as unknown as SiglipConfig;
const FIT = { logitScale: 4, logitBias: -12, model: { name: "demo", dim: 144, logitScale: 3.5, logitBias: -10.5 } };

const calibration: Part = {
  make: (random) => [mutateJson(random, FIT, ["model", "logitScale"])],
  async read([file]) {
    const found = calibrated(TOWERS, "m", CONFIG, parseJson(file, "c") as unknown as typeof FIT);
    return () => assert(Number.isFinite(found.scale) && found.scale > 0 && Number.isFinite(found.bias));
  },
};

const PARTS = [captions, labelled, calibration];

export const labels: Target = {
  name: "labels",
  cases: 1200,
  bound: (length) => 64 * length,
  make(random) {
    const part = random.below(PARTS.length);
    return [Uint8Array.of(part), ...PARTS[part].make(random)];
  },
  read: ([[part], ...files]) => PARTS[part].read(files),
};
