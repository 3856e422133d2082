import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { inChromium } from "../browser/setup.ts";
import { openWebsite, type Website } from "../browser/website.ts";

let website: Website;
beforeAll(async () => {
  website = await openWebsite();
}, 60_000);
afterAll(() => website?.[Symbol.asyncDispose]());

const FOREIGN = Buffer.from("<!doctype html><h1>Sign in</h1>");

/** Contents of all that the origin's caches hold of files whose name matches. */
const keptOf = (page: Page, name: RegExp) =>
  page.evaluate(async (source) => {
    const found: string[] = [];
    for (const key of await caches.keys()) {
      const cache = await caches.open(key);
      for (const request of await cache.keys()) {
        if (new RegExp(source).test(request.url)) found.push(await (await cache.match(request))!.text());
      }
    }
    return found;
  }, name.source);

/** Waits until a service worker that was registered either serves the page or has failed. */
const registered = (page: Page) =>
  page.evaluate(async () => {
    for (;;) {
      const registration = await navigator.serviceWorker.getRegistration();
      if (registration?.active) return "active";
      if (!registration || !(registration.installing || registration.waiting)) return "none";
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

describe("the service worker", () => {
  inChromium("keeps no file that is not the page's own, and is there when all are", "cpu", async () => {
    const context = await website.newContext();
    const name = [...website.files.keys()].find((file) => /^examples\//.test(file))!;
    const right = website.files.get(name)!;
    website.files.set(name, FOREIGN);
    const first = await website.visit(context);
    await first.page.waitForFunction(() => navigator.serviceWorker !== undefined);
    expect(await registered(first.page)).toBe("none");
    expect(await keptOf(first.page, /examples/)).not.toContain(FOREIGN.toString());
    // What somebody else has put into a cache of this origin is not copied either.
    await first.page.evaluate(async () => {
      const cache = await caches.open("another");
      for (const script of document.scripts) await cache.put(script.src, new Response("throw new Error('planted')"));
    });
    website.files.set(name, right);
    await first.page.reload();
    await first.page.evaluate(() => navigator.serviceWorker.ready);
    await first.page.evaluate(() => caches.delete("another"));
    expect((await keptOf(first.page, /main-/)).some((text) => text.includes("planted"))).toBe(false);
    expect(await keptOf(first.page, /main-/)).toHaveLength(1);
    await first.page.close();

    // Files that come later: a foreign answer is not kept, and the next one is.
    const later = [...website.files.keys()].find((file) => /^samples\/.*jsonl$/.test(file))!;
    const sample = website.files.get(later)!;
    const { page } = await website.visit(context);
    await page.evaluate(() => navigator.serviceWorker.ready);
    const load = () => page.evaluate(async (file) => (await fetch(file)).text(), later);
    website.files.set(later, FOREIGN);
    expect(await load()).toBe(FOREIGN.toString());
    website.files.set(later, sample);
    expect(await load()).toBe(Buffer.from(sample).toString());
    await website.serve(false);
    expect(await load()).toBe(Buffer.from(sample).toString());
    await website.serve(true);
    await context.close();
  });
});

describe("a view whose script does not come", () => {
  inChromium("says so, and is there when it comes", "cpu", async () => {
    const { page } = await website.visit(undefined, (page) =>
      page.addInitScript(() => {
        delete (Navigator.prototype as { serviceWorker?: ServiceWorkerContainer }).serviceWorker;
      }),
    );
    const scripts = [...website.files].filter(([file]) => /\.js$/.test(file) && file !== "service-worker.js");
    for (const [file] of scripts) website.files.delete(file);
    await page.click('nav a[href="#bench"]');
    const told = page.locator("#view-bench [role=alert]");
    await told.waitFor();
    expect(await told.textContent()).toMatch(
      /^This view did not load \(.*\)\. Check the connection and reload the page\.$/,
    );
    for (const [file, bytes] of scripts) website.files.set(file, bytes);
    await page.reload();
    await page.waitForSelector("#view-bench .mount *");
    expect(await told.count()).toBe(0);
    await page.context().close();
  });
});
