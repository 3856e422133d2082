/** Kernels' texts, by name. `npm run generate` writes the module itself, which is not kept in git. */
export declare const wgsl: Readonly<
  Record<"attention" | "layer_norm" | "linear" | "linear_direct" | "linear_split", string>
>;
/** Tells these kernels from all others, those in modules of their own too. */
export declare const version: string;
