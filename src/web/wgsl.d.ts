/** A shader's text, which the build puts into the script. */
declare module "*.wgsl" {
  const text: string;
  export default text;
}
