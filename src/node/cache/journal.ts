import { constants } from "node:fs";
import { Descriptor, NO_FOLLOW } from "../descriptor.ts";

/**
 * Which blocks of a partial file are there and what each must hash to: lines of a block's number and its digest,
 * appended to a file. A line is a claim that the block's own bytes prove or refute when they are read, so that neither
 * the order in which data and lines reach the disk nor a line cut short matters, and several processes may append at
 * once without a lock.
 */
export class Journal {
  private readonly file: Descriptor;
  /** Of the blocks that are there: what a server claims of a file's size takes no memory. */
  private readonly digests = new Map<number, string>();
  private readonly blocks: number;
  private turn: Promise<void> = Promise.resolve();
  private parsed = 0;

  private constructor(file: Descriptor, blocks: number) {
    this.file = file;
    this.blocks = blocks;
  }

  /** Opens or begins the journal of a file of that many blocks; rejects with the file system's own error. */
  static async open(path: string, blocks: number): Promise<Journal> {
    const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | NO_FOLLOW;
    const journal = new Journal(await Descriptor.open(path, flags), blocks);
    await journal.refresh();
    return journal;
  }

  /** How many blocks are there. */
  get count(): number {
    return this.digests.size;
  }

  /** The digest of a block that is there. */
  digest(block: number): string | undefined {
    return this.digests.get(block);
  }

  /** Takes up what was appended since, by this or any other process, in the file's order. */
  refresh(): Promise<void> {
    this.turn = this.turn.catch(() => {}).then(() => this.read());
    return this.turn;
  }

  /** Notes blocks that have been written: `first` and those after it. */
  add(first: number, digests: readonly string[]): Promise<void> {
    return this.append(digests.map((digest, index) => `${first + index} ${digest}`));
  }

  /** Notes that a block has to be fetched again. */
  remove(block: number): Promise<void> {
    return this.append([`${block} gone`]);
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private async append(lines: readonly string[]): Promise<void> {
    // In one write, which also ends a line that somebody was kept from ending.
    await this.file.write(Buffer.from(`\n${lines.join("\n")}\n`), null);
    await this.refresh();
  }

  private async read(): Promise<void> {
    const bytes = Buffer.alloc(2 ** 18);
    for (;;) {
      const bytesRead = await this.file.read(bytes, this.parsed);
      if (bytesRead === 0) return;
      // A line without its end may be one that is just being written, unless it is longer than any.
      const end = bytes.lastIndexOf("\n", bytesRead - 1) + 1 || (bytesRead === bytes.length ? bytesRead : 0);
      if (end === 0) return;
      for (const line of bytes.toString("latin1", 0, end).split("\n")) this.take(line);
      this.parsed += end;
    }
  }

  private take(line: string): void {
    const [, number, digest] = /^(\d{1,15}) ([\w-]{43}|gone)$/.exec(line) ?? [];
    const block = Number(number);
    if (digest === undefined || block >= this.blocks) return;
    if (digest === "gone") this.digests.delete(block);
    else this.digests.set(block, digest);
  }
}
