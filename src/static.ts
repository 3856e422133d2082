/**
 * `siglip` in one script, for service workers and extensions, where `import()` is forbidden: all that pages load on
 * demand stands in it, but for the demo model of 7 MB.
 * @module siglip/static
 */

// The build puts a bundle in the place of this module: see src/node/bundle-static.ts.
export * from "./index.ts";
