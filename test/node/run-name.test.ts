import { mkdir, readdir, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { putInPlace } from "../../src/node/formats/beside.ts";
import { removeAbandoned, temporaryPath } from "../../src/node/run-name.ts";
import { temporaryFolder } from "../harness/cli.ts";

it("removes what killed processes were making, files and tables, and nothing of those that run", async () => {
  const folder = temporaryFolder();
  try {
    const at = (name: string) => join(folder.path, name);
    let made = "";
    const stop = async (temporary: string) => {
      made = temporary;
      throw new Error("stop");
    };
    await expect(putInPlace(at("a.lance"), stop, undefined, ".lance")).rejects.toThrow("stop");
    // Of a process that there is none of.
    const ofNobody = made.replace(/\.\d+\.(?=[\w-]{36}\.tmp)/, `.${2 ** 30}.`);
    expect(ofNobody).not.toBe(made);
    await mkdir(join(ofNobody, "data"), { recursive: true });
    await writeFile(ofNobody.replace(/\.lance$/, ""), "");
    await writeFile(temporaryPath(folder.path).replace(`.${process.pid}.`, `.${2 ** 30}.`), "");
    await mkdir(made);
    await writeFile(at(`.siglip-${hostname()}.txt`), "");
    await removeAbandoned(folder.path);
    expect((await readdir(folder.path)).sort().map(at)).toEqual([made, at(`.siglip-${hostname()}.txt`)].sort());
  } finally {
    folder.remove();
  }
});
