/** Texts of the kernels for matrix units, by name. `npm run generate` writes the module, which is not kept in git. */
export declare const wgsl: Readonly<Record<"attention_matrix" | "linear_matrix", string>>;
