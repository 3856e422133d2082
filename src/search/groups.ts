/** Numbers from 0 on, joined into groups two by two. [Galler and Fischer 1964, union-find] */
export class Groups {
  /** Of each another of its group, of the first of a group itself. */
  private readonly next: Int32Array;

  constructor(size: number) {
    this.next = Int32Array.from({ length: size }, (_, number) => number);
  }

  /** The first of a number's group. */
  of(number: number): number {
    const { next } = this;
    while (next[number] !== number) {
      next[number] = next[next[number]];
      number = next[number];
    }
    return number;
  }

  /** Makes the groups of two numbers one. */
  join(one: number, other: number): void {
    const [a, b] = [this.of(one), this.of(other)];
    this.next[Math.max(a, b)] = Math.min(a, b);
  }

  /** The groups of two and more, each in order. */
  found(): number[][] {
    const found = new Map<number, number[]>();
    for (let number = 0; number < this.next.length; number++) {
      const first = this.of(number);
      if (first === number) continue;
      const group = found.get(first);
      if (group) group.push(number);
      else found.set(first, [first, number]);
    }
    return [...found.values()].sort((a, b) => a[0] - b[0]);
  }
}
