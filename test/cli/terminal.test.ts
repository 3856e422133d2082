import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { bar } from "../../src/cli/table.ts";
import { clip, harmless, plain, width } from "../../src/cli/terminal.ts";
import { bytes, duration } from "../../src/support/units.ts";
import { NO_TERMINAL, onTerminal, siglip, temporaryFolder, words } from "../harness/cli.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

const pictures = readdirSync("weights/demo/eval")
  .filter((name) => name.endsWith(".jpg"))
  .map((name) => join("weights/demo/eval", name));
const cpu = ["--backend", "cpu"];

/** Everything that moves the cursor or changes colours. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals are steered by them.
const ESCAPES = /\x1b(\[[?\d;]*[A-Za-z]|[78])/g;

describe("the parts of a line", () => {
  it("counts and cuts by columns, not characters", () => {
    expect(["abc", "ラベル", "ｱｲ", "🙂🙂", "👨‍👩‍👧", "e\u0301", "❤️", ""].map(width)).toEqual([3, 6, 2, 4, 2, 1, 2, 0]);
    expect(clip("a long label", 6)).toBe("a lon…");
    expect(clip("ラベルラベル", 6)).toBe("ラベ…");
    expect(clip("label", 5)).toBe("label");
    expect(clip("label", Number.POSITIVE_INFINITY)).toBe("label");
  });

  it("disarms a stranger's control characters", () => {
    expect(plain("a\r\n\x1b[31mb\u202ec\x9b2J\ud800")).toBe(String.raw`a\u000d\u000a\u001b[31mb\u202ec\u009b2J\ud800`);
    const long = plain(`begin${"🙂".repeat(1000)}end`);
    expect(long).toMatch(/^begin🙂+…🙂+end$/u);
    expect(long.length).toBeLessThanOrEqual(201);
    expect(plain("👨‍👩‍👧 ラベル")).toBe("👨‍👩‍👧 ラベル");
  });

  it("escapes what steers a terminal in JSON, which means what it meant", () => {
    const lines = [{ name: "a\u009b31m\u202eb" }, { name: "\u2028\ufeff\ud83d\ude00" }].map((one) =>
      JSON.stringify(one),
    );
    const shown = harmless(`${lines.join("\n")}\n`);
    expect(shown).toMatch(/^[ -~\n\u{1f600}]*$/u);
    expect(
      shown
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual(lines.map((line) => JSON.parse(line)));
  });

  it("draws bars in eighths, and words amounts", () => {
    expect([0, 0.5, 0.53125, 1].map((part) => bar(part, 4))).toEqual(["    ", "██  ", "██▏ ", "████"]);
    expect([0, 999, 1000, 798_330, 3_511_950_632].map(bytes)).toEqual(["0 B", "999 B", "1.00 kB", "798 kB", "3.51 GB"]);
    expect([0, 9.94, 9.96, 59.7, 200, 7500].map(duration)).toEqual([
      "0.0 s",
      "9.9 s",
      "10 s",
      "1 min 0 s",
      "3 min 20 s",
      "2 h 5 min",
    ]);
  });
});

describe("the process", () => {
  it("stops cleanly at an interrupt", async (context) => {
    if (process.platform === "win32") context.skip("Windows has no signal that one process sends another");
    let sent = false;
    const { code, stdout, stderr } = await siglip(["classify", ...pictures, "--labels", "a", ...cpu], {
      onOutput(_, child) {
        // A second one would end the process at once.
        if (!sent) child.kill("SIGINT");
        sent = true;
      },
    });
    expect({ code, stderr }).toEqual({ code: 130, stderr: "siglip: interrupted.\n" });
    expect(stdout).toMatch(/^weights.demo.eval.001\.jpg\n/);
    expect(stdout).not.toContain("199.jpg");
  });

  it("ends quietly when nobody reads on", async () => {
    const { code, stderr } = await siglip(["classify", ...pictures.slice(0, 20), "--labels", "a", ...cpu], {
      onOutput: (_, child) => void child.stdout!.destroy(),
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });
});

describe("on a terminal", () => {
  const args = [
    "classify",
    pictures[0],
    "--labels",
    "a picture of a thing with a very long name",
    "ラベルラベルラベルラベル",
    ...cpu,
  ];

  it("fits the table to the width, in colours unless NO_COLOR is set", async (context) => {
    if (NO_TERMINAL) context.skip(NO_TERMINAL);
    const [coloured, bare] = await Promise.all([
      onTerminal(`stty cols 40; ${words(args)}`),
      onTerminal(`stty cols 40; ${words(args)}`, { env: { NO_COLOR: "1" } }),
    ]);
    expect([coloured.code, bare.code]).toEqual([0, 0]);
    expect(coloured.stdout).toContain("\x1b[36m");
    expect(bare.stdout).not.toContain("\x1b[36m");
    for (const { stdout } of [coloured, bare]) {
      const rows = stdout
        .replace(ESCAPES, "")
        .split(/\r?\n|\r/)
        .filter((row) => row.includes("%"));
      expect(rows).toHaveLength(2);
      for (const row of rows) {
        expect(width(row)).toBeLessThanOrEqual(40);
        expect(row).toMatch(/% {2}.+…$/);
      }
    }
  });

  it("shows progress, and at Ctrl-C leaves the cursor and the old file as they were", async (context) => {
    if (NO_TERMINAL) context.skip(NO_TERMINAL);
    const out = join(folder.path, "old.safetensors");
    writeFileSync(out, "old");
    let done = false;
    const { code, stdout } = await onTerminal(words(["embed", ...pictures, ...cpu, "--out", out, "--overwrite"]), {
      onOutput(shown, child) {
        if (done || !/images .* of 180 .* left/.test(shown)) return;
        done = true;
        child.stdin!.write("\x03");
      },
    });
    expect(code).toBe(130);
    expect(stdout).toMatch(/siglip: interrupted: the \d+ embeddings made so far are in .*old\.safetensors\.part, /);
    expect(stdout.lastIndexOf("\x1b[?25h")).toBeGreaterThan(stdout.lastIndexOf("\x1b[?25l"));
    expect(readFileSync(out, "utf8")).toBe("old");
    expect(readdirSync(folder.path)).toEqual(["old.safetensors", "old.safetensors.part"]);
  });
});
