import { describe, expect, it } from "vitest";
import { csvLine } from "../../src/cli/csv.ts";
import { parseCaptions } from "../../src/evaluate/captions.ts";
import { parseCsv } from "../../src/evaluate/csv.ts";
import { nameClasses, parseLabelled } from "../../src/evaluate/labelled.ts";
import { SiglipError } from "../../src/support/error.ts";

/** Something is refused in one sentence. */
function refuses(call: () => unknown, message: RegExp): void {
  let error: unknown;
  try {
    call();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(SiglipError);
  expect((error as Error).message).toMatch(message);
  expect((error as Error).message).toMatch(/^[^\n]+\.$/);
}

describe("captions", () => {
  const sentences = (...raw: string[]) => raw.map((one) => ({ raw: one, tokens: one.split(" "), sentid: 1 }));
  const karpathy = {
    dataset: "coco",
    images: [
      { filepath: "val2014", filename: "1.jpg", split: "test", sentences: sentences("a", "b", "c", "d", "e", "f") },
      { filename: "2.jpg", split: "train", sentences: sentences("g") },
      { filename: "3.jpg", split: "test", sentences: sentences("h") },
    ],
  };

  it("of Karpathy's are those of the test split, the first five of each picture", () => {
    for (const text of [
      JSON.stringify(karpathy),
      JSON.stringify(karpathy, undefined, 2),
      `${JSON.stringify(karpathy)}\n`,
    ]) {
      expect(parseCaptions("coco.json", text)).toEqual({
        pictures: [
          { image: "val2014/1.jpg", captions: ["a", "b", "c", "d", "e"] },
          { image: "3.jpg", captions: ["h"] },
        ],
        without: 0,
      });
    }
    expect(parseCaptions("coco.json", JSON.stringify(karpathy), "train").pictures).toEqual([
      { image: "2.jpg", captions: ["g"] },
    ]);
  });

  it("of COCO's are put to their pictures, those without one left out", () => {
    const coco = {
      info: {},
      images: [
        { id: 7, file_name: "7.jpg" },
        { id: 9, file_name: "9.jpg" },
        { id: 8, file_name: "8.jpg" },
      ],
      annotations: [
        { image_id: 8, id: 1, caption: "x" },
        { image_id: 7, id: 2, caption: "y" },
        { image_id: 8, id: 3, caption: "z" },
      ],
    };
    expect(parseCaptions("captions.json", JSON.stringify(coco))).toEqual({
      pictures: [
        { image: "7.jpg", captions: ["y"] },
        { image: "8.jpg", captions: ["x", "z"] },
      ],
      without: 1,
    });
    refuses(() => parseCaptions("captions.json", JSON.stringify(coco), "test"), /leave out --split/);
    const twins = { ...coco, images: [...coco.images, ...coco.images] };
    refuses(() => parseCaptions("c.json", JSON.stringify(twins)), /image \d: wanted an id that no other image has/);
    const stray = { ...coco, annotations: [{ image_id: 1, caption: "x" }] };
    refuses(
      () => parseCaptions("captions.json", JSON.stringify(stray)),
      /annotation 1: wanted the image_id of an image/,
    );
  });

  it("are read by lines or as a list, by any usual name, lines of one picture joined", () => {
    const rows = [
      { image: "1.jpg", caption: "a" },
      { file: "2.jpg", captions: ["b", "c"] },
      { file_name: "1.jpg", text: "d" },
    ];
    const pictures = [
      { image: "1.jpg", captions: ["a", "d"] },
      { image: "2.jpg", captions: ["b", "c"] },
    ];
    const lines = rows.map((row) => JSON.stringify(row));
    for (const text of [
      lines.join("\n"),
      `\ufeff${lines.join("\r\n")}\r\n\r\n`,
      `[${lines}]`,
      JSON.stringify(rows, undefined, 1),
    ]) {
      expect(parseCaptions("captions.jsonl", text)).toEqual({ pictures, without: 0 });
    }
    const split = `{"image":"1.jpg","caption":"a","split":"val"}\n{"image":"2.jpg","caption":"b","split":"test"}`;
    expect(parseCaptions("c.jsonl", split).pictures).toHaveLength(2);
    expect(parseCaptions("c.jsonl", split, "val").pictures).toEqual([{ image: "1.jpg", captions: ["a"] }]);
    refuses(() => parseCaptions("c.jsonl", split, "train"), /of split "train", found "val", "test"; name one/);
  });

  it("takes the first of more captions than a call takes arguments", () => {
    const row = `${JSON.stringify({ image: "a.jpg", captions: Array(150_000).fill("a") })}\n`;
    expect(parseCaptions("captions.jsonl", row + row).pictures[0].captions).toHaveLength(5);
  });

  for (const [what, text, message] of [
    ["nothing", "", /wanted JSON/],
    ["a cut file", JSON.stringify(karpathy).slice(0, 90), /wanted JSON/],
    ["a line that is none", '{"image":"1.jpg","caption":"a"}\n{"image":', /^c\.json, line 2: wanted JSON/],
    ["an empty list", "[]", /captions of pictures, found none/],
    ["numbers", "[1]", /an object as row 1, found 1/],
    ["null", "null", /an object as row 1, found null/],
    ["another object", '{"images":{}}', /a list of images, found an object/],
    ["a row without a picture", '{"caption":"a"}', /row 1: wanted image as a string, found none/],
    ["a caption that is no text", '{"image":"1.jpg","caption":5}', /row 1: wanted caption as a string, found 5/],
    [
      "sentences that are none",
      '{"images":[{"filename":"1","split":"test","sentences":[null]}]}',
      /a list of sentences, found null among them/,
    ],
    [
      "a raw that is no text",
      '{"images":[{"filename":"1","split":"test","sentences":[{}]}]}',
      /a sentence's raw as a str/,
    ],
    ["images that are none", '{"images":[null],"annotations":[]}', /a list of images, found null among them/],
    ["pictures without a caption", '{"image":"1.jpg"}', /captions of pictures, found none/],
  ] as const) {
    it(`refuses ${what} in one sentence`, () => refuses(() => parseCaptions("c.json", text), message));
  }
});

describe("CSV", () => {
  it("is read with quotes, line ends of any kind, and empty lines left out", () => {
    const text = '\ufeffa,b\r\n"x, ""y""\nz",\n\r\n"",1\rlast,"q"';
    expect(parseCsv("x.csv", text)).toEqual([
      ["a", "b"],
      ['x, "y"\nz', ""],
      ["", "1"],
      ["last", "q"],
    ]);
    expect(parseCsv("x.csv", "")).toEqual([]);
    expect(parseCsv("x.csv", "a,")).toEqual([["a", ""]]);
    refuses(() => parseCsv("x.csv", 'a,b\nc"d,e'), /x\.csv, row 2: wanted fields of CSV, found a stray quote/);
    refuses(() => parseCsv("x.csv", '"open,b'), /row 1/);
    refuses(() => parseCsv("x.csv", 'a\n"b"c'), /row 2/);
    // Longer than any pattern follows.
    const long = "a".repeat(1e7);
    expect(parseCsv("x.csv", `"${long}",b`)[0][0]).toHaveLength(1e7);
    refuses(() => parseCsv("x.csv", `"${long}`), /a stray quote/);
  });

  it("reads what this package writes", () => {
    const rows = [
      ["a", 'x, "y"', "z\nz"],
      ["", "0.5", "é"],
    ];
    expect(parseCsv("x.csv", rows.map(csvLine).join(""))).toEqual(rows);
    expect(csvLine(["a", undefined, 0.5, undefined])).toBe("a,,0.5,\r\n");
  });
});

describe("labelled pictures", () => {
  it("are the columns that the first row names, or the first two", () => {
    const wanted = [{ image: "1.jpg", label: "cat" }];
    for (const text of [
      "1.jpg,cat",
      "path,label\n1.jpg,cat",
      "id,Label,File_Name\n5,cat,1.jpg",
      "1.jpg,cat,more",
      "path, label\n1.jpg, cat ",
    ]) {
      expect(parseLabelled("l.csv", text)).toEqual(wanted);
    }
    refuses(() => parseLabelled("l.csv", "path,label\n1.jpg,cat\n2.jpg"), /l\.csv, row 3: wanted a path and a label/);
    refuses(() => parseLabelled("l.csv", "path,label\n"), /rows of path and label/);
  });

  it("have classes sorted by key, with names from the keys, an object or a list", () => {
    const labels = ["n2", "n1_x", "n2", "n3"];
    expect(nameClasses(labels)).toEqual({ keys: ["n1_x", "n2", "n3"], names: ["n1 x", "n2", "n3"] });
    const named = (value: unknown) => nameClasses(labels, { file: "names.json", text: JSON.stringify(value) });
    expect(named(["a", "b", "c"])).toEqual({ keys: ["n1_x", "n2", "n3"], names: ["a", "b", "c"] });
    expect(named({ n3: "c", n2: "b", n1_x: "a", n0: "no pictures" })).toEqual({
      keys: ["n0", "n1_x", "n2", "n3"],
      names: ["no pictures", "a", "b", "c"],
    });
    refuses(() => named(["a", "b"]), /wanted 3 names, one a class, found 2/);
    refuses(() => named({ n2: "b" }), /wanted a name for "n1_x", found none/);
    refuses(() => named([1, 2, 3]), /names of classes, found other values/);
    refuses(() => named(null), /names of classes, found other values/);
    refuses(() => nameClasses(labels, { file: "names.json", text: "{" }), /^names\.json: wanted JSON/);
    refuses(() => nameClasses(["one"]), /wanted at least two, found 1/);
  });
});
