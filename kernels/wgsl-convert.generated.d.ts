/** The text of the kernel that rounds weights. `npm run generate` writes the module itself, which is not kept in git. */
export declare const wgsl: Readonly<Record<"convert", string>>;
