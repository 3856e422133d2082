import { idOf, type Kept } from "./store.ts";

/** A picture that can be read. */
export interface Found extends Kept {
  open(): Promise<File>;
}

/** The pictures of one folder. */
export interface Folder {
  readonly name: string;
  readonly pictures: Found[];
}

/** Pictures among files that an input or a drop gave, under the folder that was chosen. */
export function fromFiles(files: Iterable<File>): Folder {
  const list = [...files];
  const name = list[0]?.webkitRelativePath.split("/")[0] || "chosen pictures";
  return {
    name,
    pictures: list
      .filter(isPicture)
      .map((file) => found(name, file.webkitRelativePath.split("/").slice(1).join("/") || file.name, file)),
  };
}

/** Pictures in a folder that was chosen by its handle, and below it. */
export async function fromHandle(folder: FileSystemDirectoryHandle): Promise<Folder> {
  const pictures: Found[] = [];
  const walk = async (directory: FileSystemDirectoryHandle, path: string): Promise<void> => {
    for await (const entry of directory.values()) {
      if (entry.kind === "directory") await walk(entry as FileSystemDirectoryHandle, `${path}${entry.name}/`);
      else {
        const file = await (entry as FileSystemFileHandle).getFile();
        if (isPicture(file)) pictures.push(found(folder.name, path + entry.name, file));
      }
    }
  };
  await walk(folder, "");
  return { name: folder.name, pictures: sorted(pictures) };
}

/** Pictures that were dropped, folders with all that is in them. */
export async function fromDrop(data: DataTransfer): Promise<Folder> {
  // Entries are only there until the event has been dealt with.
  const entries = [...data.items].map((item) => item.webkitGetAsEntry());
  const files = [...data.files];
  if (!entries.some((entry) => entry?.isDirectory)) return fromFiles(files);
  const name = entries.find((entry) => entry?.isDirectory)!.name;
  const pictures: Found[] = [];
  const walk = async (entry: FileSystemEntry, path: string): Promise<void> => {
    if (entry.isDirectory) {
      for (const child of await children(entry as FileSystemDirectoryEntry)) await walk(child, `${path}${child.name}/`);
    } else {
      const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
      if (isPicture(file)) pictures.push(found(name, path.slice(0, -1) || file.name, file));
    }
  };
  for (const entry of entries) if (entry) await walk(entry, "");
  return { name, pictures: sorted(pictures) };
}

/** The 200 pictures that come with the page, each with a caption in `captions.jsonl`. */
export async function fromSamples(): Promise<Folder> {
  const lines = (await (await fetch("samples/captions.jsonl")).text()).trim().split("\n");
  const pictures = lines.map((line) => {
    const { file } = JSON.parse(line) as { file: string };
    return {
      id: `samples/${file}`,
      folder: "samples",
      path: file,
      open: async () => new File([await (await fetch(`samples/${file}`)).blob()], file),
    };
  });
  return { name: "samples", pictures };
}

function isPicture({ name, type }: File): boolean {
  return type.startsWith("image/") && !name.startsWith(".");
}

function found(folder: string, path: string, file: File): Found {
  // As siglip embed stamps files, so that a file of embeddings is recognised on either side.
  const id = idOf(`${folder}/${path}`, `${file.size}-${file.lastModified}`);
  return { id, folder, path, open: async () => file };
}

function sorted(pictures: Found[]): Found[] {
  return pictures.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** A folder gives its entries in parts, until an empty one. */
async function children(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return all;
    all.push(...part);
  }
}
