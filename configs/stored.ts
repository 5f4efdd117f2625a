import { type Field, type Model, type Source, sourcesOf, type Tag, topicsOf } from "./model";
import { type Place, type Reading, timeSchema } from "./payload";

/** A tag of a table. What an older version has not written down is missing. */
export interface StoredTag {
  name: string;
  /** Where its values come from, in words that change when that changes. */
  source?: string;
}

/** A column of a table. What an older version has not written down is missing. */
export interface StoredColumn {
  name: string;
  type: Field["type"];
  unit?: string;
  /** How the payload's value becomes the stored one. */
  scale?: string;
  /** Where its values come from, in words that change when that changes. */
  source?: string;
}

/** A table of the telemetry, and what is stored in it. */
export interface StoredTable {
  name: string;
  topics?: string[];
  /** Where the time of a row comes from. */
  time?: string;
  tags: StoredTag[];
  columns: StoredColumn[];
}

/** Texts that differ, as one. */
const oneOf = (texts: readonly string[]) => [...new Set(texts)].join(" or ");

// All that a comparison of two models reads of them goes through these.
function timeOf({ time }: Source): string {
  if (!time) return "its arrival";
  const { path, format, ...others } = time;
  const rest = JSON.stringify(others);
  return `${[path].flat().join(" and ")} (${format}${rest === defaultTime ? "" : ` ${rest}`})`;
}

const defaultTime = JSON.stringify(
  omit(timeSchema.parse({ path: "t", format: "unix" }), "path", "format"),
);

function omit(object: object, ...keys: string[]): object {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

function placeOf(place: Place | undefined): string {
  if (!place) return "nothing";
  const { path, segment, ...others } = place;
  const rest = JSON.stringify(others);
  if (rest !== "{}") return JSON.stringify(place);
  return path ?? `segment ${segment} of the topic`;
}

function scaleOf(reading: Reading): string {
  const { scale = 1, ...others } = reading;
  const rest = JSON.stringify(omit(others, "path"));
  return rest === "{}" ? String(scale) : JSON.stringify({ scale, ...omit(others, "path") });
}

const columnOf = (sources: readonly Source[], { name, type, unit }: Field): StoredColumn => {
  const readings = sources.flatMap(({ fields }) =>
    fields.flatMap(({ field, reading }) => (field.name === name ? [reading] : [])),
  );
  return {
    name,
    type,
    unit,
    scale: oneOf(readings.map(scaleOf)),
    source: oneOf(readings.map(({ path }) => path)),
  };
};

const tagOf = (sources: readonly Source[], { name }: Tag): StoredTag => ({
  name,
  source: oneOf(
    sources.flatMap(({ tags }) =>
      tags.flatMap(({ tag, place }) => (tag.name === name ? [placeOf(place)] : [])),
    ),
  ),
});

/** What a site stores by its model: the tables, and where their rows come from. */
export const storedTables = (model: Model): StoredTable[] =>
  model.measurements.map((measurement) => {
    const sources = sourcesOf(measurement);
    return {
      name: measurement.name,
      topics: [...new Set(topicsOf(measurement))],
      time: oneOf(sources.map(timeOf)),
      tags: measurement.tags.map((tag) => tagOf(sources, tag)),
      columns: measurement.fields.map((field) => columnOf(sources, field)),
    };
  });

type StoredLine =
  | { table: Omit<StoredTable, "tags" | "columns"> }
  | { tag: StoredTag }
  | { column: StoredColumn };

/** Tables as lines of text, one for each table, tag and column, so that a diff shows what changes. */
export const storedLines = (tables: readonly StoredTable[]): string[] =>
  tables
    .flatMap(({ tags, columns, ...table }): StoredLine[] => [
      { table },
      ...tags.map((tag) => ({ tag })),
      ...columns.map((column) => ({ column })),
    ])
    .map((line) => JSON.stringify(line));

/** Tables from their {@link storedLines}. */
export function tablesOfLines(lines: readonly string[]): StoredTable[] {
  const tables: StoredTable[] = [];
  for (const text of lines) {
    const line = JSON.parse(text) as StoredLine;
    const last = tables.at(-1);
    if ("table" in line) tables.push({ ...line.table, tags: [], columns: [] });
    else if ("tag" in line) last?.tags.push(line.tag);
    else last?.columns.push(line.column);
  }
  return tables;
}
