import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";

/** A file of the write-ahead log, as InfluxDB 3.10.1 writes it. */
export function walFile(rows = "rows"): Buffer {
  const content = Buffer.from(rows.padEnd(600, "."));
  const head = Buffer.alloc(12);
  head.write("idb3.001");
  head.writeUInt32BE(crc32(content), 8);
  return Buffer.concat([head, content]);
}

/** A catalog, or an entry of its log, as InfluxDB 3.10.1 writes it. */
export function catalogFile(sequence: number, payload = "tables"): Buffer {
  const content = Buffer.from(payload.padEnd(200, "."));
  const head = Buffer.alloc(64);
  head.write("IDB3");
  head.writeUInt32LE(1, 4);
  head.writeBigUInt64LE(BigInt(sequence), 32);
  head.writeBigUInt64LE(BigInt(content.length), 48);
  head.writeUInt32LE(crc32(content), 56);
  head.writeUInt32LE(crc32(head.subarray(12)), 8);
  return Buffer.concat([head, content]);
}

/** A Parquet file's first and last bytes. */
export const parquetFile = (size = 500): Buffer =>
  Buffer.from(`PAR1${"c".repeat(size - 8)}PAR1`, "latin1");

/** A snapshot that lists Parquet files, and one that it has removed. */
export const snapshotFile = (sequence: number, files: { path: string; size: number }[]): string =>
  JSON.stringify(
    {
      node_id: "kiel-1",
      snapshot_sequence_number: sequence,
      databases: [
        [1, { tables: [[1, files.map(({ path, size }) => ({ id: 1, path, size_bytes: size }))]] }],
      ],
      removed_files: [
        [1, { tables: [[1, [{ id: 0, path: "kiel-1/gone.parquet", size_bytes: 9 }]]] }],
      ],
    },
    null,
    2,
  );

const mostU64 = 2n ** 64n - 1n;
const digits = (value: bigint | number, count: number) => String(value).padStart(count, "0");

/** Names of the files below a data folder, for the node `kiel-1`. */
export const names = {
  wal: (number: number) => `kiel-1/wal/${digits(number, 11)}.wal`,
  log: (number: number) => `kiel-1/catalog/v3/logs/${digits(number, 20)}.catalog`,
  catalog: "kiel-1/catalog/v3/snapshot",
  snapshot: (number: number) =>
    `kiel-1/snapshots/${digits(mostU64 - BigInt(number), 20)}.info.json`,
  checkpoint: (number: number) =>
    `kiel-1/snapshot-checkpoints/2026-11/${digits(mostU64 - BigInt(number), 20)}.checkpoint.json`,
  parquet: (number: number) => `kiel-1/dbs/1/1/2026-11-27/10-00/${digits(number, 10)}.parquet`,
} as const;

/**
 * Writes a file below a data folder.
 * @param age seconds since it was written.
 */
export function put(data: string, name: string, content: Buffer | string, age = 0): void {
  const path = join(data, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  const at = Date.now() / 1000 - age;
  utimesSync(path, at, at);
}
