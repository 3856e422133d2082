import { Siglip } from "siglip";

const LABELS = ["2 cats", "a plane", "a guitar", "a pizza"];

// Stays for the next requests, as long as the platform keeps this Worker.
let loading;

export default {
  async fetch(request, env, context) {
    if (request.method !== "POST") return new Response("POST a picture.\n", { status: 405 });
    if (!loading) {
      loading = Siglip.load(env.MODEL, { dtype: "q4" });
      loading.catch(() => {
        loading = undefined;
      });
      // Others wait for it even where this request is cancelled.
      context.waitUntil(loading);
    }
    try {
      const model = await loading;
      return Response.json(await model.classify(await request.arrayBuffer(), LABELS));
    } catch (error) {
      const status = ["bad-input", "unsupported"].includes(error.code) ? 400 : 500;
      return Response.json({ error: error.message }, { status });
    }
  },
};
