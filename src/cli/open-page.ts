import { spawn } from "node:child_process";

/** How each system opens a file in whatever is set for it: a program and what comes before the path, never a shell. */
const OPENERS: Partial<Record<NodeJS.Platform, readonly [program: string, ...first: string[]]>> = {
  darwin: ["open"],
  win32: ["rundll32", "url.dll,FileProtocolHandler"],
};

/** Opens a file in the browser; false where there is no display, or nothing to open it with. */
export async function openPage(path: string): Promise<boolean> {
  const { platform, env } = process;
  if (platform !== "darwin" && platform !== "win32" && !env.DISPLAY && !env.WAYLAND_DISPLAY) return false;
  const [program, ...first] = OPENERS[platform] ?? ["xdg-open"];
  const child = spawn(program, [...first, path], { detached: true, stdio: "ignore", windowsHide: true });
  return new Promise((resolve) => {
    child.once("error", () => resolve(false));
    child.once("spawn", () => {
      child.unref();
      resolve(true);
    });
  });
}
