/** A heap of numbers that gives the smallest first, four children to a node (one cache line). */
export class MinHeap {
  private keys = new Float64Array(64);
  private length = 0;

  push(key: number): void {
    if (this.length === this.keys.length) {
      const larger = new Float64Array(2 * this.length);
      larger.set(this.keys);
      this.keys = larger;
    }
    const keys = this.keys;
    let hole = this.length++;
    while (hole > 0) {
      const parent = (hole - 1) >> 2;
      if (keys[parent] <= key) break;
      keys[hole] = keys[parent];
      hole = parent;
    }
    keys[hole] = key;
  }

  /** Takes the smallest number; -1 where there is none. */
  pop(): number {
    if (this.length === 0) return -1;
    const keys = this.keys;
    const top = keys[0];
    const length = --this.length;
    const last = keys[length];
    for (let hole = 0; ; ) {
      const first = 4 * hole + 1;
      let child = first;
      for (let i = first + 1; i < first + 4 && i < length; i++) if (keys[i] < keys[child]) child = i;
      if (first >= length || keys[child] >= last) {
        keys[hole] = last;
        return top;
      }
      keys[hole] = keys[child];
      hole = child;
    }
  }
}
