// The platform's types that ours speak of. Where a program is compiled without them (no DOM library, or TypeScript 5.9, whose DOM
// knows no WebGPU) they stand empty, so that it compiles all the same; elsewhere an empty interface adds nothing to the real one.

/* biome-ignore-all lint/suspicious/noEmptyInterface: each merges with the platform's own. */

declare global {
  interface AbortSignal {}
  interface Blob {}
  interface File {}
  interface Headers {}
  interface RequestInit {}
  interface Response {}
  interface URL {}

  interface HTMLCanvasElement {}
  interface HTMLImageElement {}
  interface HTMLVideoElement {}
  interface ImageBitmap {}
  interface ImageData {}
  interface OffscreenCanvas {}
  interface SVGImageElement {}
  interface VideoFrame {}

  interface GPU {}
  interface GPUBuffer {}
  interface GPUDevice {}

  namespace WebAssembly {
    interface Memory {}
    interface Module {}
  }

  interface SymbolConstructor {
    readonly dispose: unique symbol;
  }
}

export {};
