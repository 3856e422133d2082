import { describe, expect, it } from "vitest";
import type { Source } from "../../src/checkpoint/source.ts";
import { listFiles } from "../../src/files/list.ts";

const oneSentence = /^[^;]*wanted [^;]*, found [^;]*; [^;]*\.$/;

describe("a model's files as someone chose them", () => {
  const at = (path: string, text: string) => {
    const file = new File([text], path.split("/").at(-1)!);
    return Object.defineProperty(file, "webkitRelativePath", { value: path });
  };
  const text = async (source?: Source) => source && new TextDecoder().decode(await source.read(0, source.size));

  it("are found by name, the least deep first", async () => {
    const files = listFiles([
      at("m/onnx/config.json", "deep"),
      at("m/config.json", "top"),
      new File(["x"], "spiece.model"),
    ]);
    expect(await text(await files.open("config.json"))).toBe("top");
    expect(await text(await files.open("spiece.model"))).toBe("x");
    for (const name of ["model.safetensors", "__proto__", "toString"]) expect(await files.open(name)).toBeUndefined();
  });

  it("are refused where two share a name, and where they are none", async () => {
    expect(() => listFiles([at("a/config.json", ""), at("b/config.json", "")])).toThrow(oneSentence);
    for (const wrong of ["config.json", new Blob(["x"]), null]) {
      expect(() => listFiles([wrong as File])).toThrow(oneSentence);
    }
  });
});
