import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { resize } from "../image/resize.ts";
import { encodePng } from "../node/images/write-png.ts";
import { nodePlatform } from "../node/platform.ts";
import { SiglipError } from "../support/error.ts";
import { Archives, archiveOf } from "./archived.ts";
import { plain } from "./terminal.ts";

/** A picture of a sheet. */
export interface Shown {
  /** Its path or URL. */
  readonly name: string;
  /** What stands beneath it, such as its score. */
  readonly note: string;
}

/** Pixels of a thumbnail's longer side: twice what it is shown with. */
const SIDE = 320;

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d7d7dc, #3a3a40); --soft: light-dark(#5c5c66, #a3a3ad);
  --strong: light-dark(#1a5fd0, #7db0ff); }
body { margin: 0 auto; max-width: 96rem; padding: 1.5rem; font: 1rem/1.4 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; overflow-wrap: anywhere; }
p { margin: 0.25rem 0 1.5rem; color: var(--soft); overflow-wrap: anywhere; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1rem; }
ol { list-style: none; margin: 0; padding: 0; }
li > * { display: block; padding: 0.5rem; border: 1px solid var(--line); border-radius: 0.5rem; color: inherit; }
li > * { text-decoration: none; height: 100%; box-sizing: border-box; }
a:hover { border-color: currentColor; }
a:focus-visible { outline: 3px solid var(--strong); outline-offset: 2px; }
.frame { display: flex; aspect-ratio: 1; align-items: center; justify-content: center; color: var(--soft); }
img { max-width: 100%; max-height: 100%; border-radius: 0.25rem; }
.name { display: block; margin-top: 0.5rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.note { color: var(--soft); font-variant-numeric: tabular-nums; }
`;

const POLICY = `default-src 'none'; img-src data:; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`;

/**
 * Pictures on a page of its own, piece by piece: small ones in it, each with a link to where it lies. One that cannot be
 * read is shown by its name.
 */
export async function* contactSheet(
  title: string,
  subtitle: string,
  pictures: Iterable<Shown>,
  options: { readonly maxPixels?: number; readonly signal?: AbortSignal },
): AsyncGenerator<string> {
  yield `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
<main>
<h1 dir="auto">${escaped(title)}</h1>
<p>${escaped(subtitle)}</p>
<ol>
`;
  const archives = new Archives();
  try {
    for (const { name, note } of pictures) {
      options.signal?.throwIfAborted();
      const [link, small] = [await linkTo(name), await thumbnail(name, archives, options)];
      const label = escaped(basename(name));
      const frame = small === undefined ? "not readable" : `<img src="${small}" alt="">`;
      const inside = `<span class="frame">${frame}</span>
<bdi class="name">${label}</bdi><span class="note">${escaped(note)}</span>`;
      const tip = `title="${escaped(name)}"`;
      yield link === undefined ? `<li><span ${tip}>${inside}</span>\n` : `<li><a href="${link}" ${tip}>${inside}</a>\n`;
    }
  } finally {
    await archives.close();
  }
  yield "</ol>\n</main>\n</html>\n";
}

/** Where a picture is to be seen, as an attribute; undefined where that is no place that a page may link to. */
async function linkTo(name: string): Promise<string | undefined> {
  if (/^https?:/i.test(name)) return URL.canParse(name) ? escaped(new URL(name).href) : undefined;
  const path = resolve(name);
  const isFile = await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
  return isFile ? escaped(pathToFileURL(path).href) : undefined;
}

async function thumbnail(
  name: string,
  archives: Archives,
  options: { readonly maxPixels?: number; readonly signal?: AbortSignal },
): Promise<string | undefined> {
  try {
    const archive = await archiveOf(name);
    const picture = archive ? await archives.load(archive, name, options.signal) : name;
    const pixels = await nodePlatform.decode(picture, options);
    const scale = Math.min(1, SIDE / Math.max(pixels.width, pixels.height));
    const [width, height] = [pixels.width, pixels.height].map((side) => Math.max(1, Math.round(side * scale)));
    const png = encodePng(scale < 1 ? resize(pixels, width, height, "bilinear") : pixels);
    return `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
  } catch (error) {
    if (!(error instanceof SiglipError) || options.signal?.aborted) throw error;
    return undefined;
  }
}

/** A stranger's text in HTML. */
function escaped(text: string): string {
  return plain(text, Number.POSITIVE_INFINITY).replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
}
