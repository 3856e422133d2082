// Which of the labels fit a picture?  deno serve --allow-all server.ts, or bun server.ts, and then
//   curl --data-binary @cats.jpg "http://localhost:8000/?label=2%20cats&label=a%20plane"
import { Siglip, SiglipError } from "siglip";

const model = await Siglip.load("demo"); // or "google/siglip-base-patch16-224"

export default {
  async fetch(request: Request): Promise<Response> {
    const labels = new URL(request.url).searchParams.getAll("label");
    try {
      return Response.json(await model.classify(await request.arrayBuffer(), labels));
    } catch (error) {
      // Its message is one sentence that may be shown; the code says whose fault it was.
      if (!(error instanceof SiglipError)) throw error;
      const status = ["bad-input", "unsupported"].includes(error.code) ? 400 : 500;
      return Response.json({ error: error.message }, { status });
    }
  },
};
