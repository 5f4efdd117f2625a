import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { timeSchema } from "../../configs/payload";
import { timeReader } from "../../configs/reading";
import { readText } from "../../configs/files";
import { InputError } from "../../configs/validation";
import { columnsName, type ColumnsFile } from "../export/manifest";
import type { Row } from "../export/table";
import { CsvRows, detectDelimiter, emptyText } from "../replay/csv";
import { bad, type Decimal, refuse } from "../replay/messages";
import { openText } from "../replay/text";
import { type Point, PointLines } from "./line-protocol";
import { type Reader, readerOf, type Target, targetNames } from "./target";

/** A row of a source, or why it is none. */
export interface Item {
  /** Counted from 1; without a header. */
  number: number;
  /** As it stands in the source. */
  text: string;
  target: Target | undefined;
  row: Row | undefined;
  problems: string[];
}

/** What rows are imported from. It can be read any number of times. */
export interface Source {
  name: string;
  /** A CSV file's header, for the file of bad rows. */
  head?: string;
  read(): AsyncGenerator<Item[], void, undefined>;
  /** Share that has been read, 0 to 1. */
  share(): number;
}

/** What the command line tells of the sources. */
export interface Choices {
  measurement?: string | undefined;
  /** Values of tags that the source lacks. */
  tags: Record<string, string>;
  /** Names of columns or tables in the model, by their names in the source. */
  map: Record<string, string>;
  ignore: string[];
  delimiter?: string | undefined;
  decimal: Decimal;
  encoding?: string | undefined;
  /** Format of a CSV file's times. */
  time: string;
  /** Zone of times that name none. */
  zone: string;
  values: "stored" | "sent";
  note(text: string): void;
}

export type Targets = ReadonlyMap<string, Target>;

/** Makes a row, and keeps what is wrong with it. */
export function itemOf(
  number: number,
  text: string,
  make: () => { target: Target; row: Row },
): Item {
  try {
    const { target, row } = make();
    const { columns } = target.table;
    if (!columns.some(({ kind }, i) => kind === "field" && hasValue(row[i + 1])))
      bad("no field has a value");
    for (const [i, { kind, name }] of columns.entries()) {
      const tag = kind === "tag" && target.measurement?.tags.find((each) => each.name === name);
      if (tag && !tag.optional && !hasValue(row[i + 1]))
        bad(`the tag ${name} is missing: it tells whose values these are`);
    }
    return { number, text, target, row, problems: [] };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { number, text, target: undefined, row: undefined, problems: error.problems };
  }
}

const hasValue = (value: Row[number]): boolean => value !== null && value !== undefined;

/** Times that InfluxDB stores, in ns. */
const believable = (time: bigint): boolean => time > -(2n ** 63n) && time < 2n ** 63n;

/** Rows as line protocol, plain or gzipped. */
export class LineSource implements Source {
  private opened: { share(): number } | undefined;

  constructor(
    readonly name: string,
    private readonly targets: Targets,
    private readonly choices: Choices,
  ) {}

  share(): number {
    return this.opened?.share() ?? 0;
  }

  async *read(): AsyncGenerator<Item[], void, undefined> {
    const { encoding = "utf-8", note } = this.choices;
    const { blocks, share } = openText(this.name, encoding, note);
    this.opened = { share };
    const points = new PointLines();
    const readers = new Map<string, Reader>();
    let number = 0;
    const items = (lines: ReturnType<PointLines["read"]>): Item[] =>
      lines.map(({ text, point, problems }) =>
        itemOf((number += 1), text, () => this.row(point ?? bad(...problems), readers)),
      );
    for await (const block of blocks) yield items(points.read(block));
    yield items(points.read([], true));
  }

  private row(
    { table: written, tags, fields, time }: Point,
    readers: Map<string, Reader>,
  ): { target: Target; row: Row } {
    const { map, ignore, tags: constant, values, decimal } = this.choices;
    const name = map[written] ?? written;
    const target = this.targets.get(name);
    if (!target) return bad(`there is no table ${name}: the site has ${targetNames(this.targets)}`);
    const { columns } = target.table;
    if (time === undefined) bad("it has no time");
    if (!believable(BigInt(time ?? 0))) bad(`its time ${time} is beyond the database's`);
    const row: Row = { 0: time ?? "" };
    const set = (kind: "tag" | "field", column: string, value: string | number, type: string) => {
      if (ignore.includes(column)) return;
      const called = map[column] ?? column;
      const at = columns.findIndex((each) => each.name === called && each.kind === kind);
      const found = columns[at];
      if (!found)
        return bad(`${name} has no ${kind} ${called}: it has ${columnNames(target, kind)}`);
      // A float may be written where a whole number is meant, by other programs than this.
      const fits = values === "sent" || found.type === type || type === "float64";
      if (!fits) return bad(`${called} is written as ${type}, and is ${found.type} in the table`);
      const key = `${name}\0${column}`;
      let reader = readers.get(key);
      if (!reader) readers.set(key, (reader = readerOf(target, found, { decimal, values })));
      row[at + 1] = reader(value);
    };
    for (const [tag, value] of [...Object.entries(constant), ...tags])
      set("tag", tag, value, "utf8");
    for (const [field, { type, text: value }] of fields)
      set("field", field, type === "float64" ? Number(value) : value, type);
    return { target, row };
  }
}

/** Names of a table's tags or fields. */
const columnNames = ({ table }: Target, kind: "tag" | "field"): string =>
  table.columns
    .filter((column) => column.kind === kind)
    .map(({ name }) => name)
    .join(", ") || "none";

/** A column of a CSV file that is imported. */
interface CsvColumn {
  index: number;
  /** Where its values stand in a {@link Row}. */
  at: number;
  read: Reader;
}

/** A CSV file whose header names the columns of a table. */
export class CsvSource implements Source {
  head: string;
  private readonly target: Target;
  private readonly columns: CsvColumn[] = [];
  private readonly timeIndex: number;
  private readonly width: number;
  private readonly delimiter: string;
  private opened: { share(): number } | undefined;

  private constructor(
    readonly name: string,
    header: string,
    targets: Targets,
    private readonly choices: Choices,
  ) {
    const { delimiter, tags, decimal, values } = choices;
    this.head = header;
    this.target = targetOfFile(name, targets, choices.measurement);
    const { columns } = this.target.table;
    const known = ["time", ...columns.map((column) => column.name)];
    const called = (cell: string) => choices.map[cell] ?? withoutUnit(cell).name;
    this.delimiter =
      delimiter ??
      detectDelimiter(header, (cell) => cell in choices.map || known.includes(called(cell)));
    const [first] = new CsvRows(this.delimiter).read([{ line: 1, text: header }]);
    const cells = first?.cells ?? [];
    this.width = cells.length;
    const units = unitsBeside(name, this.target.table.name);
    const findings: string[] = [];
    const seen = new Set<string>();
    this.timeIndex = cells.findIndex((cell) => called(cell) === "time");
    cells.forEach((cell, index) => {
      if (cell === "" || choices.ignore.includes(cell) || index === this.timeIndex) return;
      const column = called(cell);
      const at = columns.findIndex((each) => each.name === column);
      const found = columns[at];
      if (seen.has(column)) findings.push(`column ${index + 1} is "${column}" again`);
      seen.add(column);
      if (!found) {
        if (!choices.ignore.includes("*"))
          findings.push(
            `column ${index + 1} is "${cell}": ${this.target.table.name} has ${known.join(", ")}; ` +
              `--map "${cell}=NAME" says what it is, and --ignore "${cell}" leaves it out`,
          );
        return;
      }
      const unit = withoutUnit(cell).unit ?? units[column];
      this.columns.push({
        index,
        at: at + 1,
        read: readerOf(this.target, found, { decimal, values, unit }),
      });
    });
    for (const [tag, value] of Object.entries(tags)) {
      const at = columns.findIndex((each) => each.name === tag && each.kind === "tag");
      if (at < 0 || seen.has(tag))
        findings.push(
          `--tag ${tag}=${value}: ${at < 0 ? `${this.target.table.name} has no such tag` : "the file has it"}`,
        );
      else this.columns.push({ index: -1, at: at + 1, read: () => value });
    }
    if (this.timeIndex < 0) findings.push(`column "time" is missing`);
    if (findings.length > 0) refuse(`the header of ${name}`, ...findings);
  }

  /** @throws InputError with everything that is wrong with the header. */
  static async open(name: string, targets: Targets, choices: Choices): Promise<CsvSource> {
    for await (const block of openText(name, encodingOf(name, choices), choices.note).blocks)
      for (const { text } of block)
        if (text.trim() !== "" && !text.startsWith("#"))
          return new CsvSource(name, text, targets, choices);
    return refuse(name, "it is empty");
  }

  share(): number {
    return this.opened?.share() ?? 0;
  }

  async *read(): AsyncGenerator<Item[], void, undefined> {
    const { time, zone } = this.choices;
    const { blocks, share } = openText(
      this.name,
      encodingOf(this.name, this.choices),
      () => undefined,
    );
    this.opened = { share };
    const readTime = timeReader(timeSchema.parse({ path: "time", format: time, zone }));
    const rows = new CsvRows(this.delimiter, true);
    // Of an hour that a clock shows twice, the one is meant that goes on from the row before.
    let before = BigInt(Date.now()) * 1_000_000n;
    let begun = false;
    let number = 0;
    const items = (found: ReturnType<CsvRows["read"]>): Item[] =>
      found.flatMap(({ cells, text }): Item[] => {
        if (!begun) {
          begun = true;
          return [];
        }
        return [
          itemOf((number += 1), text, () => {
            if (!cells) return bad("a quotation mark is not closed");
            if (cells.length !== this.width)
              bad(`it has ${cells.length} cells, and the header has ${this.width}`);
            const cell = cells[this.timeIndex] ?? "";
            const at = readTime([cell], before);
            if (at === undefined || !believable(at))
              return bad(`time is ${JSON.stringify(cell)}: write it as ${time}`);
            before = at;
            return { target: this.target, row: this.row(String(at), cells) };
          }),
        ];
      });
    for await (const block of blocks)
      yield items(rows.read(block.filter(({ text }) => begun || !text.startsWith("#"))));
    yield items(rows.end());
  }

  private row(time: string, cells: string[]): Row {
    const row: Row = { 0: time };
    for (const { index, at, read } of this.columns) {
      const cell = index < 0 ? "constant" : (cells[index] ?? "");
      if (cell !== "") row[at] = read(cell === emptyText ? "" : cell);
    }
    return row;
  }
}

/** An encoding, or undefined for what the bytes show. What an export wrote is UTF-8, with any character. */
function encodingOf(file: string, { encoding }: Choices): string | undefined {
  const folder = dirname(file);
  const isOwn =
    existsSync(folder) && readdirSync(folder).some((name) => name.endsWith(columnsName("")));
  return encoding ?? (isOwn ? "utf-8" : undefined);
}

/** A column's name, and the unit that stands behind it in brackets. */
function withoutUnit(cell: string): { name: string; unit?: string } {
  const [, name, unit] = /^(\S+) \[([^\]]*)\]$/.exec(cell) ?? [];
  return name === undefined || unit === undefined ? { name: cell } : { name, unit };
}

/** Units of the columns by the file that an export puts beside its files; none where there is none. */
function unitsBeside(file: string, measurement: string): Partial<Record<string, string>> {
  const path = join(dirname(file), columnsName(measurement));
  if (!existsSync(path)) return {};
  try {
    const { columns } = JSON.parse(readText(path)) as ColumnsFile;
    return Object.fromEntries(columns.map(({ name, unit }) => [name, unit ?? ""]));
  } catch (error) {
    throw new InputError(path, [`it is no file of columns: ${(error as Error).message}`]);
  }
}

/** The table of a file: the one that is named, the only one, or that of its name: `battery-2026-11-01.csv`. */
function targetOfFile(file: string, targets: Targets, chosen: string | undefined): Target {
  const declared = [...targets.values()].filter(({ measurement }) => measurement);
  const names = [...targets.keys()].sort((a, b) => b.length - a.length);
  const base = basename(file);
  const name =
    chosen ??
    names.find((each) => base.startsWith(`${each}-`) || base.startsWith(`${each}.`)) ??
    (declared.length === 1 ? declared[0]?.table.name : undefined);
  const target = name === undefined ? undefined : targets.get(name);
  return (
    target ??
    refuse(
      "the command line",
      `--measurement is ${chosen ?? "missing"}, and the name of ${file} tells no table: ` +
        `the site has ${targetNames(targets)}`,
    )
  );
}
