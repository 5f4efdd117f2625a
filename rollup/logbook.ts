import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { blockSeconds, databases, noting, sqlName } from "../configs/databases";
import { watchdog } from "../configs/grafana";
import {
  eventsTable,
  historyTable,
  type LogbookConfig,
  stateTable,
  stateWords,
  wordOf,
} from "../configs/logbook";
import type { RollupConfig, Span } from "../configs/rollups";
import { startTable } from "../configs/influxdb";
import { severities, type Severity } from "../configs/watch";
import { type Database, sqlTime } from "./database";
import { rowLine } from "./lines";
import { type Note, Notes } from "./notes";
import { joined } from "./spans";

/** What a logbook is kept with. */
export interface LogbookOptions {
  config: RollupConfig;
  logbook: LogbookConfig;
  database: Database;
  /** Value of the header that InfluxDB is asked and written with. */
  authorization: string;
  log: (line: string) => void;
  /** Seconds since 1970. Default: the clock. */
  now?: () => number;
}

/** An alert that fires. Times are seconds since 1970. */
interface Alert {
  /** Grafana's fingerprint of its labels. */
  id: string;
  rule: string;
  unit: string;
  severity: Severity;
  what: string;
  began: number;
  /** When it was last told of. */
  seen: number;
  muted: boolean;
}

/** An alert as Grafana's Alertmanager tells it. */
interface ToldAlert {
  fingerprint: string;
  startsAt: string;
  labels: Partial<Record<string, string>>;
  annotations: Partial<Record<string, string>>;
  status: { state: string };
}

/** Seconds between two looks at the alerts; between two rows of an unchanged state; and of the rest. */
const [look, tell, seldom] = [10, 60, 60];

/** Alerts that a state names one by one: the gravest. A text of InfluxDB's has 64 KB at most. */
const mostOpen = 150;

/** Seconds behind the end of a block from which on rows of it are late: a gateway's hiccup is none. */
const late = 300;

/** Seconds before the service's start in which a restart or late rows are looked for. */
const before = 900;

/** The services that tell by a counter, which begins at 0 again, that they were started. */
const counters = [
  { of: "Telegraf", table: "internal_agent", field: "metrics_gathered", where: "" },
  {
    of: "Mosquitto",
    table: "mosquitto",
    field: "value",
    where: ` AND "topic" = '$SYS/broker/messages/received'`,
  },
] as const;

/** What a path of Grafana's answers. */
async function asked(url: string, path: string, headers: Record<string, string> = {}) {
  const signal = AbortSignal.timeout(5000);
  const answer = await fetch(new URL(path, url), { headers, signal }).catch(() => {
    throw new Error("Grafana does not answer");
  });
  if (!answer.ok) throw new Error(`Grafana answers ${answer.status} to ${path}`);
  return answer.text();
}

/** Keeps a site's logbook. Nothing else depends on it. */
export class Logbook {
  private open = new Map<string, Alert>();
  private isLoaded = false;
  /** Lines that are to be written, by their database. */
  private readonly waiting = new Map<string, string[]>();
  private told = { state: "", what: "", at: 0 };
  /** Since when Grafana does not answer. */
  private away: number | undefined;
  /** Since when it has answered each time. */
  private answering: number | undefined;
  private grafanaStart = 0;
  private looked: number;
  /** Notes before it are another process's; seconds since 1970. */
  private readonly since: number;
  private readonly notes: Notes;
  /** Blocks with late rows, by the table, and when the last one was noted. */
  private readonly lateBlocks = new Map<string, Set<number>>();
  private lastLate = 0;
  private readonly now: () => number;

  constructor(private readonly options: LogbookOptions) {
    this.now = options.now ?? (() => Date.now() / 1000);
    this.notes = new Notes(options.config.notes, databases.telemetry);
    const began = this.now();
    this.looked = this.since = began - before;
    this.notes.rewind(this.since);
    this.started("Rollups", began);
  }

  /** Keeps it until it is told to stop. What fails is tried again. */
  async run(signal: AbortSignal): Promise<void> {
    let told = "";
    while (!signal.aborted) {
      try {
        await this.pass();
        told = "";
      } catch (error) {
        const { message } = error as Error;
        if (message !== told) this.options.log(`the logbook waits: ${message}`);
        told = message;
      }
      await sleep(look * 1000, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One look at all that it tells of. */
  async pass(): Promise<void> {
    const now = this.now();
    const start = await this.startOfGrafana();
    if (start !== undefined && start !== this.grafanaStart)
      this.started("Grafana", (this.grafanaStart = start));
    const { alerts } = this.options.logbook;
    if (alerts) {
      if (!this.isLoaded) await this.load();
      await this.askAll(now, start, alerts).catch((error: Error) => {
        if (this.away === undefined) this.options.log(`alerts are not known: ${error.message}`);
        this.away ??= now;
        this.answering = undefined;
      });
      this.tellState(now);
    }
    if (now - this.looked >= seldom) {
      await this.lookForStarts(now);
      this.lookForLateRows(now);
      this.looked = now;
    }
    await this.write();
  }

  /** When Grafana was started; undefined where it does not tell, as without its own metrics. */
  private async startOfGrafana(): Promise<number | undefined> {
    const { grafana } = this.options.logbook;
    const text = await asked(grafana, "/metrics").catch(() => undefined);
    const [, seconds] = /^process_start_time_seconds (\S+)$/m.exec(text ?? "") ?? [];
    return seconds === undefined ? undefined : Math.floor(Number(seconds));
  }

  /**
   * Asks for the alerts that fire, muted ones too, and follows them.
   * @param start when Grafana was started. What is missing before each rule was evaluated is not over.
   */
  private async askAll(
    now: number,
    start: number | undefined,
    { source, settle }: NonNullable<LogbookConfig["alerts"]>,
  ): Promise<void> {
    const password = readFileSync(source.passwordFile, "utf8").trimEnd();
    const authorization = `Basic ${Buffer.from(`${source.user}:${password}`).toString("base64")}`;
    const path = "/api/alertmanager/grafana/api/v2/alerts";
    const told = JSON.parse(await asked(source.url, path, { authorization })) as ToldAlert[];
    const found = told
      .filter(({ labels }) => labels.kind !== watchdog)
      .map(({ fingerprint, startsAt, labels, annotations, status }) => ({
        id: fingerprint,
        rule: labels.alertname ?? "",
        unit: labels.unit ?? "",
        severity: severities.find((name) => name === labels.severity) ?? "warning",
        what: annotations.summary ?? labels.alertname ?? "",
        began: Math.floor(Date.parse(startsAt) / 1000),
        seen: now,
        muted: status.state === "suppressed",
      }));
    this.away = undefined;
    this.answering ??= now;
    this.follow(found, now - (start ?? this.answering) >= settle);
  }

  /** @param settled whether what is missing is over. */
  private follow(found: readonly Alert[], settled: boolean): void {
    const ids = new Set(found.map(({ id }) => id));
    for (const [id, alert] of this.open) {
      if (ids.has(id) || !settled) continue;
      this.end(alert);
      this.open.delete(id);
    }
    for (const alert of found) {
      const known = this.open.get(alert.id);
      // It ended between two looks, and began again.
      if (known && alert.began > known.seen) this.end(known);
      this.open.set(alert.id, alert);
    }
  }

  /** An alert is over since it was last told of: also one that ended while nobody looked. */
  private end({ id, rule, unit, severity, what, began, seen }: Alert): void {
    const tags = { severity, alert: rule, unit, id };
    const end = Math.max(began, Math.floor(seen));
    this.put(historyTable, tags, { begin: began * 1000, seconds: end - began, what }, end);
  }

  /** All that fires, the gravest first, and of these the oldest. */
  private get gravest(): Alert[] {
    const rank = ({ severity, muted }: Alert) => severities.indexOf(severity) + (muted ? 3 : 0);
    return [...this.open.values()].sort((a, b) => rank(a) - rank(b) || a.began - b.began);
  }

  private tellState(now: number): void {
    const { level, state, what } = this.state();
    const isNew = state !== this.told.state || what !== this.told.what;
    if (!isNew && now - this.told.at < tell) return;
    const open = JSON.stringify(this.gravest.slice(0, mostOpen));
    this.put(stateTable, {}, { level, count: this.open.size, state, what, open }, now);
    this.told = { state, what, at: now };
  }

  /** How the site is, in words. */
  private state(): { level: number; state: string; what: string } {
    const since = (word: (typeof stateWords)[number], at: number, what: string) => ({
      level: stateWords.indexOf(word),
      state: `${word} since ${this.clock(at)}`,
      what,
    });
    if (this.away !== undefined)
      return since("Unknown", this.away, "Grafana does not answer: no alert is evaluated");
    const [worst, ...others] = this.gravest;
    if (!worst) return { level: 0, state: stateWords[0], what: "No alert fires" };
    const { severity, began, what, unit, muted } = worst;
    const of = unit === "" || unit === "all" ? "" : ` (${unit})`;
    const quiet = muted ? ", muted" : "";
    const more = others.length > 0 ? `; and ${others.length} more` : "";
    return since(wordOf[severity], began, `${what}${of}${quiet}${more}`);
  }

  /** A time as people of the site read it; with its day, where that is not today. */
  private clock(at: number): string {
    const { zone: timeZone = "UTC" } = this.options.config;
    const day = { day: "numeric", month: "short" } as const;
    const of = (seconds: number, format: Intl.DateTimeFormatOptions) =>
      new Intl.DateTimeFormat("en-GB", { timeZone, ...format }).format(seconds * 1000);
    const isToday = of(at, day) === of(this.now(), day);
    const time = of(at, {
      ...(!isToday && day),
      hour: "2-digit",
      minute: "2-digit",
      ...(this.options.config.zone === undefined && { timeZoneName: "short" }),
    });
    return time.replace(" at ", ", ");
  }

  /** Goes on where the process before has ended. */
  private async load(): Promise<void> {
    const { database, authorization } = this.options;
    const { db, table } = stateTable;
    const columns = await database.columns(authorization, db);
    for (const days of columns.has(table) ? [0.1, 1, 31] : []) {
      const sql =
        `SELECT "open" FROM ${sqlName(table)} WHERE time >= ${sqlTime(this.now() - days * 86_400)} ` +
        `ORDER BY time DESC LIMIT 1`;
      const [row] = await database.all(authorization, db, sql);
      if (!row) continue;
      for (const alert of JSON.parse(row[0] || "[]") as Alert[]) this.open.set(alert.id, alert);
      break;
    }
    this.isLoaded = true;
  }

  /** Looks which services were started since the last time. */
  private async lookForStarts(now: number): Promise<void> {
    const { database, authorization } = this.options;
    const columns = await database.columns(authorization, databases.pipeline);
    const since = this.looked - 60;
    const rows = (select: string, table: string, where = "") =>
      columns.has(table)
        ? database.all(
            authorization,
            databases.pipeline,
            `SELECT CAST(time AS BIGINT) / 1000000000${select} FROM ${sqlName(table)} ` +
              `WHERE time >= ${sqlTime(since)} AND time <= ${sqlTime(now)}${where} ORDER BY 1`,
          )
        : [];
    for (const [time] of await rows("", startTable)) this.started("InfluxDB", Number(time));
    for (const { of, table, field, where } of counters) {
      let last = 0;
      for (const [time, value] of await rows(`, ${sqlName(field)}`, table, where)) {
        if (Number(value) < last) this.started(of, Number(time));
        last = Number(value);
      }
    }
  }

  private started(of: string, at: number): void {
    const text = of === "Rollups" ? "The rollups' service was started" : `${of} was started`;
    this.put(eventsTable, { kind: "start", of }, { text }, at);
  }

  /** Looks for rows that came long after their time, and tells of them once no more come. */
  private lookForLateRows(now: number): void {
    const isLate = ({ noted, block }: Note) =>
      noted >= this.since && noted - (block + blockSeconds) > late;
    for (const { table, block, noted } of this.notes.read().filter(isLate)) {
      this.lateBlocks.set(table, (this.lateBlocks.get(table) ?? new Set()).add(block));
      this.lastLate = Math.max(this.lastLate, noted);
    }
    if (now - this.lastLate < 3 * noting.seconds) return;
    const titles = new Map(this.options.config.model.measurements.map((m) => [m.name, m.title]));
    for (const [table, blocks] of this.lateBlocks) {
      const spans = [...blocks].map((start): Span => ({ start, end: start + blockSeconds }));
      for (const { start, end } of joined(spans)) {
        const came = `came later, the last at ${this.clock(this.lastLate)}`;
        const text = `${titles.get(table) ?? table}: rows from here to ${this.clock(end)} ${came}`;
        this.put(eventsTable, { kind: "backlog", of: table }, { until: end * 1000, text }, start);
      }
    }
    this.lateBlocks.clear();
  }

  private put(
    { db, table }: { db: string; table: string },
    tags: Record<string, string>,
    fields: Record<string, number | string>,
    at: number,
  ): void {
    const lines = this.waiting.get(db) ?? [];
    const line = rowLine(table, tags, fields, Math.floor(at));
    // A database that is long away must not fill the memory.
    this.waiting.set(db, [...lines.slice(-1000), line]);
  }

  /** Writes what waits; what is refused or not answered waits on. */
  private async write(): Promise<void> {
    const { database, authorization } = this.options;
    for (const [db, lines] of this.waiting) {
      await database.write(authorization, db, lines.join(""));
      this.waiting.delete(db);
    }
  }
}
