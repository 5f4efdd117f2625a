import type { ByteWriter, ParquetWriter } from "hyparquet-writer";
import type { OutputFile } from "./output";
import type { Column, Row, Table } from "./table";

type Library = typeof import("hyparquet-writer");
type Schema = ConstructorParameters<typeof ParquetWriter>[0]["schema"];

/** Values of a group of rows, which is in memory until it is written. */
const valuesOfGroup = 500_000;

function schemaOf({ name, type }: Column): Schema[number] {
  const optional = { name, repetition_type: "OPTIONAL" } as const;
  switch (type) {
    case "float64":
      return { ...optional, type: "DOUBLE" };
    case "bool":
      return { ...optional, type: "BOOLEAN" };
    case "int64":
      return { ...optional, type: "INT64" };
    case "uint64":
      return { ...optional, type: "INT64", converted_type: "UINT_64" };
    case "utf8":
      return { ...optional, type: "BYTE_ARRAY", converted_type: "UTF8" };
  }
}

/** Rows as a Parquet file: times in ns, whole numbers with all digits, tags by a dictionary. */
export class ParquetFile {
  private readonly groupRows: number;
  private group: Row[] = [];

  private constructor(
    private readonly output: OutputFile,
    private readonly bytes: ByteWriter,
    private readonly writer: ParquetWriter,
    private readonly columns: readonly Column[],
  ) {
    this.groupRows = Math.max(1000, Math.floor(valuesOfGroup / (columns.length + 1)));
  }

  /** @param about what is written into the file beside the rows, by a key. */
  static async begin(
    output: OutputFile,
    { columns }: Table,
    about: Record<string, string>,
  ): Promise<ParquetFile> {
    // The library is an ES module.
    const library: Library = await import("hyparquet-writer");
    const bytes = new library.ByteWriter();
    const time = { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "NANOS" } as const;
    const writer = new library.ParquetWriter({
      writer: bytes,
      schema: [
        { name: "root", num_children: columns.length + 1 },
        { name: "time", type: "INT64", repetition_type: "REQUIRED", logical_type: time },
        ...columns.map(schemaOf),
      ],
      kvMetadata: Object.entries(about).map(([key, value]) => ({ key, value })),
      createdBy: "bess-telemetry",
    });
    return new ParquetFile(output, bytes, writer, columns);
  }

  async add(rows: readonly Row[]): Promise<void> {
    for (const row of rows) {
      this.group.push(row);
      if (this.group.length === this.groupRows) await this.writeGroup();
    }
  }

  async end(): Promise<void> {
    if (this.group.length > 0) await this.writeGroup();
    await this.writer.finish();
    await this.flush();
  }

  private async writeGroup(): Promise<void> {
    const rows = this.group;
    this.group = [];
    const times = rows.map((row) => BigInt(String(row[0])));
    const columnData = this.columns.map(({ name, type }, i) => ({
      name,
      data: rows.map((row) => {
        const value = row[i + 1] ?? null;
        const isWhole = type === "int64" || type === "uint64";
        return isWhole && value !== null ? BigInt(value) : value;
      }),
    }));
    await this.writer.write({
      columnData: [{ name: "time", data: times }, ...columnData],
      rowGroupSize: this.groupRows,
    });
    await this.flush();
  }

  private async flush(): Promise<void> {
    await this.output.write(new Uint8Array(this.bytes.buffer, 0, this.bytes.index));
    this.bytes.index = 0;
  }
}
