/** The demo model's files in base64, by name. `npm run generate` writes the module itself, which is not kept in git. */
declare const files: Readonly<Record<string, string>>;
export default files;
