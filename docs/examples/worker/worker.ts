import { Siglip } from "siglip";

const labels = ["2 cats", "two dogs", "a plane", "a red car", "a house"];
const loading = Siglip.load("demo"); // or "google/siglip-base-patch16-224", which the browser keeps

self.onmessage = async ({ data: picture }: MessageEvent<File>) => {
  try {
    const [best] = await (await loading).classify(picture, labels);
    self.postMessage(`${best.label}: ${(100 * best.probability).toFixed(1)} %`);
  } catch (error) {
    self.postMessage(String(error));
  }
};
