import type { Measurement } from "../configs/model";
import { holdSeconds, rolledOf, type Span, tiers } from "../configs/rollups";
import type { Database, TableColumns } from "./database";
import type { TagValues } from "./lines";
import { rawRows } from "./raw-rows";
import { type Bucket, RowBuckets } from "./roll";

/** The buckets of one unit. */
export interface Unit {
  tags: TagValues;
  buckets: Bucket[];
}

/**
 * The minutes of each unit in a span, from its rows.
 * @param columns what the database of the rows has.
 * @param onRows is told how many rows were read.
 */
export async function* unitMinutes(
  database: Database,
  authorization: string,
  columns: TableColumns,
  m: Measurement,
  span: Span,
  onRows: (count: number) => void = () => {},
): AsyncGenerator<Unit> {
  const rolled = rolledOf(m);
  const hold = holdSeconds(m);
  const before = rolled.some(({ states }) => states) ? hold : 0;
  let key: string | undefined;
  let unit: TagValues = [];
  let buckets = new RowBuckets(rolled, tiers.minute.seconds, span, hold);
  for await (const rows of rawRows(database, authorization, columns, m, span, before)) {
    onRows(rows.length);
    for (const row of rows) {
      if (row.key !== key) {
        if (key !== undefined) yield { tags: unit, buckets: buckets.buckets };
        ({ key, tags: unit } = row);
        buckets = new RowBuckets(rolled, tiers.minute.seconds, span, hold);
      }
      buckets.add(row.at, row.values);
    }
  }
  if (key !== undefined) yield { tags: unit, buckets: buckets.buckets };
}
