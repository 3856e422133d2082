/** Cells of cosines from -1 to 1: what lies in one differs by 1.5e-5, a thousandth of a logit. */
const CELLS = 2 ** 17;

/** Pairs of one kind by their cosine. */
interface Kind {
  readonly counts: Float64Array;
  /** Of the cosines in a cell. */
  readonly sums: Float64Array;
}

/** Pairs with about the same cosine. */
export interface Cell {
  /** Their mean. */
  readonly cosine: number;
  readonly count: number;
  /** Whether picture and text belong together. */
  readonly matches: boolean;
}

/**
 * Labelled pairs of a picture and a text, any number of them in 4 MiB: cosines are gathered in cells so narrow that a
 * logit's error is quadratic in a thousandth.
 */
export class Pairs {
  private readonly kinds: readonly [others: Kind, matching: Kind] = [kind(), kind()];

  /** Adds a pair by its cosine. */
  add(cosine: number, matches: boolean): void {
    const { counts, sums } = this.kinds[matches ? 1 : 0];
    const cell = Math.min(CELLS - 1, Math.max(0, Math.floor(((cosine + 1) / 2) * CELLS)));
    counts[cell]++;
    sums[cell] += cosine;
  }

  /** How many pairs match, and how many do not. */
  get counts(): { readonly matching: number; readonly others: number } {
    const [others, matching] = this.kinds.map(({ counts }) => counts.reduce((sum, count) => sum + count, 0));
    return { matching, others };
  }

  /** All of them, from the lowest cosine to the highest, those that do not match first. */
  cells(): Cell[] {
    return this.kinds.flatMap(({ counts, sums }, index) => {
      const cells: Cell[] = [];
      for (const [cell, count] of counts.entries()) {
        if (count > 0) cells.push({ cosine: sums[cell] / count, count, matches: index === 1 });
      }
      return cells;
    });
  }
}

function kind(): Kind {
  return { counts: new Float64Array(CELLS), sums: new Float64Array(CELLS) };
}
