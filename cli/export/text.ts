import { offsetAt } from "../../configs/zones";
import type { Column, Row, Table } from "./table";

const two = (value: number): string => String(value).padStart(2, "0");

/** `Z`, or an offset such as `+02:00`. */
function zoneText(offset: number): string {
  if (offset === 0) return "Z";
  const minutes = Math.abs(offset) / 60;
  return `${offset < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(Math.floor(minutes % 60))}`;
}

/** Digits behind the seconds: none, or three, six or nine of them. */
function fractionText(nanoseconds: string): string {
  if (nanoseconds === "000000000") return "";
  if (nanoseconds.endsWith("000000")) return `.${nanoseconds.slice(0, 3)}`;
  return `.${nanoseconds.endsWith("000") ? nanoseconds.slice(0, 6) : nanoseconds}`;
}

/** A function that writes ns since 1970 in ISO 8601, as a zone's clocks show them. */
export function timeWriter(zone: string): (nanoseconds: string) => string {
  let last = "";
  let [start, end] = ["", ""];
  return (nanoseconds) => {
    const negative = nanoseconds.startsWith("-");
    const digits = negative ? undefined : nanoseconds.padStart(10, "0");
    const value = BigInt(nanoseconds);
    const floor = value / 1_000_000_000n - (value % 1_000_000_000n < 0n ? 1n : 0n);
    const whole = digits?.slice(0, -9) ?? String(floor);
    const fraction = digits?.slice(-9) ?? String(value - floor * 1_000_000_000n).padStart(9, "0");
    if (whole !== last) {
      // Most rows have the second of the one before them.
      last = whole;
      const seconds = Number(whole);
      const offset = zone === "UTC" ? 0 : offsetAt(zone, seconds);
      start = new Date((seconds + offset) * 1000).toISOString().slice(0, 19);
      end = zoneText(offset);
    }
    return `${start}${fractionText(fraction)}${end}`;
  };
}

/** A float with all its digits. */
const floatText = (value: number): string => (Object.is(value, -0) ? "-0" : String(value));

const valueText = (value: string | number | boolean): string =>
  typeof value === "number" ? floatText(value) : String(value);

/** A text as a cell of a CSV file (RFC 4180). An empty text is `""`, and no value nothing. */
function cellText(value: Row[number]): string {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return valueText(value);
  return value === "" || /[",\r\n]|^\s|\s$/.test(value)
    ? `"${value.replaceAll('"', '""')}"`
    : value;
}

/** Writes rows as text. */
export interface TextWriter {
  /** What a file begins with. */
  head: string;
  text(rows: readonly Row[]): string;
}

/** A column's name with its unit, as a header has it. */
const withUnit = ({ name, unit }: Pick<Column, "name" | "unit">): string =>
  unit ? `${name} [${unit}]` : name;

/** Rows as a CSV file. @param units whether they stand in the header. */
export function csvWriter({ columns }: Table, zone: string, units: boolean): TextWriter {
  const time = timeWriter(zone);
  const names = columns.map((column) => cellText(units ? withUnit(column) : column.name));
  const line = (row: Row): string => {
    let text = time(String(row[0]));
    for (let i = 1; i <= columns.length; i += 1) text += `,${cellText(row[i])}`;
    return `${text}\n`;
  };
  return {
    head: `${["time", ...names].join(",")}\n`,
    text: (rows) => rows.map(line).join(""),
  };
}

/** A measurement's name, as line protocol takes it. */
const measurementName = (name: string): string => name.replaceAll(/[\\, ]/g, "\\$&");

/**
 * A tag's name or value, or a field's name. A line break and a tab stand in one only behind a backslash,
 * which is part of it.
 */
const keyText = (name: string): string => name.replaceAll(/\\(?![\n\t])|[,= ]/g, "\\$&");

const textValue = (text: string): string => `"${text.replaceAll(/["\\]/g, "\\$&")}"`;

/** Texts of tags that are kept: more are of a table whose tags are no identities. */
const mostKept = 10_000;

/** Rows as line protocol, with times in ns. */
export function lineWriter({ name, columns }: Table): TextWriter {
  const head = measurementName(name);
  const keys = columns.map((column) => keyText(column.name));
  const kept = new Map<string, string>();
  const tagText = (value: string): string => {
    const known = kept.get(value);
    if (known !== undefined) return known;
    const text = keyText(value);
    if (kept.size < mostKept) kept.set(value, text);
    return text;
  };
  const fieldText = (type: Column["type"], value: string | number | boolean): string => {
    if (type === "float64" || type === "bool") return valueText(value);
    if (type === "utf8") return textValue(String(value));
    return `${value}${type === "int64" ? "i" : "u"}`;
  };
  const line = (row: Row): string => {
    let [tags, fields] = [head, ""];
    columns.forEach(({ kind, type }, i) => {
      const value = row[i + 1];
      if (value === null || value === undefined) return;
      if (kind === "tag") tags += `,${keys[i]}=${tagText(String(value))}`;
      else fields += `${fields === "" ? "" : ","}${keys[i]}=${fieldText(type, value)}`;
    });
    return fields === "" ? "" : `${tags} ${fields} ${row[0]}\n`;
  };
  return { head: "", text: (rows) => rows.map(line).join("") };
}
