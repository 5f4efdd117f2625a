import { sqlName } from "../configs/databases";
import { databases } from "../configs/influxdb";
import type { Measurement } from "../configs/model";
import type { Span } from "../configs/rollups";
import { type Database, sqlTime, type TableColumns } from "./database";
import type { TagValues } from "./lines";
import type { Value } from "./roll";
import { parse, selected, tagValues } from "./tier-rows";

/** A stored row of a measurement. */
export interface RawRow {
  /** Tells its unit from others. */
  key: string;
  tags: TagValues;
  /** In ns after the span's start. */
  at: number;
  /** In the order of the model's fields. */
  values: (Value | undefined)[];
}

/**
 * The rows of a measurement in a span as they come: unit by unit, each in the order of time.
 * @param columns what the database has.
 * @param before seconds before the span of which the rows are told too.
 */
export async function* rawRows(
  database: Database,
  authorization: string,
  columns: TableColumns,
  m: Measurement,
  span: Span,
  before = 0,
): AsyncGenerator<RawRow[]> {
  const has = columns.get(m.name);
  if (!has) return;
  const fields = m.fields.flatMap(({ name, type }, index) => {
    const stored = has.get(name);
    const fits = stored === type || (stored === "int" && type === "float");
    return fits ? [{ name, type, index }] : [];
  });
  const tags = m.tags.map(({ name }) => (has.get(name) === "tag" ? sqlName(name) : "''"));
  const order = m.tags.filter(({ name }) => has.get(name) === "tag");
  const sql =
    `SELECT ${[
      ...tags,
      `CAST(time AS BIGINT) - ${span.start}000000000`,
      ...fields.map(({ name, type }) => selected(name, type)),
    ].join(", ")} FROM ${sqlName(m.name)} ` +
    `WHERE time >= ${sqlTime(span.start - before)} AND time < ${sqlTime(span.end)} ` +
    `ORDER BY ${[...order.map(({ name }) => sqlName(name)), "time"].join(", ")}`;
  const count = tags.length;
  for await (const rows of database.rows(authorization, databases.telemetry, sql))
    yield rows.map((row) => {
      const values: RawRow["values"] = m.fields.map(() => undefined);
      for (const [i, { index, type }] of fields.entries())
        values[index] = parse(row[count + 1 + i] ?? "", type);
      return {
        key: row.slice(0, count).join("\0"),
        tags: tagValues(row, count),
        at: Number(row[count]),
        values,
      };
    });
}
