import { checkSize, type DecodeOptions, type Pixels } from "../image/pixels.ts";
import { mismatch } from "../support/error.ts";

/** Pixels read at a time, 4 MiB of them, so that the page can paint in between. */
const TILE = 2 ** 20;

/** A rectangle of a bitmap as RGBA bytes that are not premultiplied. */
type ReadTile = (
  bitmap: ImageBitmap,
  x: number,
  y: number,
  width: number,
  height: number,
) => Uint8Array | Uint8ClampedArray;

/** How pixels are read. */
export interface Reader {
  readonly read: ReadTile;
  /** The longest side of a tile; less than TILE. */
  readonly side: number;
}

/**
 * The exact pixels of a bitmap, its alpha dropped. WebGL reads them as they were decoded; where there is no WebGL 2, a 2D canvas
 * does, which premultiplies, so that a bitmap with alpha is refused there. Waits for the page after every 2^20 pixels. Memory: 3
 * bytes a pixel and a tile. Throws a SiglipError for a bitmap beyond the limits of `checkSize` or of another origin, and
 * when WebGL fails.
 */
export async function readBitmap(
  bitmap: ImageBitmap,
  name: string,
  { maxPixels, signal }: DecodeOptions = {},
): Promise<Pixels> {
  const { width, height } = bitmap;
  checkSize(width, height, name, maxPixels);
  // On demand: files of JPEG and PNG, most of what there is, are opaque or have a reader of their own.
  const { webgl } = await import("./webgl.ts");
  const { read, side } = webgl() ?? canvas;
  const data = new Uint8Array(3 * width * height);
  const tileWidth = Math.min(width, side);
  const tileHeight = Math.min(height, side, Math.floor(TILE / tileWidth));
  for (let y = 0; y < height; y += tileHeight) {
    for (let x = 0; x < width; x += tileWidth) {
      if (x + y > 0) await nextTask();
      signal?.throwIfAborted();
      const columns = Math.min(tileWidth, width - x);
      const rows = Math.min(tileHeight, height - y);
      const rgba = attempt(name, () => read(bitmap, x, y, columns, rows));
      for (let row = 0, i = 0; row < rows; row++) {
        let o = 3 * ((y + row) * width + x);
        for (const end = i + 4 * columns; i < end; i += 4, o += 3) {
          data[o] = rgba[i];
          data[o + 1] = rgba[i + 1];
          data[o + 2] = rgba[i + 2];
        }
      }
    }
  }
  return { width, height, data };
}

const canvas: Reader = {
  side: 4096,
  read(bitmap, x, y, width, height) {
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    if (!context) throw mismatch("unsupported", "a picture", "a canvas to read it", "none", "use a newer browser");
    context.drawImage(bitmap, -x, -y);
    const { data } = context.getImageData(0, 0, width, height);
    for (let i = 3; i < data.length; i += 4) {
      if (data[i] !== 255) {
        const wanted = "WebGL 2 to read its transparency exactly";
        throw mismatch("unsupported", "a picture", wanted, "none", "enable WebGL or pass an opaque picture");
      }
    }
    return data;
  },
};

/** A bitmap made from an element of another origin may be shown and not read. */
function attempt<R>(name: string, read: () => R): R {
  try {
    return read();
  } catch (cause) {
    if ((cause as Error).name !== "SecurityError") throw cause;
    const advice = `load it with crossorigin="anonymous" or pass a Blob`;
    throw mismatch("bad-input", name, "its pixels", "that it comes from another origin", advice, cause);
  }
}

/** Resolves in a task of its own; unlike a timer's, such tasks are not slowed down in a page out of sight. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
