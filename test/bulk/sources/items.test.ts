import { expect, it } from "vitest";
import { parseItem, textEntry } from "../../../src/bulk/sources/items.ts";

it("takes no id that JSON has rounded", () => {
  expect(parseItem('{"text":"a","id":9007199254740991}', "stdin:1")).toMatchObject({ id: 9007199254740991 });
  expect(parseItem('{"text":"a","id":0.5}', "stdin:1")).toMatchObject({ id: 0.5 });
  expect(() => parseItem('{"text":"a","id":9007199254740993}', "stdin:1")).toThrow(
    /^stdin:1: wanted an id .*quotes\.$/,
  );
});

it("has a text be what every format can hold", async () => {
  const { name, load } = textEntry("\ud800 and \ude00\ud83d, 😀");
  expect(name).toBe("\ufffd and \ufffd\ufffd, 😀");
  expect(await load()).toBe(name);
});
