import { decodeHTML } from "entities/decode";

/** What Python's `html.unescape` reads for the references U+0080 to U+009F: Windows-1252. */
const WINDOWS = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

/**
 * Python's `html.unescape`: the names of HTML 5 come from the package `entities`; numeric references stand here, since
 * Python drops those of control characters and noncharacters, which browsers keep.
 */
export function unescapeHtml(text: string): string {
  return text.replace(/&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/gu, (whole, reference: string) =>
    reference[0] === "#" ? numeric(reference) : decodeHTML(whole),
  );
}

function numeric(reference: string): string {
  const hexadecimal = /[xX]/.test(reference[1]);
  const code = hexadecimal ? Number.parseInt(reference.slice(2), 16) : Number.parseInt(reference.slice(1), 10);
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return "\ufffd";
  if (code >= 0x80 && code <= 0x9f) return WINDOWS[code - 0x80];
  const control = (code < 0x20 && !"\t\n\f\r".includes(String.fromCharCode(code))) || code === 0x7f;
  const noncharacter = (code & 0xfffe) === 0xfffe || (code >= 0xfdd0 && code <= 0xfdef);
  return control || noncharacter ? "" : String.fromCodePoint(code);
}
