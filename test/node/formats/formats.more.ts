// What takes long or packages of its own: SQLite in every runtime that has it, what others read, and memory.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { asyncBufferFromFile, parquetMetadataAsync } from "hyparquet";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatOf } from "../../../src/node/formats/formats.ts";
import { decodeVector } from "../../../src/search/encode-vector.ts";
import { RUNTIMES, runtime } from "../../harness/runtimes.ts";
import { packagesFolder } from "./packages.ts";
import { DTYPES, make, ORIGIN, unmarked } from "./vectors.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const run = promisify(execFile);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "siglip-formats-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("embeddings in SQLite", () => {
  for (const name of RUNTIMES.filter((one) => one !== "this Node")) {
    it(`are what they were, found by sqlite-vec and refused when damaged, in ${name}`, async (context) => {
      const own = await mkdtemp(join(folder, "sqlite-"));
      const [binary, ...flags] = await runtime(name, context);
      const { stdout } = await run(binary, [...flags, join(here, "drive.ts"), own, ".sqlite", "300"]);
      expect(stdout).toBe("sound\n");
    });
  }
});

interface DuckDb {
  readonly DuckDBInstance: { create(): Promise<{ connect(): Promise<Connection> }> };
}
interface Connection {
  runAndReadAll(sql: string): Promise<{ getRowObjectsJson(): Record<string, unknown>[] }>;
}

interface Arrow {
  tableFromIPC(bytes: Uint8Array): { readonly schema: { readonly fields: readonly ArrowField[] } };
}
interface ArrowField {
  readonly name: string;
  readonly nullable: boolean;
  readonly type: { readonly children: readonly ArrowField[] | null };
}

describe("embeddings as Parquet", () => {
  it("are read by DuckDB, as lists of as many values, in every dtype", async (context) => {
    const require = createRequire(join(await packagesFolder(context), "x.js"));
    const { DuckDBInstance } = require("@duckdb/node-api") as DuckDb;
    const connection = await (await DuckDBInstance.create()).connect();
    const all = async (sql: string) => (await connection.runAndReadAll(sql)).getRowObjectsJson();
    for (const dtype of DTYPES) {
      const path = join(folder, `${dtype}.parquet`);
      // DuckDB's package drops a mark at the beginning of a text.
      const wanted = make({ image: 70_000, text: 9 }, dtype, 24, ORIGIN, unmarked);
      await formatOf(path)!.write(path, wanted);
      const type = dtype === "i8" ? "TINYINT" : "FLOAT";
      const rows = await all(
        `SELECT kind, name, stamp, ${dtype === "i8" ? "scale" : "1 AS scale"}, embedding::${type}[24] AS embedding
         FROM '${path}' WHERE file_row_number % 997 = 0 ORDER BY file_row_number`.replace(
          `'${path}'`,
          `read_parquet('${path}', file_row_number = true)`,
        ),
      );
      let at = 0;
      let row = 0;
      for await (const { bytes, ...stored } of wanted.rows()) {
        if (row++ % 997 !== 0) continue;
        const values = decodeVector({ bytes, scale: 1 }, dtype);
        expect(rows[at++]).toEqual({ ...stored, embedding: Array.from(values) });
      }
      expect(rows).toHaveLength(at);
      const said = await all(`SELECT decode(value) AS value FROM parquet_kv_metadata('${path}') ORDER BY key`);
      expect(said).toEqual([{ value: expect.any(String) }, { value: JSON.stringify(ORIGIN) }, { value: "24" }]);
    }
  });

  it("are lists of a fixed size to Arrow, in every dtype", async (context) => {
    const require = createRequire(join(await packagesFolder(context), "x.js"));
    const { tableFromIPC } = require("apache-arrow") as Arrow;
    const typeOf = { f32: "Float32", f16: "Float16", i8: "Int8" };
    const texts = ["kind", "name", "stamp"].map((name) => `${name}: Utf8`);
    for (const dtype of DTYPES) {
      for (const width of [1, 24, 1152, 70_000]) {
        const path = join(folder, `arrow-${dtype}-${width}.parquet`);
        await formatOf(path)!.write(path, make({ image: 1, text: 0 }, dtype, width));
        const metadata = await parquetMetadataAsync(await asyncBufferFromFile(path));
        const said = metadata.key_value_metadata!.find(({ key }) => key === "ARROW:schema")!;
        const { fields } = tableFromIPC(Buffer.from(said.value!, "base64")).schema;
        const scale = dtype === "i8" ? ["scale: Float32"] : [];
        const embedding = `embedding: FixedSizeList[${width}]<${typeOf[dtype]}>`;
        expect(fields.map(({ name, type }) => `${name}: ${type}`)).toEqual([...texts, ...scale, embedding]);
        const [element] = fields.at(-1)!.type.children!;
        expect([...fields, element].map(({ nullable }) => nullable)).not.toContain(true);
        expect(element.name).toBe("element");
      }
    }
  });
});

describe("100,000 embeddings", () => {
  for (const ending of [".safetensors", ".npy", ".jsonl", ".parquet"]) {
    it(`are written and read as ${ending} in memory that 25,000 take, names aside`, async () => {
      const path = join(folder, `many${ending}`);
      const script = join(here, "memory.ts");
      const { stdout } = await run(process.execPath, ["--expose-gc", "--import", "tsx", script, path]);
      const { few, many } = JSON.parse(stdout);
      console.log(`${ending}: ${stdout.trim()}`);
      // The names of .npy are one JSON text, which is held in memory: some 300 bytes each.
      expect(many).toBeLessThan(1.1 * few + (ending === ".npy" ? 25 : 0));
    });
  }
});
