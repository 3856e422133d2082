import { type Heat, heatRgba } from "../../image/heat.ts";

/** Longest side of what is drawn, in pixels; it is enlarged with the picture. */
const SIDE = 512;

/** Shows over a picture where something is. */
export function drawHeat(
  canvas: HTMLCanvasElement,
  { naturalWidth, naturalHeight }: HTMLImageElement,
  heat: Heat,
): void {
  const scale = SIDE / Math.max(naturalWidth, naturalHeight);
  canvas.width = Math.max(1, Math.round(naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(naturalHeight * scale));
  const rgba = heatRgba(heat, canvas.width, canvas.height) as Uint8ClampedArray<ArrayBuffer>;
  canvas.getContext("2d")!.putImageData(new ImageData(rgba, canvas.width), 0, 0);
  canvas.hidden = false;
}
