import { sqlName } from "../../configs/databases";
import type { Queries } from "../../fleet";
import { type Column, describeTable, type Row, rowsQuery, tableNames } from "../export/table";
import { secretIn } from "../options";
import { refuse } from "../replay/messages";
import { type Choices, type Item, itemOf, type Source, type Targets } from "./source";
import { readerOf, targetNames } from "./target";

/** Tags that Telegraf adds by itself. */
const addedByTelegraf = ["host", "topic"];

const day = 86_400;

/** A table of another InfluxDB 3, such as that of a former setup. */
export class FormerTable implements Source {
  private done = 0;

  private constructor(
    readonly name: string,
    private readonly database: Queries,
    private readonly columns: Column[],
    private readonly span: { from: number; to: number },
    private readonly make: (row: Row) => { target: NonNullable<Item["target"]>; row: Row },
  ) {}

  /**
   * The tables of a database that rows are imported from.
   * @throws InputError with each table and column that the site does not have.
   */
  static async all(
    database: Queries,
    targets: Targets,
    choices: Choices,
    span: { from: number; to: number },
  ): Promise<FormerTable[]> {
    const { map, ignore, measurement, note } = choices;
    const names = (await tableNames(database)).filter(
      (name) => !ignore.includes(name) && (measurement ?? name) === name,
    );
    if (names.length === 0) refuse("the database", "it has no table to import");
    const findings: string[] = [];
    const found: FormerTable[] = [];
    for (const name of names) {
      const target = targets.get(map[name] ?? name);
      if (!target) {
        findings.push(
          `table ${name}: the site has ${targetNames(targets)}; --map ${name}=TABLE says which it ` +
            `is, and --ignore ${name} leaves it out`,
        );
        continue;
      }
      const { columns } = await describeTable(database, name, target.measurement);
      const readers = columns.map((column) => {
        const called = map[column.name] ?? column.name;
        const at = target.table.columns.findIndex((each) => each.name === called);
        const own = target.table.columns[at];
        if (ignore.includes(column.name) || (!own && addedByTelegraf.includes(column.name)))
          return undefined;
        if (!own || own.kind !== column.kind) {
          findings.push(
            `${column.kind} ${column.name} of ${name}: ${target.table.name} has ` +
              `${target.table.columns.map((each) => each.name).join(", ")}; ` +
              `--map ${column.name}=NAME says what it is, and --ignore ${column.name} leaves it out`,
          );
          return undefined;
        }
        return { at: at + 1, read: readerOf(target, own, choices) };
      });
      const constant = target.table.columns.flatMap((column, i): [number, string][] => {
        const value = column.kind === "tag" ? choices.tags[column.name] : undefined;
        return value === undefined ? [] : [[i + 1, value]];
      });
      const limits = await limitsOf(database, name, span);
      if (!limits) {
        note(`table ${name} has no rows of this time`);
        continue;
      }
      found.push(
        new FormerTable(`table ${name}`, database, columns, limits, (row) => {
          const made: Row = { 0: row[0] ?? "" };
          for (const [at, value] of constant) made[at] = value;
          readers.forEach((reader, i) => {
            const value = row[i + 1];
            if (reader && value !== null && value !== undefined)
              made[reader.at] = reader.read(value);
          });
          return { target, row: made };
        }),
      );
    }
    if (findings.length > 0) refuse("the database", ...findings);
    return found;
  }

  share(): number {
    return this.done;
  }

  async *read(): AsyncGenerator<Item[], void, undefined> {
    const { from, to } = this.span;
    const table = { name: this.name.replace(/^table /, ""), columns: this.columns };
    let number = 0;
    this.done = 0;
    for (let at = from; at < to; at += day) {
      const query = rowsQuery(table, at, Math.min(to, at + day));
      for await (const lines of this.database.lines(query))
        yield lines.map((line) =>
          itemOf((number += 1), line, () => this.make(JSON.parse(line) as Row)),
        );
      this.done = (at + day - from) / (to - from);
    }
  }
}

/** Days from the first to the last row of a table within a span; undefined where there is none. */
async function limitsOf(
  database: Queries,
  table: string,
  span: { from: number; to: number },
): Promise<{ from: number; to: number } | undefined> {
  const seconds = (which: string) =>
    `CAST(floor(CAST(${which}(time) AS BIGINT) / 1000000000) AS BIGINT)`;
  const [answer] = await database.query<{ first: number | null; last: number | null }>(
    `SELECT ${seconds("min")} AS "first", ${seconds("max")} AS "last" FROM ${sqlName(table)}`,
  );
  const { first, last } = answer ?? {};
  if (first === null || first === undefined || last === null || last === undefined)
    return undefined;
  const from = Math.max(span.from, Math.floor(first / day) * day);
  const to = Math.min(span.to, Math.floor(last / day) * day + day);
  return from < to ? { from, to } : undefined;
}

/** The token of the other database: from a file, else from the environment. */
export function formerToken(file: string | undefined): string {
  if (file !== undefined) return secretIn("--token-file", file);
  return (
    process.env.INFLUXDB3_AUTH_TOKEN ??
    refuse(
      "the command line",
      "--token-file is missing: name a file with the other database's token, or put it into " +
        "INFLUXDB3_AUTH_TOKEN",
    )
  );
}
