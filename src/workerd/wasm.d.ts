/** What bundlers for these platforms make of such a file: a module that is compiled when the code is deployed. */
declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
