/** With these a document or worker is cross-origin isolated. Files of other servers are still read, by requests with CORS. */
export const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
} as const;
