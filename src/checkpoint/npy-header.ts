import type { DType } from "./dtype.ts";
import { quote, type ZipFail } from "./zip.ts";

/** An array's header is at most this large. */
const MOST_HEADER = 2 ** 16;

/** numpy's names of element types, all little-endian. */
const DTYPES: Readonly<Record<string, DType>> = {
  "<f8": "F64",
  "<f4": "F32",
  "<f2": "F16",
  "|V2": "BF16",
  "<V2": "BF16",
  "<i8": "I64",
  "<i4": "I32",
  "<i2": "I16",
  "|i1": "I8",
  "<u8": "U64",
  "<u4": "U32",
  "<u2": "U16",
  "|u1": "U8",
  "|b1": "BOOL",
};

/** Where the text of an array's header and what follows it begin, by the first 12 bytes. */
export function headerPlace(prefix: Uint8Array, fail: ZipFail): { from: number; data: number } {
  if ([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59].some((byte, i) => prefix[i] !== byte))
    fail("does not begin as npy files do");
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.length);
  const version = prefix[6];
  if (version < 1 || version > 3) fail(`has the npy version ${version} where 1 to 3 are known`);
  const from = version === 1 ? 10 : 12;
  const bytes = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (bytes > MOST_HEADER) fail(`has a header of ${bytes} bytes where ${MOST_HEADER} are allowed`);
  return { from, data: from + bytes };
}

/** The header is a Python dict of three known keys; nothing else is taken. */
export function parseHeader(text: string, fail: ZipFail): { dtype: DType; shape: number[] } {
  const keys = ["descr", "fortran_order", "shape"];
  const member = /\s*'(descr|fortran_order|shape)'\s*:\s*('[^'\\]{1,20}'|True|False|\([\d,\s]{0,400}\))\s*(,|(?=\}))/y;
  const body = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1];
  const values = new Map<string, string>();
  for (let at = 0; body !== undefined && body.slice(at).trim() !== ""; at = member.lastIndex) {
    member.lastIndex = at;
    const [, key, value] = member.exec(`${body}}`) ?? fail(`has a header that is not numpy's: ${quote(text)}`);
    values.set(key, value);
  }
  const [descr = "", order, shape = ""] = keys.map((key) => values.get(key));
  if (order === "True") fail("lies in Fortran's order where C's is wanted");
  const dtype = descr.slice(1, -1);
  if (!Object.hasOwn(DTYPES, dtype))
    fail(`has the element type ${quote(dtype)} where plain little-endian numbers are wanted`);
  const axes = /^\(\s*((?:\d{1,15}\s*,\s*)*(?:\d{1,15}\s*)?)\)$/.exec(shape)?.[1];
  if (order !== "False" || axes === undefined) return fail(`has a header that is not numpy's: ${quote(text)}`);
  const sizes = axes.split(",").filter((axis) => axis.trim() !== "");
  if (sizes.length > 32) fail(`has ${sizes.length} axes where numpy knows 32`);
  return { dtype: DTYPES[dtype], shape: sizes.map(Number) };
}
