import type { Ceilings } from "../../../bench/lib/ceilings.ts";
import { percent, rate } from "../../../bench/lib/statistics.ts";
import { bytes, grouped } from "../../support/units.ts";
import { isSoftware, type MatrixInfo } from "../../tensor/webgpu/device.ts";
import { make } from "../dom.ts";

/** A term and what is so. */
export type Fact = readonly [term: string, value: string];

/** What an adapter says of itself, as far as it decides which kernels run and how fast. */
export function adapterFacts({ info, features, limits }: GPUAdapter): Fact[] {
  const { vendor, architecture, device, description } = info;
  const { subgroupMinSize: least, subgroupMaxSize: most } = info as Partial<GPUAdapterInfo>;
  const has = (name: string) => features.has(name as GPUFeatureName);
  return [
    ["Adapter", [vendor, architecture, device].filter(Boolean).join(" ") || "not told"],
    ["Driver", description || "not told"],
    ["Kind", isSoftware(info) ? "software: shaders run on the CPU" : "hardware"],
    ["Half precision", has("shader-f16") ? "yes" : "no shader-f16"],
    ["Subgroups", subgroups(has("subgroups"), least, most)],
    ["Matrix units", matrixUnits(info)],
    ["Timestamps", has("timestamp-query") ? "by the device's clock" : "none: by the clock on the wall"],
    ["Largest buffer", bytes(limits.maxBufferSize)],
    ["Largest binding", bytes(limits.maxStorageBufferBindingSize)],
    ["Workgroup memory", `${grouped(limits.maxComputeWorkgroupStorageSize)} bytes`],
    ["Workgroup", `${grouped(limits.maxComputeInvocationsPerWorkgroup)} invocations`],
    ["Storage buffers", `${limits.maxStorageBuffersPerShaderStage} a stage`],
  ];
}

/** What was measured to be the most that the device does. */
export function ceilingFacts({ f32, f16, matrix, copy, halved }: Ceilings): Fact[] {
  return [
    ["f32 multiply-adds", rate(f32)],
    ...(f16 ? [["f16 multiply-adds", rate(f16)] as const] : []),
    ...(matrix ? [["Matrix units", rate(matrix)] as const] : []),
    ["Copying", `${(copy / 1e9).toPrecision(3)} GB/s`],
    ["Half the work takes", `${percent(halved)} of the time`],
  ];
}

/** Facts as a list of terms. */
export function factList(facts: readonly Fact[]): HTMLDListElement {
  const pairs = facts.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value)));
  return make("dl", { class: "facts" }, ...pairs);
}

function subgroups(offered: boolean, least?: number, most?: number): string {
  const sizes = least === most ? `${least}` : `${least} to ${most}`;
  if (!offered) return "no";
  return least === undefined ? "yes, of sizes not told" : `of ${sizes} threads`;
}

function matrixUnits(info: GPUAdapterInfo & MatrixInfo): string {
  const shapes = [...(info.subgroupMatrixConfigs ?? [])].map(
    ({ M, N, K, componentType, resultComponentType }) => `${M}x${N}x${K} ${componentType} to ${resultComponentType}`,
  );
  return shapes.length > 0 ? [...new Set(shapes)].join(", ") : "none offered";
}
