/**
 * Recall at k over a matrix of scores [images, texts]: how often one of a picture's own texts is among its k best, and a
 * text's own picture among its k best. `owner[t]` is the picture of text t.
 */
export function recall(logits: Float32Array, owner: readonly number[], k: number): { toText: number; toImage: number } {
  const texts = owner.length;
  const images = logits.length / texts;
  const best = new Float32Array(images).fill(Number.NEGATIVE_INFINITY);
  for (let t = 0; t < texts; t++) best[owner[t]] = Math.max(best[owner[t]], logits[owner[t] * texts + t]);
  let toText = 0;
  for (let i = 0; i < images; i++) {
    let better = 0;
    for (let t = 0; t < texts; t++) if (logits[i * texts + t] > best[i]) better++;
    if (better < k) toText++;
  }
  let toImage = 0;
  for (let t = 0; t < texts; t++) {
    const own = logits[owner[t] * texts + t];
    let better = 0;
    for (let i = 0; i < images; i++) if (logits[i * texts + t] > own) better++;
    if (better < k) toImage++;
  }
  return { toText: toText / images, toImage: toImage / texts };
}
