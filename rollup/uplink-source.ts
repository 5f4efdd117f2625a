import { databases, pipelineRetention, sqlName } from "../configs/databases";
import type { Measurement } from "../configs/model";
import {
  rolledOf,
  type RollupConfig,
  type Span,
  statesColumns,
  statesTable,
  tiers,
} from "../configs/rollups";
import { pipelineMetrics, type UplinkConfig, uplinkTable } from "../configs/uplink";
import { durationSeconds } from "../configs/units";
import { type Database, sqlTime, type TableColumns } from "./database";
import type { TagValues } from "./lines";
import { type Unit, unitMinutes } from "./minutes";
import { type Note, Notes } from "./notes";
import { rawRows } from "./raw-rows";
import type { Aggregates, Bucket } from "./roll";
import { askAlerts, type SiteAlerts } from "./site-alerts";
import { tierRows } from "./tier-rows";
import type { FieldRow, UplinkSource, UplinkState, UplinkWork } from "./uplink";

/** Seconds before retention's end that nothing is read of any more. */
const margin = 3600;

/** Days that states are looked for. */
const stateDays = 8;

/** A site's InfluxDB, and the relay's notes, as what an uplink sends. */
export class DatabaseSource implements UplinkSource {
  private readonly noted: Notes;
  private raw: TableColumns = new Map();
  private minute: TableColumns = new Map();
  private pipeline: TableColumns = new Map();

  /** @param uplink of whose site the alerts are, and where they are read. */
  constructor(
    private readonly database: Database,
    private readonly authorization: string,
    private readonly config: RollupConfig,
    private readonly uplink: Pick<UplinkConfig, "site" | "grafana">,
    private readonly now: () => number = () => Date.now() / 1000,
  ) {
    this.noted = new Notes(config.notes, databases.telemetry);
  }

  notes(): Note[] {
    return this.noted.read();
  }

  rewind(since: number): void {
    this.noted.rewind(since);
  }

  async refresh(): Promise<void> {
    const columns = (db: string) => this.database.columns(this.authorization, db);
    this.raw = await columns(databases.telemetry);
    this.minute = await columns(tiers.minute.database);
    this.pipeline = await columns(databases.pipeline);
  }

  oldestRow(): number {
    return this.now() - durationSeconds(this.config.retention.raw) + margin;
  }

  oldest(): number {
    const minutes = this.now() - durationSeconds(this.config.retention.minute) + margin;
    return Math.min(this.oldestRow(), minutes);
  }

  minutes(m: Measurement, span: Span): AsyncIterable<Unit> {
    // Minutes whose rows retention has taken are in the rollups, complete for long.
    return span.start < this.oldestRow()
      ? this.rolledMinutes(m, span)
      : unitMinutes(this.database, this.authorization, this.raw, m, span);
  }

  private async *rolledMinutes(m: Measurement, span: Span): AsyncGenerator<Unit> {
    const { database, authorization, minute } = this;
    const count = rolledOf(m).length;
    const units = new Map<string, { tags: TagValues; buckets: Map<number, MadeBucket> }>();
    for await (const row of tierRows(database, authorization, minute, m, "minute", span)) {
      const key = row.tags.join("\0");
      let unit = units.get(key);
      if (!unit) units.set(key, (unit = { tags: row.tags, buckets: new Map() }));
      let bucket = unit.buckets.get(row.at);
      if (!bucket) {
        bucket = { at: row.at, values: Array.from({ length: count }), states: new Map() };
        unit.buckets.set(row.at, bucket);
      }
      if ("values" in row)
        for (const [i, value] of row.values.entries()) bucket.values[i] ??= value;
      else {
        const times = bucket.states.get(row.field) ?? new Map<string, number>();
        bucket.states.set(row.field, times.set(row.state, row.seconds));
      }
    }
    for (const { tags, buckets } of units.values()) yield { tags, buckets: [...buckets.values()] };
  }

  async *rows(m: Measurement, fields: readonly string[], span: Span): AsyncGenerator<FieldRow> {
    const at = fields.map((name) => m.fields.findIndex((field) => field.name === name));
    for await (const rows of rawRows(this.database, this.authorization, this.raw, m, span))
      for (const { tags, at: after, values } of rows)
        yield {
          tags,
          time: span.start * 1000 + Math.floor(after / 1e6),
          values: at.map((i) => (values[i] === undefined ? undefined : Number(values[i]))),
        };
  }

  async states(m: Measurement): Promise<[string, string][]> {
    const table = statesTable(m);
    if (!this.minute.has(table)) return [];
    const { field, state } = statesColumns;
    const since = sqlTime(this.now() - stateDays * 86_400);
    const sql = `SELECT DISTINCT ${field}, ${state} FROM ${sqlName(table)} WHERE time >= ${since} ORDER BY 1, 2`;
    const rows = await this.database.all(this.authorization, tiers.minute.database, sql);
    return rows.flatMap(([name, value]) => (name && value ? [[name, value]] : []));
  }

  async health(span: Span): Promise<{ metric: string; minute: number; value: number }[]> {
    const start = Math.max(span.start, this.now() - durationSeconds(pipelineRetention) + margin);
    const range = `time >= ${sqlTime(Math.ceil(start / 60) * 60)} AND time < ${sqlTime(span.end)}`;
    const parts = pipelineMetrics.flatMap(({ metric, table, field, where, sum }) => {
      const has = this.pipeline.get(table);
      if (!has?.has(field) || (where && !has.has(where[0]))) return [];
      const only = where ? ` AND ${sqlName(where[0])} = '${where[1]}'` : "";
      return [
        `SELECT '${metric}' AS metric, date_bin(INTERVAL '1 minute', time) AS minute, ` +
          `CAST(${sum ? "sum" : "max"}(${sqlName(field)}) AS DOUBLE) AS value ` +
          `FROM ${sqlName(table)} WHERE ${range}${only} GROUP BY 2`,
      ];
    });
    if (parts.length === 0 || start >= span.end) return [];
    const sql = `SELECT metric, CAST(minute AS BIGINT) / 1000000000, value FROM (${parts.join(" UNION ALL ")})`;
    const rows = await this.database.all(this.authorization, databases.pipeline, sql);
    return rows.flatMap(([metric = "", minute, value]) =>
      value ? [{ metric, minute: Number(minute), value: Number(value) }] : [],
    );
  }

  async alerts(): Promise<SiteAlerts | undefined> {
    const { site, grafana } = this.uplink;
    return grafana && askAlerts(site, grafana);
  }

  async load(): Promise<UplinkState | undefined> {
    if (!this.pipeline.has(uplinkTable)) return undefined;
    for (const days of [0.1, 1, 31]) {
      const sql =
        `SELECT until, noted, revised FROM ${sqlName(uplinkTable)} ` +
        `WHERE time >= ${sqlTime(this.now() - days * 86_400)} ORDER BY time DESC LIMIT 1`;
      const [row] = await this.database.all(this.authorization, databases.pipeline, sql);
      if (!row) continue;
      const [until, noted, revised = ""] = row;
      return { until: Number(until), noted: Number(noted), revised: JSON.parse(revised) as [] };
    }
    return undefined;
  }

  async save({ until, noted, revised }: UplinkState, work: UplinkWork): Promise<void> {
    const { lag, samples, refused, bytes, milliseconds } = work;
    const fields = [
      `until=${until}i`,
      `noted=${noted}i`,
      `revised="${JSON.stringify(revised)}"`,
      `lag=${lag}`,
      `samples=${samples}i`,
      `refused=${refused}i`,
      `bytes=${bytes}i`,
      `milliseconds=${Math.round(milliseconds)}i`,
    ];
    const line = `${uplinkTable} ${fields.join(",")} ${Math.floor(this.now())}\n`;
    await this.database.write(this.authorization, databases.pipeline, line);
  }
}

interface MadeBucket extends Bucket {
  values: (Aggregates | undefined)[];
  states: Map<string, Map<string, number>>;
}
