// The page of `siglip search --open` in a browser.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect } from "vitest";
import { contactSheet } from "../../src/cli/contact-sheet.ts";
import { inChromium } from "../browser/setup.ts";
import { temporaryFolder } from "../harness/cli.ts";
import { openChromium } from "../harness/shared.ts";

const folder = temporaryFolder();
let browser: Awaited<ReturnType<typeof openChromium>>;
beforeAll(async () => {
  browser = await openChromium();
});
afterAll(async () => {
  await browser?.close();
  folder.remove();
});

const names = [
  "weights/demo/examples/two-cats.png",
  `"><script>document.title = "taken"</script><img src=x onerror="document.title = 'taken'">`,
  "javascript:alert(1)",
  "weights/demo/examples/plane.jpg",
];

inChromium("a sheet shows pictures, links to them, and runs nothing", "chromium", async () => {
  const file = join(folder.path, "sheet.html");
  let html = "";
  const pictures = names.map((name) => ({ name, note: "0.5" }));
  for await (const part of contactSheet("<i>cats</i>", "of 4", pictures, {})) html += part;
  writeFileSync(file, html);
  for (const colorScheme of ["light", "dark"] as const) {
    const page = await browser.newPage({ viewport: { width: 320, height: 640 }, colorScheme });
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("dialog", (dialog) => complaints.push(dialog.message()));
    await page.goto(pathToFileURL(file).href);
    expect(await page.title()).toBe("<i>cats</i>");
    const found = await page.evaluate(() => ({
      images: [...document.images].map((image) => image.naturalWidth > 0),
      links: [...document.links].map(({ href }) => href),
      scripts: document.scripts.length,
      fits: document.documentElement.scrollWidth <= innerWidth,
      background: getComputedStyle(document.documentElement).colorScheme,
    }));
    expect(found).toEqual({
      images: [true, true],
      links: [names[0], names[3]].map((name) => pathToFileURL(name).href),
      ...{ scripts: 0, fits: true, background: "light dark" },
    });
    for (const link of found.links) {
      await page.keyboard.press("Tab");
      expect(await page.evaluate(() => (document.activeElement as HTMLAnchorElement).href)).toBe(link);
    }
    expect(complaints).toEqual([]);
    await page.close();
  }
});
