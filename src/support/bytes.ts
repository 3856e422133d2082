/** Pieces of bytes as one. */
export function concatenate(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** Pieces that come to `length` bytes as one, as they arrive; `onBytes` is told how many have. */
export async function collect(
  pieces: AsyncIterable<Uint8Array>,
  length: number,
  onBytes?: (arrived: number) => void,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for await (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
    onBytes?.(at);
  }
  return bytes;
}
