import { close, closeSync, constants, fstat, fsync, open, read, type Stats, write } from "node:fs";
import { lstat } from "node:fs/promises";

/** For `Descriptor.open`: a symbolic link in the place of the file is an error (ELOOP); Windows knows no such thing. */
export const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;

type Done<R> = (error: NodeJS.ErrnoException | null, result: R) => void;

const forgotten = new FinalizationRegistry<number>((fd) => {
  try {
    closeSync(fd);
  } catch {}
});

/**
 * An open file that, where nobody closes it, is closed when nobody has it any more: a model need not be disposed before
 * a process ends, and Node warns of a FileHandle that was not. Failures are the file system's own errors.
 */
export class Descriptor {
  private fd: number | undefined;
  private users = 0;
  private onIdle: (() => void) | undefined;

  private constructor(fd: number) {
    this.fd = fd;
    forgotten.register(this, fd, this);
  }

  /** Opens a file; `flags` are those of open(2). */
  static async open(path: string, flags: number): Promise<Descriptor> {
    // Not every runtime heeds that flag.
    if (flags & NO_FOLLOW && (await lstat(path).catch(() => undefined))?.isSymbolicLink()) {
      throw Object.assign(new Error(`ELOOP: a symbolic link, open '${path}'`), { code: "ELOOP" });
    }
    // A pipe in the place of a file would block.
    const all = flags | (constants.O_NONBLOCK ?? 0);
    return new Descriptor(await new Promise<number>((resolve, reject) => open(path, all, settled(resolve, reject))));
  }

  stat(): Promise<Stats> {
    return this.use<Stats>((fd, done) => fstat(fd, done));
  }

  /** Brings everything written to the disk itself. */
  sync(): Promise<void> {
    return this.use<void>((fd, done) => fsync(fd, (error) => done(error, undefined)));
  }

  /** Fills the bytes from an offset of the file; says how many there were. */
  async read(bytes: Uint8Array, position: number): Promise<number> {
    let filled = 0;
    while (filled < bytes.length) {
      const most = Math.min(bytes.length - filled, 2 ** 30);
      const count = await this.use<number>((fd, done) => read(fd, bytes, filled, most, position + filled, done));
      if (count === 0) break;
      filled += count;
    }
    return filled;
  }

  /** Writes all of the bytes at an offset, or after whatever the file holds where it was opened to append. */
  async write(bytes: Uint8Array, position: number | null): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      const most = Math.min(bytes.length - written, 2 ** 30);
      const at = position === null ? null : position + written;
      written += await this.use<number>((fd, done) => write(fd, bytes, written, most, at, done));
    }
  }

  /** Ends what is in flight first; everything after it fails. */
  async close(): Promise<void> {
    const { fd } = this;
    if (fd === undefined) return;
    this.fd = undefined;
    forgotten.unregister(this);
    if (this.users > 0) {
      await new Promise<void>((resolve) => {
        this.onIdle = resolve;
      });
    }
    await new Promise<void>((resolve, reject) => close(fd, (error) => (error ? reject(error) : resolve())));
  }

  private async use<R>(operation: (fd: number, done: Done<R>) => void): Promise<R> {
    const { fd } = this;
    if (fd === undefined) throw Object.assign(new Error("EBADF: closed"), { code: "EBADF" });
    this.users++;
    try {
      return await new Promise<R>((resolve, reject) => operation(fd, settled(resolve, reject)));
    } finally {
      if (--this.users === 0) this.onIdle?.();
    }
  }
}

function settled<R>(resolve: (result: R) => void, reject: (error: Error) => void): Done<R> {
  return (error, result) => (error ? reject(error) : resolve(result));
}
