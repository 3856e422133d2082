/** A row's number and its score. */
export interface Scored {
  readonly index: number;
  readonly score: number;
}

/** Whether one comes after another: of equal scores the one added later. */
function behind(a: Scored, b: Scored): boolean {
  return a.score < b.score || (a.score === b.score && a.index > b.index);
}

/** The best so many of all rows that it is given: a heap whose root is the last of them. */
export class Top {
  readonly most: number;
  private readonly heap: Scored[] = [];

  constructor(most: number) {
    this.most = most;
  }

  /** What a score must reach to be among them; -Infinity while there is room. */
  get least(): number {
    return this.heap.length < this.most ? Number.NEGATIVE_INFINITY : (this.heap[0]?.score ?? Number.POSITIVE_INFINITY);
  }

  add(index: number, score: number): void {
    const hit = { index, score };
    if (this.heap.length < this.most) {
      this.heap.push(hit);
      this.rise(this.heap.length - 1);
    } else if (this.most > 0 && behind(this.heap[0], hit)) {
      this.heap[0] = hit;
      this.sink();
    }
  }

  /** Best first. */
  sorted(): Scored[] {
    return [...this.heap].sort((a, b) => b.score - a.score || a.index - b.index);
  }

  private rise(at: number): void {
    const { heap } = this;
    for (let child = at; child > 0; ) {
      const parent = (child - 1) >> 1;
      if (!behind(heap[child], heap[parent])) return;
      [heap[child], heap[parent]] = [heap[parent], heap[child]];
      child = parent;
    }
  }

  private sink(): void {
    const { heap } = this;
    for (let parent = 0; ; ) {
      const left = 2 * parent + 1;
      const right = left + 1;
      let last = parent;
      if (left < heap.length && behind(heap[left], heap[last])) last = left;
      if (right < heap.length && behind(heap[right], heap[last])) last = right;
      if (last === parent) return;
      [heap[parent], heap[last]] = [heap[last], heap[parent]];
      parent = last;
    }
  }
}
