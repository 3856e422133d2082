import { type Browser, chromium } from "playwright-core";
import { inject } from "vitest";

declare module "vitest" {
  interface ProvidedContext {
    /** Where what is shared is asked for; see setup.ts. */
    shared: string;
  }
}

/** The Chromium of all test files; to close it closes what was opened through it. */
export async function openChromium(): Promise<Browser> {
  return chromium.connect(await ask("chromium"));
}

/** The node_modules folder with the runtimes of test/package; rejects where they cannot be installed. */
export function sharedRuntimes(): Promise<string> {
  return ask("runtimes");
}

async function ask(name: string): Promise<string> {
  const response = await fetch(inject("shared") + name);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}
