// Modules in workers, so that the demo model stays a file of its own.
export default { base: "./", worker: { format: "es" } };
