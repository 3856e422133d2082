// The page stays free: its model runs in a worker.  vite worker, or vite build worker
const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
const input = document.querySelector("input")!;
const output = document.querySelector("output")!;

input.onchange = () => worker.postMessage(input.files![0]);
worker.onmessage = ({ data }: MessageEvent<string>) => {
  output.textContent = data;
};
