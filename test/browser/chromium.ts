import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";
import { type BrowserServer, chromium } from "playwright-core";

const modules = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "node_modules");

/** WebGPU and WebGL on Chromium's own software drivers; it runs as root, too. */
const ARGUMENTS = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
  "--no-sandbox",
];

/** Why no Chromium can be had here, known before anything is unpacked; undefined where it can. */
export const noChromium = whyNot();

/** Starts the headless Chromium that the npm package `@sparticuz/chromium` carries, unpacked once and kept beside it. */
export async function serveChromium(): Promise<BrowserServer> {
  const folder = unpackChromium();
  const executablePath = join(folder, "chromium");
  // The tests' own Vulkan driver is not for the browser, which brings one.
  const { LD_LIBRARY_PATH: _, ...env } = process.env as Record<string, string>;
  // It links NSS and expat, which servers often lack; the package has copies.
  const starts = spawnSync(executablePath, ["--version", "--no-sandbox"], { env }).status === 0;
  if (!starts) env.LD_LIBRARY_PATH = [join(folder, "lib"), process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter);
  return chromium.launchServer({ executablePath, args: ARGUMENTS, env });
}

function whyNot(): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") {
    return `the Chromium for tests runs on Linux x64, this is ${process.platform} ${process.arch}`;
  }
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined ? "the Chromium for tests wants glibc" : undefined;
}

function unpackChromium(): string {
  const source = join(modules, "@sparticuz", "chromium");
  const { version } = JSON.parse(readFileSync(join(source, "package.json"), "utf8")) as { version: string };
  const folder = join(modules, ".cache", "siglip", `chromium-${version}`);
  if (existsSync(folder)) return folder;
  // Runs that start together each unpack a folder of their own; the rename is atomic, so nobody starts half a browser.
  const mine = `${folder}.${process.pid}`;
  mkdirSync(join(mine, "lib"), { recursive: true });
  const unpacked = (name: string) => brotliDecompressSync(readFileSync(join(source, "bin", name)));
  writeFileSync(join(mine, "chromium"), unpacked("chromium.br"), { mode: 0o755 });
  for (const archive of ["swiftshader.tar.br", "al2023.tar.br"]) {
    for (const [name, bytes] of tarFiles(unpacked(archive))) writeFileSync(join(mine, name), bytes, { mode: 0o755 });
  }
  try {
    renameSync(mine, folder);
  } catch (error) {
    rmSync(mine, { recursive: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/** The files of a ustar archive: headers of 512 bytes (name at 0, octal size at 124, type at 156), contents padded to 512. */
function* tarFiles(archive: Buffer): Generator<[name: string, bytes: Buffer]> {
  for (let at = 0; at + 512 <= archive.length; ) {
    const [name] = archive.toString("latin1", at, at + 100).split("\0");
    const size = Number.parseInt(archive.toString("latin1", at + 124, at + 136), 8) || 0;
    if (archive[at + 156] === 0x30) yield [name, archive.subarray(at + 512, at + 512 + size)];
    at += 512 + Math.ceil(size / 512) * 512;
  }
}
