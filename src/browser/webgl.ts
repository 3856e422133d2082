import { mismatch } from "../support/error.ts";
import type { Reader } from "./bitmap.ts";

let context: WebGL2RenderingContext | null = null;

/**
 * Reads bitmaps as they were decoded, whatever their alpha; undefined where there is no WebGL 2. One context serves all pictures,
 * because a page may have only some; a lost one is replaced.
 */
export function webgl(): Reader | undefined {
  if (!context || context.isContextLost()) context = openWebGl();
  const gl = context;
  if (!gl) return undefined;
  return {
    side: gl.getParameter(gl.MAX_TEXTURE_SIZE),
    read(bitmap, x, y, width, height) {
      const rgba = new Uint8Array(4 * width * height);
      // Where the rectangle begins in the source. [WebGL 2.0, 3.7.6]
      gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, x);
      gl.pixelStorei(gl.UNPACK_SKIP_ROWS, y);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
      gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
      const error = gl.getError();
      // A lost context leaves zeros and soon says nothing any more.
      if (error !== gl.NO_ERROR || gl.isContextLost()) {
        const found = error ? `error ${error}` : "that its context was lost";
        throw mismatch("device-lost", "WebGL", "a picture's pixels", found, "try again");
      }
      return rgba;
    },
  };
}

function openWebGl(): WebGL2RenderingContext | null {
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2", { antialias: false, depth: false });
  if (!gl) return null;
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  return gl;
}
