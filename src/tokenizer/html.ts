/** U+00A0 to U+00FF. */
const LATIN =
  "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro " +
  "para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil " +
  "Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave " +
  "Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml " +
  "igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute " +
  "thorn yuml";

/** Names that HTML lets stand without a semicolon, as it does those of `LATIN`. */
const BARE = "amp 26 AMP 26 lt 3c LT 3c gt 3e GT 3e quot 22 QUOT 22 copy a9 COPY a9 reg ae REG ae";

const SYMBOLS =
  "OElig 152 oelig 153 Scaron 160 scaron 161 Yuml 178 fnof 192 circ 2c6 tilde 2dc Alpha 391 Beta 392 Gamma 393 Delta " +
  "394 Epsilon 395 Zeta 396 Eta 397 Theta 398 Iota 399 Kappa 39a Lambda 39b Mu 39c Nu 39d Xi 39e Omicron 39f Pi 3a0 Rho " +
  "3a1 Sigma 3a3 Tau 3a4 Upsilon 3a5 Phi 3a6 Chi 3a7 Psi 3a8 Omega 3a9 alpha 3b1 beta 3b2 gamma 3b3 delta 3b4 epsilon " +
  "3b5 zeta 3b6 eta 3b7 theta 3b8 iota 3b9 kappa 3ba lambda 3bb mu 3bc nu 3bd xi 3be omicron 3bf pi 3c0 rho 3c1 sigmaf " +
  "3c2 sigma 3c3 tau 3c4 upsilon 3c5 phi 3c6 chi 3c7 psi 3c8 omega 3c9 thetasym 3d1 upsih 3d2 piv 3d6 ensp 2002 emsp " +
  "2003 thinsp 2009 zwnj 200c zwj 200d lrm 200e rlm 200f ndash 2013 mdash 2014 lsquo 2018 rsquo 2019 sbquo 201a ldquo " +
  "201c rdquo 201d bdquo 201e dagger 2020 Dagger 2021 bull 2022 hellip 2026 permil 2030 prime 2032 Prime 2033 lsaquo " +
  "2039 rsaquo 203a oline 203e frasl 2044 euro 20ac image 2111 weierp 2118 real 211c trade 2122 alefsym 2135 larr 2190 " +
  "uarr 2191 rarr 2192 darr 2193 harr 2194 crarr 21b5 lArr 21d0 uArr 21d1 rArr 21d2 dArr 21d3 hArr 21d4 forall 2200 " +
  "part 2202 exist 2203 empty 2205 nabla 2207 isin 2208 notin 2209 ni 220b prod 220f sum 2211 minus 2212 lowast 2217 " +
  "radic 221a prop 221d infin 221e ang 2220 and 2227 or 2228 cap 2229 cup 222a int 222b there4 2234 sim 223c cong 2245 " +
  "asymp 2248 ne 2260 equiv 2261 le 2264 ge 2265 sub 2282 sup 2283 nsub 2284 sube 2286 supe 2287 oplus 2295 otimes 2297 " +
  "perp 22a5 sdot 22c5 lceil 2308 rceil 2309 lfloor 230a rfloor 230b loz 25ca spades 2660 clubs 2663 hearts 2665 diams " +
  "2666 lang 27e8 rang 27e9 apos 27";

/** What Python's `html.unescape` reads for the references U+0080 to U+009F: Windows-1252. */
const WINDOWS = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

const bare = new Map(LATIN.split(" ").map((name, i) => [name, String.fromCharCode(160 + i)]));
for (const [name, character] of pairs(BARE)) bare.set(name, character);
const named = new Map([...bare, ...pairs(SYMBOLS)].map(([name, character]) => [`${name};`, character]));

/**
 * Python's `html.unescape` (WHATWG HTML, "Character references") for numeric references and the 252 names of HTML 4, `apos` and the bare
 * capitals; the some 1,900 names HTML 5 added stay as they are.
 */
export function unescapeHtml(text: string): string {
  return text.replace(/&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/gu, (whole, name: string) => {
    if (name[0] === "#") return numeric(name);
    const character = named.get(name) ?? bare.get(name);
    if (character !== undefined) return character;
    for (let end = name.length - 1; end > 1; end--) {
      const prefix = bare.get(name.slice(0, end));
      if (prefix !== undefined) return prefix + name.slice(end);
    }
    return whole;
  });
}

function numeric(name: string): string {
  const code = /[xX]/.test(name[1]) ? Number.parseInt(name.slice(2), 16) : Number.parseInt(name.slice(1), 10);
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return "\ufffd";
  if (code >= 0x80 && code <= 0x9f) return WINDOWS[code - 0x80];
  const control = (code < 0x20 && !"\t\n\f\r".includes(String.fromCharCode(code))) || code === 0x7f;
  const noncharacter = (code & 0xfffe) === 0xfffe || (code >= 0xfdd0 && code <= 0xfdef);
  return control || noncharacter ? "" : String.fromCodePoint(code);
}

function pairs(list: string): [string, string][] {
  return Array.from(list.matchAll(/(\S+) (\S+)/g), ([, name, code]) => [
    name,
    String.fromCodePoint(Number.parseInt(code, 16)),
  ]);
}
