import type { Kind, VectorKey } from "../search/vectors.ts";
import type { Place } from "./journal.ts";
import { Keys, keyText, nameText } from "./keys.ts";
import { Numbers } from "./numbers.ts";

/** What stands for a place until there is one, and where nothing can be made. */
const [MISSING, FAILED] = [-1, -2];

/**
 * Which embeddings there are and where, and in what order they are wanted: some forty bytes a key. A place is a row's
 * number in the finished file of before, or one in a journal.
 */
export class Ledger {
  private readonly keys = new Keys();
  private readonly places = new Numbers(Float64Array);
  private readonly order: Record<Kind, Numbers> = { image: new Numbers(Uint32Array), text: new Numbers(Uint32Array) };
  /** The keys of the finished file's rows. */
  private readonly before = new Numbers(Uint32Array);

  /** Takes up the next row of the finished file. */
  addRow(key: VectorKey): void {
    const row = this.before.length;
    this.before.push(this.found(keyText(key), row));
  }

  /** Takes up a record of a journal; the first of a key counts. */
  addRecord(text: string, place: Place): void {
    this.found(text, place);
  }

  /** Says that a key is the next that is wanted; gives its number, and whether its embedding has to be made. */
  want(key: VectorKey): { number: number; missing: boolean } {
    const { number, first } = this.keys.add(keyText(key));
    if (first) this.places.push(MISSING);
    this.order[key.kind].push(number);
    return { number, missing: first };
  }

  /**
   * Says that the finished file's other rows are wanted, too, after the rest: one of each name, none of those that are
   * among `names` already. `rows` are all keys of that file.
   */
  async wantRest(rows: AsyncIterable<VectorKey>, names: Keys): Promise<void> {
    const wanted = new Uint8Array(this.keys.size);
    for (const order of Object.values(this.order)) {
      for (let at = 0; at < order.length; at++) wanted[order.get(at)] = 1;
    }
    let row = 0;
    for await (const { kind, name } of rows) {
      const number = this.before.get(row++);
      if (wanted[number] === 0 && names.add(nameText({ kind, name })).first) this.order[kind].push(number);
    }
  }

  /** Says where the embedding of a number is now. */
  made(number: number, place: Place): void {
    this.places.set(number, place);
  }

  /** Says that there is none of it. */
  fail(number: number): void {
    this.places.set(number, FAILED);
  }

  /** Says that what was at one place is at another. */
  moved(text: string, place: Place): void {
    this.places.set(this.keys.add(text).number, place);
  }

  /** Whether a record is the one that counts. */
  counts(text: string, place: Place): boolean {
    const { number, first } = this.keys.add(text);
    if (first) this.places.push(MISSING);
    return this.places.get(number) === place;
  }

  /** The number of a row of the finished file. */
  numberOf(row: number): number {
    return this.before.get(row);
  }

  /** How many were wanted. */
  wanted(kind: Kind): number {
    return this.order[kind].length;
  }

  /** The places of one kind, in the order in which they are wanted, of those that there are. */
  *wantedPlaces(kind: Kind): Generator<{ number: number; place: Place }> {
    const order = this.order[kind];
    for (let at = 0; at < order.length; at++) {
      const number = order.get(at);
      const place = this.places.get(number);
      if (place >= 0) yield { number, place };
    }
  }

  /** Whether the finished file holds just what is wanted, in that order. */
  unchanged(): boolean {
    let row = 0;
    for (const kind of ["image", "text"] as const) {
      for (const { number } of this.wantedPlaces(kind)) {
        if (row === this.before.length || this.before.get(row++) !== number) return false;
      }
    }
    return row === this.before.length;
  }

  private found(text: string, place: Place): number {
    const { number, first } = this.keys.add(text);
    if (first) this.places.push(place);
    return number;
  }
}
