import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { startTable } from "../../configs/influxdb";
import { eventsTable, historyTable, logbookTables, stateTable } from "../../configs/logbook";
import { loadModel } from "../../configs/model";
import { retentionOf } from "../../configs/retention";
import { Database } from "../../rollup/database";
import { Logbook } from "../../rollup/logbook";
import { InfluxDb3 } from "../support/influxql";
import { influxdbMissing, temporaryFolder } from "../support/programs";

const model = loadModel("configs/telemetry.yaml");
const began = Date.UTC(2026, 10, 27, 12) / 1000;
const [user, password] = ["viewer", "password-of-a-test"];

interface Fires {
  id: string;
  at: number;
  severity?: string;
  unit?: string;
  kind?: string;
  muted?: boolean;
}

/** A stand-in for Grafana: its start, and the alerts of its Alertmanager, for one user alone. */
class StandInGrafana {
  start: number | undefined = began - 3600;
  alerts: Fires[] = [];
  answers = true;
  private readonly server: Server = createServer((request, response) => {
    if (!this.answers) response.destroy();
    else if (request.url === "/metrics" && this.start !== undefined)
      response.end(
        `# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds ${this.start}\n`,
      );
    else if (request.url !== "/api/alertmanager/grafana/api/v2/alerts")
      response.writeHead(404).end();
    else if (request.headers.authorization !== `Basic ${btoa(`${user}:${password}`)}`)
      response.writeHead(401).end();
    else response.end(JSON.stringify(this.alerts.map(told)));
  });
  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
  }
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }
  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

const told = ({
  id,
  at,
  severity = "warning",
  unit = "b1",
  kind = "BessOutOfRange",
  muted,
}: Fires) => ({
  fingerprint: id,
  startsAt: new Date(at * 1000).toISOString(),
  labels: { alertname: `${kind}BatteryVoltage`, kind, severity, unit },
  annotations: { summary: `Battery: ${id}` },
  status: { state: muted ? "suppressed" : "active" },
});

/** How alerts are followed. @param folder where the password is written. */
function followed({ url }: StandInGrafana, folder: string) {
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, password);
  return { source: { url, user, passwordFile }, settle: 120 };
}

type Row = Record<string, string | number>;

/** A logbook whose service begins. @param kept where it is written. @param notes its folder. */
const logbookOf = (
  kept: Pick<Kept, "database">,
  grafana: StandInGrafana,
  notes: string,
  {
    alerts = true,
    zone,
    log = () => undefined,
    now,
  }: { alerts?: boolean; zone?: string; log?: (line: string) => void; now: () => number },
) =>
  new Logbook({
    config: {
      model,
      retention: retentionOf({ profile: "pi", retention: "90d" }),
      influxdb: "",
      relay: "",
      tokenFile: "",
      notes,
      ...(zone !== undefined && { zone }),
    },
    logbook: { grafana: grafana.url, ...(alerts && { alerts: followed(grafana, notes) }) },
    database: kept.database,
    authorization: "Bearer none",
    log,
    now,
  });

/** A stand-in for InfluxDB: the lines of each table, in memory. */
class StandInDatabase extends Database {
  readonly tables = new Map<string, Row[]>();
  answers = true;
  constructor() {
    super("http://127.0.0.1:9");
  }
  override async write(_authorization: string, _db: string, lines: string): Promise<void> {
    if (!this.answers) throw new Error("InfluxDB does not answer");
    for (const text of lines.trimEnd().split("\n")) {
      const [, series = "", fields = "", time] = /^((?:\\.|[^ ])+) (.*) (\d+)$/.exec(text) ?? [];
      const [table = "", ...tags] = series.split(/(?<!\\),/);
      const row: Row = { time: Number(time), key: `${series} ${time}` };
      for (const tag of tags) row[tag.slice(0, tag.indexOf("="))] = tag.slice(tag.indexOf("=") + 1);
      for (const [, name = "", whole, string] of fields.matchAll(
        /(\w+)=(?:(-?\d+)i|"((?:\\.|[^"\\])*)")/g,
      ))
        row[name] = whole === undefined ? (string ?? "").replaceAll(/\\(.)/g, "$1") : Number(whole);
      // A point of the same tags and time takes the place of the one before.
      const others = (this.tables.get(table) ?? []).filter(({ key }) => key !== row.key);
      this.tables.set(table, [...others, row]);
    }
  }
  override async columns() {
    return new Map([...this.tables.keys()].map((table) => [table, new Map()]));
  }
  /** The queries that the logbook has: rows of one table within a time, the state's only the last. */
  override async all(_authorization: string, _db: string, sql: string): Promise<string[][]> {
    const [, select = "", table = ""] = /^SELECT (.*) FROM "([^"]+)"/.exec(sql) ?? [];
    const [, from] = /time >= '([^']+)'/.exec(sql) ?? [];
    const [, to] = /time <= '([^']+)'/.exec(sql) ?? [];
    const [, topic] = /"topic" = '([^']+)'/.exec(sql) ?? [];
    const found = (this.tables.get(table) ?? []).filter(
      (row) =>
        Number(row.time) * 1000 >= Date.parse(from ?? "") &&
        (to === undefined || Number(row.time) * 1000 <= Date.parse(to)) &&
        (topic === undefined || row.topic === topic),
    );
    const names = [...select.matchAll(/"(\w+)"/g)].map(([, name = ""]) => name);
    const rows = found.map((row) => [
      ...(select.startsWith("CAST") ? [String(row.time)] : []),
      ...names.map((name) => String(row[name] ?? "")),
    ]);
    return sql.includes("DESC LIMIT 1") ? rows.slice(-1) : rows;
  }
}

/** Where the rows of a test are kept, and asked. */
interface Kept {
  database: Database;
  /** All rows of a table, in the order of time. */
  rows: (of: { db: string; table: string }) => Promise<Row[]>;
  stop: () => Promise<void>;
}

async function inMemory(): Promise<Kept & { database: StandInDatabase }> {
  const database = new StandInDatabase();
  return {
    database,
    rows: async ({ table }) =>
      [...(database.tables.get(table) ?? [])].sort((a, b) => Number(a.time) - Number(b.time)),
    stop: async () => undefined,
  };
}

async function onInfluxDb(): Promise<Kept> {
  const influxdb = await InfluxDb3.start();
  return {
    database: new Database(influxdb.url),
    rows: async ({ db, table }) => {
      const query = new URLSearchParams({
        db,
        q: `SELECT *, CAST(time AS BIGINT) / 1000000000 AS seconds_ FROM "${table}" ORDER BY time`,
        format: "json",
      });
      const response = await fetch(`${influxdb.url}/api/v3/query_sql?${query}`);
      if (!response.ok) return [];
      const rows = (await response.json()) as Row[];
      return rows.map(({ seconds_ = 0, ...row }) => ({ ...row, time: seconds_ }));
    },
    stop: () => influxdb.stop(),
  };
}

const kinds: [string, typeof describe, () => Promise<Kept>][] = [
  ["a database in memory", describe, inMemory],
  [
    `the real InfluxDB 3${influxdbMissing ? `: ${influxdbMissing}` : ""}`,
    influxdbMissing ? describe.skip : describe,
    onInfluxDb,
  ],
];

for (const [name, described, make] of kinds)
  described(`a site's logbook, on ${name}`, () => {
    let kept: Kept;
    let grafana: StandInGrafana;
    let notes: ReturnType<typeof temporaryFolder>;
    let now: number;
    let logbook: Logbook;
    let log: string[];

    /** The service starts anew: what was in its memory is gone. */
    const start = (more: { zone?: string; alerts?: boolean } = {}) => {
      logbook = logbookOf(kept, grafana, notes.path, {
        ...more,
        log: (line) => log.push(line),
        now: () => now,
      });
    };

    /** Time passes, a look at a time. */
    const pass = async (seconds = 10) => {
      for (const end = now + seconds; now < end;) {
        now += 10;
        await logbook.pass();
      }
    };
    const state = async () => (await kept.rows(stateTable)).at(-1);
    const over = async () =>
      (await kept.rows(historyTable)).map(({ id, begin, seconds }) => [
        id,
        Number(begin) / 1000 - began,
        seconds,
      ]);
    const events = async (kind: string) =>
      (await kept.rows(eventsTable))
        .filter((row) => row.kind === kind)
        .map(({ of, time }) => [of, Number(time) - began]);

    beforeEach(async () => {
      kept = await make();
      grafana = new StandInGrafana();
      await grafana.listen();
      notes = temporaryFolder();
      [now, log] = [began, []];
      start();
    });
    afterEach(async () => {
      grafana.close();
      notes.remove();
      await kept.stop();
    });

    test("says the gravest alert, of which unit and since when, and how many more", async () => {
      await pass();
      expect(await state()).toMatchObject({ level: 0, state: "Normal", what: "No alert fires" });
      grafana.alerts = [
        { id: "old", at: began - 86_400 },
        { id: "bad", at: began + 5, severity: "critical", unit: "b2" },
        { id: "dog", at: began - 100, severity: "info", kind: "BessWatchdog" },
      ];
      await pass();
      expect(await state()).toMatchObject({
        level: 3,
        count: 2,
        state: "Critical since 12:00 UTC",
        what: "Battery: bad (b2); and 1 more",
      });
      grafana.alerts = grafana.alerts.slice(0, 1);
      await pass();
      expect(await state()).toMatchObject({ state: "Warning since 26 Nov, 12:00 UTC", count: 1 });
    });

    test("takes the site's time, and puts what is muted last", async () => {
      start({ zone: "Europe/Berlin" });
      grafana.alerts = [
        { id: "known", at: began, severity: "critical", muted: true },
        { id: "new", at: began + 1, unit: "all" },
      ];
      await pass();
      expect(await state()).toMatchObject({
        state: "Warning since 13:00",
        what: "Battery: new; and 1 more",
      });
      grafana.alerts.pop();
      await pass();
      expect((await state())?.what).toBe("Battery: known (b1), muted");
    });

    test("keeps each alert that is over, with how long it lasted", async () => {
      grafana.alerts = [{ id: "a", at: began }];
      await pass(60);
      expect(await over()).toEqual([]);
      grafana.alerts = [];
      await pass();
      expect(await over()).toEqual([["a", 0, 60]]);
      const [row] = await kept.rows(historyTable);
      expect(row).toMatchObject({
        severity: "warning",
        unit: "b1",
        alert: "BessOutOfRangeBatteryVoltage",
        what: "Battery: a",
      });
      // It comes again, and once more between two looks.
      grafana.alerts = [{ id: "a", at: began + 75 }];
      await pass(20);
      grafana.alerts = [{ id: "a", at: began + 95 }];
      await pass(10);
      expect(await over()).toEqual([
        ["a", 0, 60],
        ["a", 75, 15],
      ]);
    });

    test("believes a Grafana that was started anew once each rule was evaluated", async () => {
      grafana.alerts = [
        { id: "ends", at: began },
        { id: "stays", at: began },
      ];
      await pass(20);
      grafana.start = now;
      grafana.alerts = [];
      await pass(100);
      grafana.alerts = [{ id: "stays", at: began }];
      expect(await over()).toEqual([]);
      expect((await state())?.count).toBe(2);
      await pass(30);
      expect(await over()).toEqual([["ends", 0, 20]]);
      expect((await state())?.count).toBe(1);
    });

    test("waits as long where Grafana tells nothing of itself", async () => {
      grafana.start = undefined;
      grafana.alerts = [{ id: "ends", at: began }];
      await pass(60);
      grafana.alerts = [];
      await pass(50);
      expect(await state()).toMatchObject({ level: 2, count: 1 });
      await pass(30);
      expect(await state()).toMatchObject({ level: 0, count: 0 });
      expect(await over()).toEqual([["ends", 0, 60]]);
    });

    test("says that nobody watches while Grafana is away, and ends no alert for it", async () => {
      grafana.alerts = [{ id: "a", at: began }];
      await pass();
      grafana.answers = false;
      await pass(600);
      expect(await state()).toMatchObject({ level: 4, state: "Unknown since 12:00 UTC" });
      expect(log).toEqual(["alerts are not known: Grafana does not answer"]);
      grafana.answers = true;
      await pass();
      expect(await state()).toMatchObject({ level: 2, count: 1 });
      expect(await over()).toEqual([]);
    });

    test("goes on after a start of its own: what ended meanwhile is over since it was last seen", async () => {
      grafana.alerts = [
        { id: "ends", at: began },
        { id: "stays", at: began },
      ];
      await pass(60);
      now += 7200;
      grafana.alerts = [{ id: "stays", at: began }];
      start();
      await pass();
      expect((await over()).map(([id, begin]) => [id, begin])).toEqual([["ends", 0]]);
      expect(Number((await over())[0]?.[2])).toBeLessThanOrEqual(60);
      expect(await state()).toMatchObject({ count: 1, state: "Warning since 12:00 UTC" });
    });

    test("tells an unchanged state once a minute", async () => {
      await pass(300);
      expect((await kept.rows(stateTable)).length).toBe(5);
    });

    test("tells which service was started, and when", async () => {
      const rows = [
        `internal_agent metrics_gathered=900i ${began - 30}`,
        `internal_agent metrics_gathered=5i ${began + 20}`,
        `internal_agent metrics_gathered=9i ${began + 30}`,
        `mosquitto,topic=$SYS/broker/messages/received value=70i ${began + 10}`,
        `mosquitto,topic=$SYS/broker/messages/received value=80i ${began + 20}`,
        `mosquitto,topic=$SYS/broker/other value=1i ${began + 25}`,
        `${startTable} set_aside=0i,milliseconds=5i ${began + 40}`,
      ];
      await kept.database.write("Bearer none", stateTable.db, `${rows.join("\n")}\n`);
      await pass(130);
      expect(await events("start")).toEqual([
        ["Grafana", -3600],
        ["Rollups", 0],
        ["Telegraf", 20],
        ["InfluxDB", 40],
      ]);
    });

    test("tells of which time rows came late, once no more come", async () => {
      const [start1, start2] = [began - 7200, began - 6600];
      const file = join(notes.path, "2026-11-27");
      mkdirSync(notes.path, { recursive: true });
      const lines = [
        // Of the block that is now, of one that is just over, and of two that have long been over.
        [began, "battery", began],
        [began, "battery", began - 600],
        [began, "battery", start1],
        [began + 10, "battery", start2],
        [began + 10, "pcs", start2],
        // What the process before has told of.
        [began - 5000, "pcs", began - 20_000],
      ];
      writeFileSync(file, lines.map(([at, of, block]) => `${at} bess ${of} ${block}\n`).join(""));
      await pass(60);
      expect(await events("backlog")).toEqual([]);
      await pass(90);
      expect(await events("backlog")).toEqual([
        ["battery", -7200],
        ["pcs", -6600],
      ]);
      const [row] = (await kept.rows(eventsTable)).filter(({ kind }) => kind === "backlog");
      expect(row).toMatchObject({
        until: (began - 6000) * 1000,
        text: "Battery: rows from here to 10:20 UTC came later, the last at 12:00 UTC",
      });
    });

    test("follows no alerts where they are off", async () => {
      start({ alerts: false });
      grafana.alerts = [{ id: "a", at: began }];
      await pass(70);
      expect(await kept.rows(stateTable)).toEqual([]);
      expect((await events("start")).map(([of]) => of)).toEqual(["Grafana", "Rollups"]);
    });
  });

test("keeps what a database that is away could not take", async () => {
  const kept = await inMemory();
  const grafana = new StandInGrafana();
  await grafana.listen();
  const notes = temporaryFolder();
  try {
    let now = began;
    const logbook = logbookOf(kept, grafana, notes.path, { now: () => now });
    grafana.alerts = [{ id: "a", at: began }];
    await logbook.pass();
    kept.database.answers = false;
    grafana.alerts = [];
    now += 10;
    await expect(logbook.pass()).rejects.toThrow("InfluxDB does not answer");
    kept.database.answers = true;
    now += 10;
    await logbook.pass();
    expect((await kept.rows(historyTable)).map(({ id, seconds }) => [id, seconds])).toEqual([
      ["a", 0],
    ]);
  } finally {
    grafana.close();
    notes.remove();
  }
});

test("its tables have the columns that it writes", () => {
  const named = logbookTables.map(({ table, tags, fields }) => [
    table,
    [...tags, ...fields.map(([name]) => name)],
  ]);
  expect(named).toEqual([
    ["alert_state", ["level", "count", "state", "what", "open"]],
    ["alert-history", ["severity", "alert", "unit", "id", "begin", "seconds", "what"]],
    ["events", ["kind", "of", "until", "text"]],
  ]);
});
