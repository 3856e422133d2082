/** Settles as the promise does, or with the signal's reason if that comes first. */
export function unlessAborted<R>(promise: Promise<R>, signal?: AbortSignal): Promise<R> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
