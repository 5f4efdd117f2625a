import { queryScript, type Schema } from "../configs/influxdb";
import {
  type CopiedTable,
  copyReport,
  type CopyReport,
  copyScript,
  type CopyPlace,
  declarationOf,
  deleteTablesScript,
  makeTablesScript,
  type MigrationChoices,
  type MigrationPlan,
  noteScript,
  planMigration,
  unconvertedSql,
} from "../configs/migration";
import type { EnginePlace } from "../configs/ssh";
import { type Standing, standingOf, tablesScript } from "../configs/tables";
import { besideEngine } from "./engine";

/**
 * Runs a script beside a database, and gives what it prints.
 * @param heard each line of it, as it comes.
 * @throws Error with the last line of its standard error.
 */
export type RunScript = (
  program: "bash" | "perl",
  script: string,
  heard?: (line: string) => void,
) => Promise<string>;

/**
 * Runs scripts beside a site's engine, for as long as they take.
 * @param lead what stands before a script's program.
 */
export const scriptsBeside =
  (place: EnginePlace, lead = ""): RunScript =>
  (program, script, heard = () => undefined) => {
    let rest = "";
    const onOutput = (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      lines.forEach(heard);
    };
    const line = `${lead}${program} ${program === "bash" ? "-s" : "-"}`;
    return besideEngine(place, line, script, { seconds: 0, onOutput });
  };

/** Runs scripts in the container of a site's database. */
export const inDatabase = (place: EnginePlace, site: string): RunScript =>
  scriptsBeside(place, `docker exec -i ${site}-influxdb `);

/** Values of a column that have no counterpart in its new type. */
export interface Unconverted {
  table: CopiedTable;
  column: string;
  values: { value: string; count: number; first: string; last: string }[];
}

/** How far a copy has come. */
export type Progress = (table: CopiedTable, rows: number, of: number) => void;

const all = async <T, R>(list: readonly T[], work: (entry: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = [];
  // One after the other: the site has more to do.
  for (const entry of list) results.push(await work(entry));
  return results;
};

/** Brings the tables of a site's database into the shape that the model has. */
export class Migration {
  /**
   * @param run where the database is.
   * @param place where scripts find it there. Default: the paths of its container.
   */
  constructor(
    private readonly run: RunScript,
    private readonly wanted: Schema,
    private readonly place?: CopyPlace,
  ) {}

  private get api() {
    return this.place && { adminToken: this.place.adminToken, port: this.place.port };
  }

  /** The tables that are there. */
  async look(): Promise<Standing> {
    const script = tablesScript(
      this.wanted,
      this.place && {
        adminToken: this.place.adminToken,
        port: this.place.port,
        data: this.place.data,
      },
    );
    const standing = standingOf(await this.run("bash", script));
    if (!standing) throw new Error("InfluxDB did not tell its tables");
    return standing;
  }

  /** @throws InputError where what was chosen does not fit. */
  async plan(choices: MigrationChoices): Promise<MigrationPlan> {
    return planMigration(await this.look(), this.wanted, choices);
  }

  /** Values that the new shape cannot hold, of tables whose rows of before lie there already. */
  async unconverted({ filled, swapped }: MigrationPlan): Promise<Unconverted[]> {
    const sources = new Map(swapped.map(({ kept, wanted }) => [kept.to, wanted.table]));
    const found = await all(filled, (table) =>
      all(
        table.columns.filter(({ converts }) => converts),
        async (column): Promise<Unconverted> => {
          const from = sources.get(table.from) ?? table.from;
          const sql = unconvertedSql({ ...table, from }, column);
          const answer = await this.run("bash", queryScript(table.db, sql, this.api));
          const values = JSON.parse(answer) as Unconverted["values"];
          return { table, column: column.converts?.column ?? column.name, values };
        },
      ),
    );
    return found.flat().filter(({ values }) => values.length > 0);
  }

  /**
   * Keeps what is there under other names, while rows still come. What came meanwhile is copied by
   * {@link swap}.
   */
  async keep({ swapped, filled }: MigrationPlan, progress?: Progress): Promise<void> {
    for (const table of filled) await this.run("bash", noteScript(table, false, this.place));
    for (const { kept } of swapped) {
      await this.run("bash", makeTablesScript([declarationOf(kept)], this.api));
      await this.copy(kept, "mirror", progress);
    }
  }

  /** Puts new tables in the place of those that are kept. Nothing may write to them meanwhile. */
  async swap({ swapped, missing }: MigrationPlan, progress?: Progress): Promise<CopyReport[]> {
    const reports = await all(swapped, ({ kept }) => this.copy(kept, "final", progress));
    for (const { wanted, kept } of swapped) {
      const former = { db: kept.db, table: kept.from };
      await this.run("bash", deleteTablesScript([former], "default", this.place));
      await this.run("bash", makeTablesScript([wanted], this.api));
    }
    if (missing.length > 0) await this.run("bash", makeTablesScript(missing, this.api));
    return reports;
  }

  /** Copies the rows of before into the new tables, while new ones come. */
  fill({ filled }: MigrationPlan, progress?: Progress): Promise<CopyReport[]> {
    return all(filled, async (table) => {
      const report = await this.copy(table, "fill", progress);
      await this.run("bash", noteScript(table, true, this.place));
      return report;
    });
  }

  /** Deletes what was kept. */
  async drop({ kept }: Pick<MigrationPlan, "kept">): Promise<void> {
    if (kept.length > 0) await this.run("bash", deleteTablesScript(kept, "now", this.place));
  }

  private async copy(
    table: CopiedTable,
    how: "mirror" | "final" | "fill",
    progress: Progress = () => undefined,
  ): Promise<CopyReport> {
    const printed = await this.run("perl", copyScript(table, how, this.place), (line) => {
      const [what, rows, of] = line.split("\t");
      if (what === "progress") progress(table, Number(rows), Number(of));
    });
    return copyReport(table, printed);
  }
}

/** Services that write telemetry, and may not while a table is swapped. */
const writers = ["telegraf", "rollup"];

/** Stops or starts the services of a site that write telemetry; one that a site does not have is left out. */
export async function switchWriters(
  place: EnginePlace,
  site: string,
  to: "stop" | "start",
): Promise<void> {
  const lines = writers.map(
    (service) =>
      `! docker container inspect ${site}-${service} > /dev/null 2>&1 || docker ${to} ${site}-${service} > /dev/null`,
  );
  await besideEngine(place, lines.map((line) => `{ ${line}; }`).join(" && "));
}
