// Answers POST /classify?label=…, whose body is a picture, as a server would.
import { Siglip } from "./static.js";

const name = new URL(location.href).searchParams.get("model") ?? "google/siglip-base-patch16-224";

/** A service worker is ended when it has nothing to do: then the model comes from the browser's cache. */
let loading;

function load() {
  loading ??= Siglip.load(name, { dtype: "q4" }).catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function classify(request, labels) {
  try {
    return Response.json(await (await load()).classify(await request.blob(), labels));
  } catch (error) {
    return Response.json({ error: String(error) }, { status: 500 });
  }
}

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { pathname, searchParams } = new URL(event.request.url);
  if (pathname.endsWith("/classify")) event.respondWith(classify(event.request, searchParams.getAll("label")));
});
