import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";

const modules = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "node_modules");
const icdFolders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

/**
 * The environment in which a process finds the wanted WebGPU adapter. It has to be there when the process starts: the dynamic
 * loader reads LD_LIBRARY_PATH only then.
 *
 * `wanted` is the value of SIGLIP_ADAPTER:
 * - `swiftshader` (the default on Linux x64 with glibc): the software driver inside the npm package `@sparticuz/chromium`
 * - `lavapipe`: Mesa's software driver, installed on the system (it has shader-f16)
 * - `system`: whatever the platform offers, a real GPU for preference
 * - `none`: no adapter, so that every GPU case is skipped
 * - unset elsewhere: the platform's, and where there is none the GPU cases are skipped
 *
 * The result carries SIGLIP_ADAPTER unless the adapter may be absent. Throws where what was asked for is not there.
 */
export function adapterEnvironment(wanted = process.env.SIGLIP_ADAPTER): Record<string, string> {
  switch (wanted || (runsSwiftShader() ? "swiftshader" : "")) {
    case "":
      return {};
    case "none":
    case "system":
      return { SIGLIP_ADAPTER: wanted! };
    case "swiftshader": {
      const path = [swiftShaderFolder(), process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter);
      return { SIGLIP_ADAPTER: "swiftshader", LD_LIBRARY_PATH: path };
    }
    case "lavapipe": {
      const drivers = lavapipeDrivers();
      return { SIGLIP_ADAPTER: "lavapipe", VK_ICD_FILENAMES: drivers, VK_DRIVER_FILES: drivers };
    }
    default:
      throw new Error(
        `SIGLIP_ADAPTER is "${wanted}": wanted swiftshader, lavapipe, system or none; unset it for the default.`,
      );
  }
}

function runsSwiftShader(): boolean {
  if (process.platform !== "linux" || process.arch !== "x64") return false;
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime !== undefined;
}

/** Unpacks SwiftShader once, under the name that Dawn opens: no Vulkan loader is needed then. */
function swiftShaderFolder(): string {
  if (!runsSwiftShader()) {
    throw new Error(
      `SIGLIP_ADAPTER is "swiftshader", which runs on Linux x64 with glibc, but this is ${process.platform} ${process.arch}; unset it.`,
    );
  }
  const chromium = join(modules, "@sparticuz", "chromium");
  const { version } = JSON.parse(readFileSync(join(chromium, "package.json"), "utf8")) as { version: string };
  const folder = join(modules, ".cache", "siglip", `swiftshader-${version}`);
  const library = join(folder, "libvulkan.so.1");
  if (!existsSync(library)) {
    const archive = brotliDecompressSync(readFileSync(join(chromium, "bin", "swiftshader.tar.br")));
    mkdirSync(folder, { recursive: true });
    // Runs that start together each write a file of their own; the rename is atomic, so nobody loads half a library.
    const mine = `${library}.${process.pid}`;
    writeFileSync(mine, tarEntry(archive, "libvk_swiftshader.so"));
    renameSync(mine, library);
  }
  return folder;
}

/** One file of a ustar archive: headers of 512 bytes (name at 0, octal size at 124), contents padded to 512. */
function tarEntry(archive: Buffer, wanted: string): Buffer {
  for (let at = 0; at + 512 <= archive.length; ) {
    const [name] = archive.toString("latin1", at, at + 100).split("\0");
    const size = Number.parseInt(archive.toString("latin1", at + 124, at + 136), 8) || 0;
    if (name === wanted) return archive.subarray(at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new Error(
    `Wanted ${wanted} in the SwiftShader archive but it is not there; install the pinned @sparticuz/chromium.`,
  );
}

function lavapipeDrivers(): string {
  const drivers = icdFolders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => /lvp_icd[^/]*\.json$/.test(path));
  if (drivers.length === 0) {
    throw new Error(
      `SIGLIP_ADAPTER is "lavapipe" but no lvp_icd*.json lies in ${icdFolders.join(" or ")}; install Mesa's Vulkan drivers (24 or later).`,
    );
  }
  return drivers.join(delimiter);
}
