import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { type DeviceInfo, showDevice } from "../../../src/cli/device.ts";
import { keptForms } from "../../../src/node/cache/chosen-forms.ts";

const folder = mkdtempSync(join(tmpdir(), "siglip-choices-"));
beforeAll(() => void vi.stubEnv("XDG_CACHE_HOME", folder));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

it("chosen forms are kept by adapter, beside what another process has chosen meanwhile", () => {
  const [one, other] = [keptForms("a card"), keptForms("another")];
  expect([one.size, other.size]).toEqual([0, 0]);
  one.set("linear", "split").set("attention", "32x32");
  other.set("linear", "direct");
  expect([...keptForms("a card")]).toEqual([
    ["linear", "split"],
    ["attention", "32x32"],
  ]);
  expect([...keptForms("another")]).toEqual([["linear", "direct"]]);
});

it("a damaged file of choices counts as none, and is replaced", () => {
  mkdirSync(join(folder, "siglip"), { recursive: true });
  for (const text of ['{"a card": {"linear"', "null", "[]"]) {
    writeFileSync(join(folder, "siglip", "kernel-forms.json"), text);
    const choices = keptForms("a card");
    expect(choices.size).toBe(0);
    choices.set("linear", "split");
    expect([...keptForms("a card")]).toEqual([["linear", "split"]]);
  }
});

it("choices hold for the session where no file can be written", () => {
  const file = join(folder, "no-folder");
  writeFileSync(file, "");
  vi.stubEnv("XDG_CACHE_HOME", file);
  expect(keptForms("a card").set("linear", "split").get("linear")).toBe("split");
});

it("info --device prints the chosen forms, or that none is yet", () => {
  const limits = {
    maxBufferSize: 2 ** 30,
    maxStorageBufferBindingSize: 2 ** 27,
    maxComputeWorkgroupStorageSize: 16384,
    maxComputeInvocationsPerWorkgroup: 256,
    maxStorageBuffersPerShaderStage: 8,
  };
  const names = { vendor: "a vendor", architecture: "", device: "", description: "a card" };
  const info: DeviceInfo = { ...names, software: false, features: ["shader-f16"], limits, forms: {} };
  expect(showDevice(info)).toMatch(/^kernel forms +chosen by trial when a model first runs$/m);
  const key = "linear 128 rows 64 to 64 f32 f32 f32";
  const shown = showDevice({ ...info, forms: { [key]: "tile-64x64", attention: "32x32" } });
  expect(shown).toMatch(/^adapter +a vendor a card$/m);
  expect(shown).toMatch(/^shader-f16 +yes$/m);
  expect(shown).toMatch(new RegExp(`^attention +32x32\n${key} +tile-64x64$`, "m"));
  expect(shown).not.toContain("chosen by trial");
});
