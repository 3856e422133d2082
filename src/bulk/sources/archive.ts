import { openRemote } from "../../network/http.ts";
import { fileSource } from "../../node/file.ts";
import { proxiedFetch } from "../../node/proxy.ts";
import { mismatch, SiglipError, shorten } from "../../support/error.ts";
import type { Entry } from "../entry.ts";
import { gunzip, sourceBytes, streamBytes } from "./bytes.ts";
import type { Context, Part } from "./context.ts";
import { holdingOf, isPictureName } from "./endings.ts";
import { textEntry } from "./items.ts";
import { fileBytes } from "./lists.ts";
import { stampOf } from "./pictures.ts";
import { type Bytes, type Member, tarMembers } from "./tar.ts";

/** A picture in an archive is at most this large, in bytes, as a file of its own is. */
const PICTURE = 512 * 2 ** 20;

/** A text beside a picture is at most this large, in bytes. */
const TEXT = 2 ** 20;

/** The texts that belong together are at most this long, in characters: they may have to wait for their picture. */
const TEXTS = 2 ** 22;

/** Where a picture lies in an archive that can be read by range. */
export interface Place {
  readonly tar: string;
  readonly offset: number;
  readonly size: number;
  /** The archive's stamp. */
  readonly stamp: string;
}

/** An entry that says where it lies in an archive: at a place, or in a stream of which it can be read but once. */
export interface FoundEntry extends Entry {
  readonly place?: Place | "stream";
}

/** Whether this is a place to which one can come back. */
export function isPlace(place: FoundEntry["place"]): place is Place {
  return typeof place === "object";
}

/**
 * The pictures in a .tar, which may be gzipped, and the texts beside them (WebDataset): those of `a.txt`, or the fields
 * `caption` and `text` of `a.json`, where there is a picture `a.…` next to it. A picture's name is the archive's with
 * its own behind a slash. What a damaged archive holds before the damage counts; the rest is reported.
 */
export function archivePart(path: string): Part {
  return {
    async *entries(context) {
      const stamp = await stampOf(path);
      if (isZipped(path)) {
        const bytes = streamBytes(gunzip(fileBytes(path, context.signal), path), path);
        try {
          yield* archiveEntries(bytes, stamp, context, streamed);
        } finally {
          await bytes.close();
        }
        return;
      }
      const file = await fileSource(path);
      try {
        const bytes = sourceBytes(file, context.signal);
        yield* archiveEntries(bytes, stamp, context, (key, { offset, size }) =>
          placed(key, { tar: path, offset, size, stamp }),
        );
      } finally {
        await file.close();
      }
    },
  };
}

/** The same of an archive on a server, which is fetched from its first byte to its last. */
export function remoteArchivePart(url: URL): Part {
  return {
    async *entries(context) {
      const { signal } = context;
      const file = await openRemote(url, { fetch: proxiedFetch, signal });
      if (!file) throw mismatch("not-found", shorten(url), "a tar archive", "no such file", "check the address");
      // What signs an address changes with each of them.
      const name = `${url.origin}${url.pathname}`;
      const stored = file.stream(0, file.size, signal);
      const bytes = streamBytes(isZipped(url.pathname) ? gunzip(stored, name) : stored, name);
      try {
        yield* archiveEntries(bytes, file.mark ?? `${file.size}`, context, streamed);
      } finally {
        await bytes.close();
      }
    },
  };
}

function isZipped(name: string): boolean {
  return /gz$/i.test(name);
}

/** An entry of what is read as the archive goes by. */
function streamed(key: Omit<Entry, "load">, member: Member): FoundEntry {
  return {
    place: "stream",
    load: async () => {
      checkSize(key.name, member.size);
      return named(await member.read(), key.name);
    },
    ...key,
  };
}

/**
 * A picture that lies in an archive on disk, and can be loaded at any time and in any order. Loading it rejects with a
 * SiglipError where the archive has changed.
 */
export function placed(key: Omit<Entry, "load">, place: Place): FoundEntry {
  return {
    place,
    async load(signal) {
      const { tar, offset, size, stamp } = place;
      checkSize(key.name, size);
      const file = await fileSource(tar);
      try {
        const now = await stampOf(tar);
        if (now === stamp) return named(await file.read(offset, size, signal), key.name);
        throw mismatch("bad-input", tar, `the archive as it was (${stamp})`, now || "none", "start again with it");
      } finally {
        await file.close();
      }
    },
    ...key,
  };
}

/** Bytes with the name that errors are to show. */
function named(bytes: Uint8Array, name: string): File {
  return new File([bytes as Uint8Array<ArrayBuffer>], name);
}

function checkSize(name: string, size: number): void {
  if (size > PICTURE) throw mismatch("bad-input", name, `at most ${PICTURE} bytes`, `${size}`, "leave it out");
}

/** What a picture in an archive becomes. */
type Make = (key: Omit<Entry, "load">, member: Member) => FoundEntry;

/** Entries of an archive of which the first byte is next; what is wrong with it is reported. */
export async function* archiveEntries(
  bytes: Bytes,
  stamp: string,
  context: Context,
  make: Make,
): AsyncGenerator<FoundEntry> {
  const { keep, report, signal } = context;
  let group = new Group("");
  try {
    for await (const member of tarMembers(bytes)) {
      signal?.throwIfAborted();
      const path = member.name.replace(/^(\.?\/)+/, "");
      const key = groupOf(path);
      if (key === undefined) continue;
      if (key !== group.key) group = new Group(key);
      if (isPictureName(path)) {
        const name = `${bytes.name}/${path}`;
        const own = { kind: "image", name, stamp: `${member.size}-${member.mtime} in ${stamp}` } as const;
        if (keep(name)) yield make(own, member);
        group.pictured = true;
      } else {
        const name = `${bytes.name}/${path}`;
        const added = (await textsOf(member, name, context)).every((text) => group.add(text));
        if (!added && keep(name)) {
          report(
            mismatch("bad-input", name, `texts of at most ${TEXTS} characters`, "more beside it", "leave some out"),
          );
        }
      }
      for (const text of group.take()) if (keep(text)) yield textEntry(text);
    }
  } catch (error) {
    if (!(error instanceof SiglipError)) throw error;
    report(error);
  }
}

/** What members have in common that belong together: all up to the first dot of the name, but for the hidden ones. */
function groupOf(path: string): string | undefined {
  return /^((?:.*\/)?[^./]+)\.[^/]*$/s.exec(path)?.[1];
}

/** Texts wait until a picture has been seen that they belong to. */
class Group {
  readonly key: string;
  pictured = false;
  private waiting: string[] = [];
  private readonly seen = new Set<string>();
  private room = TEXTS;

  constructor(key: string) {
    this.key = key;
  }

  /** The same caption often stands in a .txt and in a .json. False where there is no room for it. */
  add(text: string): boolean {
    if (text === "" || this.seen.has(text)) return true;
    // Short ones take room too.
    this.room -= text.length + 64;
    if (this.room < 0) return false;
    this.seen.add(text);
    this.waiting.push(text);
    return true;
  }

  take(): string[] {
    return this.pictured ? this.waiting.splice(0) : [];
  }
}

/** The texts of a member; what is wrong with it is reported, by one shard of all. */
async function textsOf(member: Member, name: string, context: Context): Promise<string[]> {
  const report = (error: SiglipError) => {
    if (context.keep(name)) context.report(error);
  };
  const json = /\.json$/i.test(member.name);
  if (!json && holdingOf(member.name) !== "txt") return [];
  if (member.size > TEXT) {
    report(mismatch("bad-input", name, `a text of at most ${TEXT} bytes`, `${member.size}`, "shorten it"));
    return [];
  }
  const content = await member.read();
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(content);
    if (!json) return [text.trim()];
    const value = JSON.parse(text);
    return [value?.caption, value?.text].flatMap((one) => (typeof one === "string" ? [one.trim()] : []));
  } catch (cause) {
    const wanted = json ? "JSON" : "text in UTF-8";
    report(mismatch("bad-input", name, wanted, (cause as Error).message, "correct it", cause));
    return [];
  }
}
