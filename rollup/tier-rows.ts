import type { Field, Measurement } from "../configs/model";
import { sqlName } from "../configs/databases";
import {
  aggregatesOf,
  atColumn,
  columnOf,
  columnType,
  fold,
  rolledOf,
  type Span,
  statesColumns,
  statesTable,
  type Tier,
  tiers,
  tierTables,
} from "../configs/rollups";
import { type Database, sqlTime, type TableColumns } from "./database";
import type { TagValues } from "./lines";
import type { Aggregates, Value } from "./roll";

/** Reads a column of CSV. An empty text of the database's comes as `=`, see {@link selected}. */
export function parse(text: string, type: Field["type"]): Value | undefined {
  if (text === "") return undefined;
  if (type === "float") return Number(text);
  if (type === "bool") return text;
  if (type === "string") return text.slice(1);
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

/** How a column is selected, so that an empty text is not none. */
export const selected = (column: string, type: Field["type"]): string =>
  type === "string" ? `'=' || ${sqlName(column)}` : sqlName(column);

/** Tags of a row as CSV has them, where an empty one is none. */
export const tagValues = (row: readonly string[], count: number): TagValues =>
  Array.from({ length: count }, (_, i) => row[i] || undefined);

/** Condition of the rows of a tier whose rolled time lies in a span. */
export const inSpan = (tier: Tier, { start, end }: Span): string =>
  `time >= ${sqlTime(fold(tier, start))} AND time <= ${sqlTime(fold(tier, end - 1))} ` +
  `AND ${atColumn} >= ${start}000000000 AND ${atColumn} < ${end}000000000`;

/** A row of a tier: of a unit's values, or of a state. */
export type TierRow = { tags: TagValues; at: number } & (
  | { values: (Aggregates | undefined)[] }
  | { field: string; state: string; seconds: number }
);

/**
 * The rows of a measurement in a tier whose rolled time lies in a span.
 * @param columns what the tier's database has.
 */
export async function* tierRows(
  database: Database,
  authorization: string,
  columns: TableColumns,
  m: Measurement,
  tier: Tier,
  span: Span,
): AsyncGenerator<TierRow> {
  const db = tiers[tier].database;
  const rolled = rolledOf(m);
  const tags = (has: ReadonlyMap<string, unknown>) =>
    m.tags.map(({ name }) => (has.has(name) ? sqlName(name) : "''"));
  for (const { table, rolled: own } of tierTables(m, columns)) {
    const has = columns.get(table);
    if (!has) continue;
    const parts = own.flatMap((each) =>
      aggregatesOf(each).flatMap((aggregate) => {
        const column = columnOf(m, each, aggregate);
        const index = rolled.findIndex(({ name }) => name === each.name);
        return has.has(column)
          ? [{ column, aggregate, index, type: columnType(each, aggregate) }]
          : [];
      }),
    );
    const select = [
      ...tags(has),
      `${atColumn} / 1000000000`,
      ...parts.map(({ column, type }) => selected(column, type)),
    ];
    const sql = `SELECT ${select.join(", ")} FROM ${sqlName(table)} WHERE ${inSpan(tier, span)}`;
    for await (const rows of database.rows(authorization, db, sql))
      for (const row of rows) {
        const values: ({ count?: number; last?: Value } | undefined)[] = rolled.map(
          () => undefined,
        );
        parts.forEach(({ index, aggregate, type }, i) => {
          const value = parse(row[m.tags.length + 1 + i] ?? "", type);
          if (value !== undefined) values[index] = { ...values[index], [aggregate]: value };
        });
        yield {
          tags: tagValues(row, m.tags.length),
          at: Number(row[m.tags.length]),
          values: values.map((value) =>
            value?.count === undefined || value.last === undefined
              ? undefined
              : { ...value, count: value.count, last: value.last },
          ),
        };
      }
  }
  const table = statesTable(m);
  const has = columns.get(table);
  if (!has) return;
  const { field, state, seconds } = statesColumns;
  const select = [...tags(has), `${atColumn} / 1000000000`, field, state, seconds];
  const sql = `SELECT ${select.join(", ")} FROM ${sqlName(table)} WHERE ${inSpan(tier, span)}`;
  for await (const rows of database.rows(authorization, db, sql))
    for (const row of rows) {
      const [at, name = "", value = "", time] = row.slice(m.tags.length);
      yield {
        tags: tagValues(row, m.tags.length),
        at: Number(at),
        field: name,
        state: value,
        seconds: Number(time),
      };
    }
}
