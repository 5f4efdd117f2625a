import { sqlName, sqlText } from "../../configs/databases";
import type { Measurement } from "../../configs/model";
import type { Queries } from "../../fleet";
import { InputError } from "../../configs/validation";

/** Types of columns, as InfluxDB names them to a client. */
export const columnTypes = ["float64", "int64", "uint64", "bool", "utf8"] as const;
export type ColumnType = (typeof columnTypes)[number];

/** A column of what is exported, beside the time. */
export interface Column {
  name: string;
  kind: "tag" | "field";
  type: ColumnType;
  unit?: string;
  meaning?: string;
  /** Of an aggregate: the field that it is of. */
  of?: string;
}

/** A table, and what stands in its columns. */
export interface Table {
  name: string;
  columns: Column[];
}

/** An instant in s since 1970, as SQL takes it. */
const sqlTime = (seconds: number): string =>
  `TIMESTAMP '${new Date(seconds * 1000).toISOString()}'`;

const typeOf: Partial<Record<string, ColumnType>> = {
  Float64: "float64",
  Int64: "int64",
  UInt64: "uint64",
  Boolean: "bool",
  Utf8: "utf8",
};

/** The tables of the database that hold rows of a client. */
export async function tableNames(database: Queries): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'iox'",
  );
  return rows.map(({ name }) => name).sort();
}

const columnsQuery = (table: string): string =>
  "SELECT column_name AS name, data_type AS type FROM information_schema.columns " +
  `WHERE table_schema = 'iox' AND table_name = ${sqlText(table)}`;

/** The names of a table's columns; none of a table that is not there. */
export const columnNames = async (database: Queries, table: string): Promise<Set<string>> =>
  new Set((await database.query<{ name: string }>(columnsQuery(table))).map(({ name }) => name));

/**
 * A table with all columns that the database has of it, in the model's order; those of a former model
 * come last.
 * @param measurement what the model says of it; undefined where it does not know the table.
 * @throws InputError if the database has no such table.
 */
export async function describeTable(
  database: Queries,
  name: string,
  measurement: Measurement | undefined,
): Promise<Table> {
  const rows = await database.query<{ name: string; type: string }>(columnsQuery(name));
  if (rows.length === 0)
    throw new InputError("the command line", [
      `--measurement is ${name}: the database has ${(await tableNames(database)).join(", ") || "no table"}`,
    ]);
  const declared = [...(measurement?.tags ?? []), ...(measurement?.fields ?? [])];
  const rank = (column: string) => {
    const at = declared.findIndex((each) => each.name === column);
    return at < 0 ? declared.length : at;
  };
  const columns = rows.flatMap((row): Column[] => {
    const isTag = row.type.startsWith("Dictionary");
    const type = isTag ? "utf8" : typeOf[row.type];
    if (!type) return [];
    const field = measurement?.fields.find((each) => each.name === row.name);
    const tag = measurement?.tags.find((each) => each.name === row.name);
    return [
      {
        name: row.name,
        kind: isTag ? "tag" : "field",
        type,
        ...(field?.unit && { unit: field.unit }),
        ...((field ?? tag) && { meaning: (field ?? tag)?.meaning }),
      } as Column,
    ];
  });
  columns.sort(
    (a, b) =>
      Number(a.kind === "field") - Number(b.kind === "field") ||
      rank(a.name) - rank(b.name) ||
      (a.name < b.name ? -1 : 1),
  );
  return { name, columns };
}

/** A row of an answer: its time in ns as a text, then its columns. A whole number is a text too. */
export type Row = Partial<Record<number, string | number | boolean | null>>;

/** Beyond these a float is infinite, which neither JSON nor line protocol has. */
const finite = (name: string): string =>
  `CASE WHEN abs(${name}) <= 1.7976931348623157e308 THEN ${name} END`;

/** A column's value as an answer can carry it without losing a digit. */
const carried = (expression: string, type: ColumnType): string =>
  type === "int64" || type === "uint64" ? `CAST(${expression} AS VARCHAR)` : expression;

const between = (from: number, to: number): string =>
  `time >= ${sqlTime(from)} AND time < ${sqlTime(to)}`;

/** The rows of a span in the order of their time, as {@link Row}. */
export function rowsQuery({ name, columns }: Table, from: number, to: number): string {
  const tags = columns.filter(({ kind }) => kind === "tag").map((tag) => sqlName(tag.name));
  const values = columns.map(
    (column, i) => `${carried(sqlName(column.name), column.type)} AS "${i + 1}"`,
  );
  return (
    `SELECT ${['CAST(CAST(time AS BIGINT) AS VARCHAR) AS "0"', ...values].join(", ")} ` +
    `FROM ${sqlName(name)} WHERE ${between(from, to)} ORDER BY ${["time", ...tags].join(", ")}`
  );
}

/** What a number is reduced to in an interval, and how SQL names it. */
const reductions = { mean: "avg", min: "min", max: "max" } as const;

/**
 * A table with a row for each interval: of numbers the mean, lowest and highest value, of others the last,
 * and how many rows it was.
 */
export function aggregated({ name, columns }: Table): Table {
  return {
    name,
    columns: columns
      .flatMap((column): Column[] => {
        if (column.kind === "tag") return [column];
        const of = column.name;
        if (column.type === "utf8" || column.type === "bool")
          return [{ ...column, name: `${of}_last`, of }];
        return Object.keys(reductions).map((reduction) => ({
          ...column,
          name: `${of}_${reduction}`,
          of,
          type: reduction === "mean" ? "float64" : column.type,
        }));
      })
      .concat({ name: "rows", kind: "field", type: "int64", meaning: "Rows of the interval." }),
  };
}

/**
 * The rows of {@link aggregated} of a span, as {@link Row}. Its time is the beginning of the interval.
 * @param origin from where on the intervals are counted, in s.
 */
export function aggregatedQuery(
  { name, columns }: Table,
  every: number,
  origin: number,
  from: number,
  to: number,
): string {
  const bin = `date_bin(INTERVAL '${every * 1000} milliseconds', time, ${sqlTime(origin)})`;
  const tags = columns.filter(({ kind }) => kind === "tag").map((tag) => sqlName(tag.name));
  const values = columns.map((column, i) => {
    const of = sqlName(column.of ?? column.name);
    const reduction = Object.entries(reductions).find(([word]) => column.name.endsWith(`_${word}`));
    const expression =
      column.kind === "tag"
        ? of
        : column.of === undefined
          ? "count(*)"
          : column.name === `${column.of}_last`
            ? `selector_last(${of}, time)['value']`
            : `${reduction?.[1] ?? "max"}(${of})`;
    return `${carried(expression, column.type)} AS "${i + 1}"`;
  });
  const groups = [bin, ...tags];
  return (
    `SELECT ${[`CAST(CAST(${bin} AS BIGINT) AS VARCHAR) AS "0"`, ...values].join(", ")} ` +
    `FROM ${sqlName(name)} WHERE ${between(from, to)} ` +
    `GROUP BY ${groups.join(", ")} ORDER BY ${groups.join(", ")}`
  );
}

/**
 * How many rows a span has, and of each column how many values and their sum: of a text its bytes, of a
 * boolean how many are true. The answer is read by {@link import("./totals").totalsOf}.
 * @param groups expressions by which the totals are told apart. Default: none.
 */
export function totalsQuery(
  { name, columns }: Table,
  from: number,
  to: number,
  groups: readonly string[] = [],
): string {
  const parts = columns.flatMap((column, i) => {
    const plain = sqlName(column.name);
    const value = column.type === "float64" ? finite(plain) : plain;
    const whole = (expression: string) =>
      `CAST(sum(CAST(${expression} AS DECIMAL(38, 0))) AS VARCHAR)`;
    const sum = {
      float64: `sum(${value})`,
      int64: whole(value),
      uint64: whole(value),
      bool: `CAST(sum(CASE WHEN ${value} THEN 1 ELSE 0 END) AS VARCHAR)`,
      utf8: `CAST(sum(octet_length(${value})) AS VARCHAR)`,
    }[column.type];
    return [
      `count(${value}) AS "n${i + 1}"`,
      `${sum} AS "s${i + 1}"`,
      ...(column.type === "float64" ? [`sum(abs(${value})) AS "a${i + 1}"`] : []),
    ];
  });
  const keys = groups.map((expression, i) => `${expression} AS "g${i}"`);
  return (
    `SELECT ${[...keys, "count(*) AS n", ...parts].join(", ")} FROM ${sqlName(name)} ` +
    `WHERE ${between(from, to)}${groups.length > 0 ? ` GROUP BY ${groups.join(", ")}` : ""}`
  );
}
