import { mutateBytes, type Random } from "./random.ts";

/** JSON as it is written: members in order, so that a name may stand twice. */
type Json = string | number | boolean | null | List | Raw;

/** An array, or an object, whose items have names. */
interface List {
  readonly object: boolean;
  readonly items: Item[];
}

interface Item {
  name: string;
  value: Json;
}

/** Text that stands for itself, be it JSON or not. */
interface Raw {
  readonly raw: string;
}

const NAMES = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "length", "", "\u0000", "\ud800"];
const VALUES = [
  '"__proto__"',
  '"../outside.safetensors"',
  '"..\\\\outside.safetensors"',
  '"%2e%2e%2foutside.safetensors"',
  '"/etc/passwd.safetensors"',
  '"C:outside.safetensors"',
  '"\\ud800.safetensors"',
  '"a\\u0000b.safetensors"',
  '"toString"',
  '""',
  "0",
  "-0",
  "1",
  "-1",
  "0.5",
  "1e999",
  "-1e999",
  "1e-400",
  "2147483648",
  "9007199254740993",
  "18446744073709551616",
  "01",
  "NaN",
  "null",
  "true",
  "false",
  "{}",
  "[]",
  '{"__proto__":{"polluted":1}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
  `"${"x".repeat(3000)}"`,
  `[${"0,".repeat(2000)}0]`,
];

/** The bytes of a JSON text with one to eight changes to its tree and, now and then, some to its bytes. */
export function mutateJson(random: Random, seed: unknown, extra: readonly string[] = []): Uint8Array {
  const items = [{ name: "", value: treeOf(seed) }];
  if (random.chance(0.97)) for (let changes = random.few(); changes > 0; changes--) change(random, items, extra);
  const text = items.map(({ value }) => print(random, value, random.chance(0.2))).join();
  const bytes = new TextEncoder().encode(text);
  return random.chance(0.12) ? mutateBytes(random, bytes, [bytes]) : bytes;
}

function change(random: Random, root: Item[], extra: readonly string[]): void {
  const places = placesOf(root);
  if (places.length === 0) return;
  const { items, index } = random.pick(places);
  const item = items[index];
  switch (random.below(9)) {
    case 0:
    case 1:
      item.value = hostile(random, extra);
      break;
    case 2:
      items.splice(index, 1);
      break;
    case 3:
      items.splice(index, 0, { ...item, value: random.chance(0.5) ? copyOf(item.value) : hostile(random, extra) });
      break;
    case 4:
      item.name = random.pick([...NAMES, ...extra, ...places.map(({ items, index }) => items[index].name)]);
      break;
    case 5: {
      const other = random.pick(places);
      const { value } = item;
      item.value = copyOf(other.items[other.index].value);
      other.items[other.index].value = copyOf(value);
      break;
    }
    case 6: {
      const depth = 1 << random.below(14);
      const [open, close] = random.pick(["[]", ['{"a":', "}"]]);
      item.value = { raw: `${open.repeat(depth)}0${close.repeat(depth)}` };
      break;
    }
    default:
      item.value = altered(random, item.value, extra);
  }
}

function hostile(random: Random, extra: readonly string[]): Json {
  return extra.length > 0 && random.chance(0.3) ? random.pick(extra) : { raw: random.pick(VALUES) };
}

function altered(random: Random, value: Json, extra: readonly string[]): Json {
  if (typeof value === "number") {
    return random.pick([value + 1, value - 1, value * 2, -value, value * 2 ** 32, value + 0.5]);
  }
  if (typeof value !== "string") return hostile(random, extra);
  const at = random.below(value.length + 1);
  const part = random.pick(["/", "\\", "..", "%2f", ":", "\0", "\n", "\u202e", "\ud83d", "é", "0", " ", ""]);
  return value.slice(0, at) + part + value.slice(at + random.below(2));
}

/** Where every value stands, to any depth. */
function placesOf(items: Item[]): { items: Item[]; index: number }[] {
  return items.flatMap(({ value }, index) => [{ items, index }, ...(isList(value) ? placesOf(value.items) : [])]);
}

function isList(value: Json): value is List {
  return typeof value === "object" && value !== null && "items" in value;
}

function copyOf(value: Json): Json {
  return structuredClone(value);
}

function treeOf(value: unknown): Json {
  if (typeof value !== "object" || value === null) return value as Json;
  const items = Object.entries(value).map(([name, inner]) => ({ name, value: treeOf(inner) }));
  return { object: !Array.isArray(value), items };
}

/** JSON text; a loose one has white space and escapes wherever they may stand. */
function print(random: Random, value: Json, loose: boolean): string {
  const space = () => (loose && random.chance(0.3) ? random.pick([" ", "\n", "\t\r"]) : "");
  if (typeof value === "string") return loose ? escaped(random, value) : JSON.stringify(value);
  if (typeof value !== "object" || value === null) return String(value);
  if ("raw" in value) return value.raw;
  const items = value.items.map(({ name, value: inner }) => {
    const before = value.object ? `${print(random, name, loose)}${space()}:` : "";
    return space() + before + space() + print(random, inner, loose) + space();
  });
  return value.object ? `{${items}}` : `[${items}]`;
}

function escaped(random: Random, text: string): string {
  return `"${Array.from({ length: text.length }, (_, i) =>
    random.chance(0.3)
      ? `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`
      : JSON.stringify(text[i]).slice(1, -1),
  ).join("")}"`;
}
