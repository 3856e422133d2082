/** What a PNG begins with, in Latin-1. */
export const PNG_SIGNATURE = "\x89PNG\r\n\x1a\n";
