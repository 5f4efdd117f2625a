import type { Field, Measurement } from "../configs/model";
import {
  aggregatesOf,
  atColumn,
  columnOf,
  columnType,
  fold,
  type Rolled,
  statesColumns,
  statesTable,
  type Tier,
  type TierTable,
} from "../configs/rollups";
import type { Aggregates, Value } from "./roll";

/** A point of line protocol in two parts: which it is, with its time, and what is written of it. */
export interface Point {
  /** Table and tags. */
  series: string;
  fields: string;
  /** In seconds since 1970. */
  time: number;
}

/** A point as line protocol, with its time in seconds. */
export const line = ({ series, fields, time }: Point): string => `${series} ${fields} ${time}\n`;

/** Values of the tags of one unit, in the model's order; undefined where it has none. */
export type TagValues = readonly (string | undefined)[];

const escaped = (text: string) =>
  text.replaceAll(/[\n\r]/g, " ").replaceAll(/[,= ]|\\$/g, (character) => `\\${character}`);

/** Table and tags as line protocol has them. */
export const seriesOf = (
  table: string,
  { tags }: Pick<Measurement, "tags">,
  values: TagValues,
  more: readonly (readonly [string, string])[] = [],
): string =>
  [
    escaped(table),
    ...tags.flatMap(({ name }, i) => {
      const value = values[i];
      return value === undefined ? [] : [`${name}=${escaped(value)}`];
    }),
    ...more.map(([name, value]) => `${name}=${escaped(value)}`),
  ].join(",");

function fieldValue(value: Value, type: Field["type"]): string {
  if (type === "int") return `${value}i`;
  if (type === "string") return `"${String(value).replaceAll(/["\\]/g, (c) => `\\${c}`)}"`;
  return String(value);
}

/** A row as line protocol: numbers are whole. A tag without a text is left out. */
export const rowLine = (
  table: string,
  tags: Record<string, string>,
  fields: Record<string, number | string>,
  time: number,
): string =>
  line({
    series: [
      escaped(table),
      ...Object.entries(tags).flatMap(([name, text]) =>
        text === "" ? [] : [`${name}=${escaped(text)}`],
      ),
    ].join(","),
    fields: Object.entries(fields)
      .map(([name, value]) => {
        return `${name}=${fieldValue(value, typeof value === "string" ? "string" : "int")}`;
      })
      .join(","),
    time,
  });

/** How a measurement's rollups are written into a tier. */
export class TierLines {
  private readonly parts: {
    table: string;
    columns: { at: number; columns: [keyof Aggregates, string, Field["type"]][] }[];
  }[];

  constructor(
    private readonly measurement: Measurement,
    rolled: readonly Rolled[],
    private readonly tier: Tier,
    tables: readonly TierTable[],
  ) {
    this.parts = tables.map(({ table, rolled: own }) => ({
      table,
      columns: own.map((each) => ({
        at: rolled.findIndex(({ name }) => name === each.name),
        columns: aggregatesOf(each).map((aggregate) => [
          aggregate,
          columnOf(measurement, each, aggregate),
          columnType(each, aggregate),
        ]),
      })),
    }));
  }

  /** The points of a bucket's values: one in each table that has any. */
  values(tags: TagValues, at: number, values: readonly (Aggregates | undefined)[]): Point[] {
    return this.parts.flatMap(({ table, columns }) => {
      const fields: string[] = [];
      for (const { at: index, columns: own } of columns) {
        const aggregates = values[index];
        if (!aggregates) continue;
        for (const [aggregate, column, type] of own) {
          const value = aggregates[aggregate];
          if (value !== undefined) fields.push(`${column}=${fieldValue(value, type)}`);
        }
      }
      if (fields.length === 0) return [];
      return [this.point(seriesOf(table, this.measurement, tags), at, fields)];
    });
  }

  /** The point of a unit's time in a state. */
  state(tags: TagValues, at: number, field: string, state: string, seconds: number): Point {
    const of = [
      [statesColumns.field, field],
      [statesColumns.state, state],
    ] as const;
    const series = seriesOf(statesTable(this.measurement), this.measurement, tags, of);
    return this.point(series, at, [`${statesColumns.seconds}=${seconds}`]);
  }

  private point(series: string, at: number, fields: string[]): Point {
    fields.push(`${atColumn}=${at}000000000i`);
    return { series, fields: fields.join(","), time: fold(this.tier, at) };
  }
}
