/** Sides of a thumbnail, in pixels. */
const SIZE = 192;

/** The middle square of a picture, small; undefined where this browser does not decode it. */
export async function makeThumbnail(file: Blob): Promise<Blob | undefined> {
  try {
    // Decoded and shrunk in one go, off this thread.
    const bitmap = await createImageBitmap(file, { resizeWidth: 2 * SIZE, resizeQuality: "medium" });
    const scale = SIZE / Math.min(bitmap.width, bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    const canvas = new OffscreenCanvas(SIZE, SIZE);
    const context = canvas.getContext("2d")!;
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, (SIZE - width) / 2, (SIZE - height) / 2, width, height);
    bitmap.close();
    return await canvas.convertToBlob({ type: "image/webp", quality: 0.8 });
  } catch {
    return undefined;
  }
}
