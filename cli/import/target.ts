import { type Field, type Measurement, type Model, sourcesOf, first } from "../../configs/model";
import { conversion } from "../../configs/plan";
import { booleanWords, valueReader } from "../../configs/reading";
import { type Unit, units } from "../../configs/units";
import { InputError } from "../../configs/validation";
import type { Database } from "../../fleet";
import {
  type Column,
  type ColumnType,
  describeTable,
  type Row,
  type Table,
  tableNames,
} from "../export/table";
import { bad, type Decimal } from "../replay/messages";
import { readNumber } from "../replay/table";

const typeOf: Record<Field["type"], ColumnType> = {
  float: "float64",
  int: "int64",
  bool: "bool",
  string: "utf8",
};

/** A table that rows are imported into. */
export interface Target {
  table: Table;
  measurement: Measurement | undefined;
}

/** The tables that a site has, or will have by its model, by their names. */
export async function targetsOf(database: Database, model: Model): Promise<Map<string, Target>> {
  const present = await tableNames(database);
  const names = new Set([...model.measurements.map(({ name }) => name), ...present]);
  const targets = new Map<string, Target>();
  for (const name of names) {
    const measurement = model.measurements.find((m) => m.name === name);
    const table =
      measurement && !present.includes(name)
        ? declaredTable(measurement)
        : withDeclared(await describeTable(database, name, measurement), measurement);
    targets.set(name, { table, measurement });
  }
  return targets;
}

const declaredTable = ({ name, tags, fields }: Measurement): Table => ({
  name,
  columns: [
    ...tags.map((tag): Column => ({ name: tag.name, kind: "tag", type: "utf8" })),
    ...fields.map((field): Column => ({
      name: field.name,
      kind: "field",
      type: typeOf[field.type],
      ...(field.unit && { unit: field.unit }),
    })),
  ],
});

/** A table with the columns too that its first write will make. */
function withDeclared(table: Table, measurement: Measurement | undefined): Table {
  const more = measurement ? declaredTable(measurement).columns : [];
  const known = new Set(table.columns.map(({ name }) => name));
  const all = [...table.columns, ...more.filter(({ name }) => !known.has(name))];
  const tags = all.filter(({ kind }) => kind === "tag");
  return { ...table, columns: [...tags, ...all.filter(({ kind }) => kind === "field")] };
}

/** The names of targets, for a refusal. */
export const targetNames = (targets: ReadonlyMap<string, Target>): string =>
  [...targets.keys()].join(", ");

/** How the values of a source are written. */
export interface Spelling {
  /** What stands before the fraction of a number. */
  decimal: Decimal;
  /** `stored`: in the stored unit, or in `unit`; `sent`: as the gateway sends it, which the model converts. */
  values: "stored" | "sent";
  /** Unit of the source, where it names one. */
  unit?: string | undefined;
}

/** A function that reads a column's values. Its argument is a text where the source has texts alone. */
export type Reader = (value: string | number | boolean) => Row[number];

const ranges = {
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
} as const;

const allowed: Record<ColumnType, string> = {
  float64: "write a number",
  int64: "write a whole number",
  uint64: "write a whole number of at least 0",
  bool: `write ${Object.keys(booleanWords).join(", ")}`,
  utf8: "write a text",
};

/** Texts that a tag cannot have in line protocol. */
const noTag = /(^|[^\\])[\n\t]|\\$/;

/**
 * How a column's values are read.
 * @throws InputError where the source's unit does not convert into the column's.
 */
export function readerOf(
  { measurement }: Target,
  column: Column,
  { decimal, values, unit }: Spelling,
): Reader {
  const { name, type, kind } = column;
  const refuse = (value: unknown): never =>
    bad(`${name} is ${JSON.stringify(value)}: ${allowed[type]}`);
  if (kind === "tag")
    return (value) =>
      noTag.test(String(value))
        ? bad(`${name} is a tag with a line break, a tab or a last \\`)
        : String(value);
  const field = measurement?.fields.find((each) => each.name === name);
  if (values === "sent" && field && measurement) {
    const { reading } =
      first(sourcesOf(measurement)).fields.find((each) => each.field.name === name) ?? {};
    const read = valueReader(field, reading ?? { path: name });
    return (value) => {
      const number =
        typeof value === "string" && field.type !== "string"
          ? readNumber(value, decimal)
          : undefined;
      const result = read(typeof number === "number" && field.type === "float" ? number : value);
      if (typeof result === "object")
        return bad(`${name} is ${JSON.stringify(value)}: ${result.reason}`);
      return typeof result === "bigint" ? String(result) : result;
    };
  }
  const change = unitChange(column, unit);
  switch (type) {
    case "float64":
      return (value) => {
        const number = typeof value === "number" ? value : readNumber(String(value), decimal);
        if (typeof number !== "number" || !Number.isFinite(number)) return refuse(value);
        return change ? (number * change.factor + change.addend) / change.divisor : number;
      };
    case "int64":
    case "uint64":
      return (value) => {
        const text = String(value);
        if (!/^[+-]?\d+$/.test(text)) return refuse(value);
        const scaled = change
          ? BigInt(text) * BigInt(change.factor) + BigInt(change.addend)
          : BigInt(text);
        const divisor = BigInt(change?.divisor ?? 1);
        const [low, high] = ranges[type];
        const whole = scaled / divisor;
        return scaled % divisor === 0n && whole >= low && whole <= high
          ? String(whole)
          : refuse(value);
      };
    case "bool":
      return (value) => booleanWords[String(value).toLowerCase()] ?? refuse(value);
    case "utf8":
      return String;
  }
}

/** How a source's unit becomes the column's; undefined where it is the same. */
function unitChange({ name, unit = "" }: Column, given: string | undefined) {
  if (given === undefined || given === unit) return undefined;
  const from = given as Unit;
  const to = unit as Unit;
  if (!(given in units) || units[from].measures !== units[to].measures)
    throw new InputError("the columns", [
      `${name} is in "${given}", which does not convert into "${unit}", the unit of the model`,
    ]);
  return conversion({ unit: to, type: "int" }, { sent: from });
}
