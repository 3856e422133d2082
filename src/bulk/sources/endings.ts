/**
 * Endings of the names that are taken for pictures where nobody named them one by one: what the decoders read, whether
 * or not the package for it is there, lest pictures be left out unseen.
 */
const PICTURES = /\.(jpe?g|jpe|jfif|png|apng|webp|gif|bmp|dib|tiff?|avif|heic|heif|hif)$/i;

/** Whether a file's name looks like a picture's. */
export function isPictureName(name: string): boolean {
  return PICTURES.test(name);
}

/** What a file holds by its name: pictures in an archive, lines of texts or descriptions, else one picture. */
export function holdingOf(name: string): "tar" | "jsonl" | "txt" | "picture" {
  if (/\.(tar|tgz|tar\.gz)$/i.test(name)) return "tar";
  if (/\.(jsonl|ndjson)$/i.test(name)) return "jsonl";
  return /\.txt$/i.test(name) ? "txt" : "picture";
}
