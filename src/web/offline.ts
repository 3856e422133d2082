import { byId } from "./dom.ts";

/**
 * Has a service worker keep the page's own files, where the browser allows one (https or this machine), so that the
 * next visit needs no server. A newer version of the page waits until its user wants it.
 */
export async function startOffline(): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  const { serviceWorker } = navigator;
  const controlled = serviceWorker.controller !== null;
  const registration = await serviceWorker.register("service-worker.js").catch(() => undefined);
  if (!registration) return;
  const bar = byId("update", HTMLElement);
  const offer = (worker: ServiceWorker | null) => {
    if (!worker || !controlled) return;
    bar.hidden = false;
    byId("reload", HTMLButtonElement).onclick = () => worker.postMessage("take over");
  };
  const watch = (worker: ServiceWorker | null) =>
    worker?.addEventListener("statechange", () => worker.state === "installed" && offer(worker));
  offer(registration.waiting);
  watch(registration.installing);
  registration.addEventListener("updatefound", () => watch(registration.installing));
  if (controlled) serviceWorker.addEventListener("controllerchange", () => location.reload());
}
