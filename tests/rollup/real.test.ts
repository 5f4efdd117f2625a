import { spawnSync } from "node:child_process";
import { databases } from "../../configs/databases";
import { loadModel, type Measurement } from "../../configs/model";
import { rolledOf, rollupsTable, type Tier, tiers, windowOf } from "../../configs/rollups";
import { influxdb3, influxdbMissing as missing, until } from "../support/programs";
import { RolledSite } from "../support/rolled-site";
import { differenceIn, type Expected, expectedOf, keyOf, type Row } from "./expected";

/** Why points cannot be written over; undefined where they can. */
const old = overwrites() ? undefined : "until InfluxDB 3.11.4 either of two rows of one time won";
const model = loadModel("configs/telemetry.yaml");
const retention = { raw: "40d", minute: "365d", hour: "3650d", day: "3650d" };
const day = 86_400;
const now = Math.floor(Date.now() / 1000);
/** Before this all is over: the window that runs now has begun. */
const sealed = windowOf("minute", now - 120).start;

function overwrites(): boolean {
  if (missing) return false;
  const { stdout } = spawnSync(influxdb3() ?? "", ["--version"], { encoding: "utf8" });
  const [, major, minor, patch] = /(\d+)\.(\d+)\.(\d+)/.exec(stdout) ?? [];
  return Number(major) * 1e6 + Number(minor) * 1e3 + Number(patch) >= 3_011_004;
}

/** Random numbers that are the same in each run. */
let seed = 42;
function random(): number {
  seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
  return seed / 2 ** 31;
}
const anyOf = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;

/** All rows that were written, by table, unit and time: a later one takes an earlier one's place. */
const rows = new Map<string, Map<string, Row>>(
  model.measurements.map(({ name }) => [name, new Map()]),
);

const units: Record<string, Record<string, string>[]> = {
  bess: [{ id: "b 1" }, { id: "b2" }],
  battery: [{ id: "k1", group_id: "b 1" }, { id: "k,2" }],
  pcs: [{ id: "p1", group_id: "b2" }],
};

function makeRow(m: Measurement, tags: Record<string, string>, time: number): Row {
  const values: Row["values"] = {};
  for (const { name, type } of m.fields)
    if (random() < 0.97)
      values[name] =
        type === "string"
          ? anyOf(["on", "off", 'say "no"'])
          : Math.round(random() * 1e6 - 2e5) / 1000;
  if (Object.keys(values).length === 0) values[m.fields[0]?.name ?? ""] = type0(m);
  return { tags, time, values };
}
const type0 = (m: Measurement) => (m.fields[0]?.type === "string" ? "on" : 1.5);

/** Rows of all units in a span, `step` seconds apart. */
function makeRows(m: Measurement, start: number, end: number, step: number): Row[] {
  const made: Row[] = [];
  for (let time = start; time < end; time += step)
    for (const tags of units[m.name] ?? []) made.push(makeRow(m, tags, time));
  return made;
}

const escaped = (text: string) => text.replaceAll(/[, =]/g, (c) => `\\${c}`);
const lineOf = (m: Measurement, { tags, time, values }: Row): string =>
  [
    [m.name, ...Object.entries(tags).map(([name, value]) => `${name}=${escaped(value)}`)].join(","),
    Object.entries(values)
      .map(([name, v]) => `${name}=${typeof v === "string" ? `"${v.replaceAll('"', '\\"')}"` : v}`)
      .join(","),
    time,
  ].join(" ");

let site: RolledSite;

/** Writes rows as Telegraf does, and remembers them. A row's values come over those of an earlier one. */
async function write(start: number, end: number, step: number): Promise<void> {
  known.clear();
  for (const m of model.measurements) {
    const made = makeRows(m, start, end, step);
    await site.write(made.map((row) => lineOf(m, row)));
    for (const row of made) {
      const key = keyOf(row.tags, row.time);
      const all = rows.get(m.name);
      all?.set(key, { ...row, values: { ...all.get(key)?.values, ...row.values } });
    }
  }
}

/** What each table's tiers must hold, until more is written. */
const known = new Map<string, Record<Tier, Expected>>();

/** What a table's tiers must hold by now. */
function expected(m: Measurement): Record<Tier, Expected> {
  const made = known.get(m.name) ?? expectedOf(m, [...(rows.get(m.name)?.values() ?? [])], sealed);
  known.set(m.name, made);
  return made;
}

/** The first difference between what a tier holds and what it must, in words; undefined where there is none. */
async function difference(): Promise<string | undefined> {
  for (const m of model.measurements) {
    const first = await differenceIn((db, q) => site.sql(db, q), m, expected(m));
    if (first) return first;
  }
  return undefined;
}

async function untilEqual(seconds: number): Promise<void> {
  let first: string | undefined;
  await until(
    () => `each rollup is what its rows give: ${first}\n${rollupOutput()}`,
    async () => {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return (first = await difference()) === undefined;
    },
    seconds,
  );
}

let running: ReturnType<RolledSite["startRollup"]>;
const rollupOutput = () => running.output;

/** The last that the roller has recorded. */
const record = async () =>
  (await site.sql("pipeline", "SELECT * FROM rollups ORDER BY time DESC LIMIT 1"))[0] ?? {};

const yesterday = Math.floor(now / day) * day - 2 * day;
/** In the month before, so that its days are over. */
const lastMonth = windowOf("day", sealed).start - 3 * day;

(missing ? describe.skip : describe)(
  `rollups on the real InfluxDB${missing ? `: ${missing}` : ""}`,
  () => {
    beforeAll(async () => {
      site = await RolledSite.make(model, retention);
      await write(yesterday, yesterday + 25 * 3600, 120);
      await write(lastMonth + 20 * 3600, lastMonth + 26 * 3600, 60);
      await write(now - 8 * 3600, now, 30);
      running = site.startRollup();
    }, 600_000);
    afterAll(async () => {
      await site?.close();
    });

    test("are filled from what a site has", async () => {
      await untilEqual(240);
      expect(await record()).toMatchObject({ until: sealed, lag: 0 });
      expect(await site.status("/health")).toBe(200);
    }, 600_000);

    test("follow a backlog of a day", async () => {
      await write(yesterday - day, yesterday, 240);
      await untilEqual(240);
    }, 600_000);

    test("do not change when their program starts again, and write nothing anew", async () => {
      const files = await site.sql(
        tiers.minute.database,
        "SELECT count(*) AS n FROM system.parquet_files",
      );
      await site.stopRollup();
      running = site.startRollup();
      const began = Date.now() / 1000;
      await until(
        "a record",
        async () => Date.parse(`${String((await record()).time)}Z`) / 1000 >= began - 1,
        60,
      );
      expect(await record()).toMatchObject({ rows: 0 });
      expect(
        await site.sql(tiers.minute.database, "SELECT count(*) AS n FROM system.parquet_files"),
      ).toEqual(files);
      expect(await difference()).toBeUndefined();
    }, 120_000);

    test("survive kill -9 of their program and of the database in the middle", async () => {
      await write(yesterday - 2 * day, yesterday - day, 240);
      const before = String((await record()).time);
      await until(
        "the work has begun",
        async () => {
          const [{ n = 0 } = {}] = await site.sql(
            tiers.minute.database,
            `SELECT count(*) AS n FROM battery WHERE _at < ${yesterday - day}000000000 AND _at >= ${yesterday - 2 * day}000000000`,
          );
          return Number(n) > 0;
        },
        60,
      );
      await site.stopRollup("SIGKILL");
      expect(before).not.toBe("");
      running = site.startRollup();
      await new Promise((resolve) => setTimeout(resolve, 3000));
      await site.killDatabase();
      await new Promise((resolve) => setTimeout(resolve, 2000));
      expect(running.exitCode).toBeNull();
      await site.startDatabase();
      await untilEqual(240);
    }, 600_000);

    test("answer what InfluxDB answers, from its rows", async () => {
      const intervals = [
        "1m",
        "2m",
        "5m",
        "10m",
        "30m",
        "1h",
        "2h",
        "6h",
        "12h",
        "1d",
        "1w",
        "45s",
        "90s",
      ];
      let answered = 0;
      for (let i = 0; i < 40; i += 1) {
        const m = anyOf(model.measurements);
        const numbers = rolledOf(m).filter(({ type, terms }) => type === "float" && !terms);
        const texts = m.fields.filter(({ type }) => type === "string");
        const start = lastMonth * 1000 + Math.floor(random() * (now - lastMonth) * 1000);
        const end = start + Math.floor(random() ** 3 * (now * 1000 - start)) + 3_600_000;
        const range = `time >= ${start}ms AND time ${anyOf(["<=", "<"])} ${end}ms`;
        const chosen = anyOf([
          "",
          "",
          ` AND "id" =~ /^.*$/`,
          ` AND id =~ /1/`,
          ` AND id != 'k1'`,
          ` AND id !~ /^k,2$/`,
        ]);
        const tags = m.tags.map(({ name }) => `"${name}"`).join(", ");
        const interval = anyOf(intervals);
        const byUnit = random() < 0.7;
        const by = `GROUP BY time(${interval})${byUnit ? `, ${tags}` : ""}${anyOf(["", " fill(null)", " fill(none)"])}`;
        const aggregates = ["mean", "min", "max", "sum", "count", ...(byUnit ? ["last"] : [])];
        const one = (k: number) =>
          texts.length > 0 && random() < 0.3
            ? `${byUnit ? anyOf(["last", "count"]) : "count"}("${anyOf(texts).name}") AS c${k}`
            : `${anyOf(aggregates)}("${anyOf(numbers).name}")${anyOf(["", " * -1", ` + count("${anyOf(numbers).name}")`])} AS c${k}`;
        const query =
          m.name === "pcs" && random() < 0.5
            ? `SELECT mean("power") AS "power", max("power") AS high, min("power") FROM ` +
              `(SELECT "ac_a_voltage" * "ac_a_current" + "ac_b_voltage" * "ac_b_current" + "ac_c_voltage" * "ac_c_current" AS "power" ` +
              `FROM "pcs" WHERE ${range}${chosen} GROUP BY ${tags}) WHERE ${range} ${by}`
            : `SELECT ${[1, 2, 3].map(one).join(", ")} FROM "${m.name}" WHERE ${range}${chosen} ${by}`;
        const epoch = anyOf(["ms", "s", "ns"]);
        const { answer, source } = await site.influxQl("reader", query, { epoch });
        if (source === "rollups") answered += 1;
        const of = await site.influxQl("database", query, { epoch });
        expect({ query, answer: rounded(answer) }).toEqual({ query, answer: rounded(of.answer) });
      }
      expect(answered).toBeGreaterThan(15);
    }, 600_000);

    (old ? test.skip : test)(
      `follow a replay of last month and a correction${old ? `: ${old}` : ""}`,
      async () => {
        await write(lastMonth + 24 * 3600, lastMonth + 27 * 3600, 40);
        // Other values and modes at times that are there.
        await write(yesterday + 5 * 3600, yesterday + 5 * 3600 + 1200, 60);
        await untilEqual(240);
      },
      600_000,
    );

    test("pass on what they cannot answer, with the client's own rights", async () => {
      const query = `SELECT mean(soc) FROM battery WHERE time >= ${yesterday}s AND time < ${now}s GROUP BY time(1h)`;
      for (const q of [
        "SHOW TAG VALUES FROM battery WITH KEY = id",
        `${query}; ${query}`,
        "SELECT nonsense",
      ]) {
        const passed = await site.influxQl("reader", q);
        expect(passed.source).toBeNull();
        expect(rounded(passed.answer)).toEqual(
          rounded((await site.influxQl("database", q)).answer),
        );
      }
      const path = `/query?db=bess&q=${encodeURIComponent(query)}`;
      expect(await site.status(path)).toBe(200);
      expect(await site.status(path, { authorization: "Bearer wrong" })).toBe(401);
      expect(await site.status(path, {})).toBe(401);
      expect(await site.status("/ping")).toBe(200);
    });
  },
);

(missing ? describe.skip : describe)(
  `the rollups of a site of a former version${missing ? `: ${missing}` : ""}`,
  () => {
    let former: RolledSite;
    beforeAll(async () => {
      former = await RolledSite.make(model, retention);
    }, 60_000);
    afterAll(() => former?.close());

    test("go on from its record, which lacks what is recorded since", async () => {
      const { start } = windowOf("minute", sealed - 1);
      const record = `${rollupsTable} until=${start}i,noted=${start}i,layout="former"`;
      await former.write([`${record} ${now}`], databases.pipeline);
      await former.write([`battery,id=b1 soc=50.5 ${start}`, `battery,id=b1 soc=51 ${start + 1}`]);
      const rollup = former.startRollup();
      const minutes = () =>
        former.sql(tiers.minute.database, `SELECT soc_count, soc_sum FROM battery WHERE _at >= 0`);
      await until(
        () => `the window is rolled up: ${rollup.output}`,
        async () => (await minutes()).length > 0,
        60,
      );
      expect(await minutes()).toEqual([{ soc_count: 2, soc_sum: 101.5 }]);
    }, 90_000);
  },
);

/** Numbers as they are to nine digits: InfluxDB's own sums differ from one query to the next. */
function rounded(value: unknown): unknown {
  if (typeof value === "number")
    return Number.isInteger(value) ? value : Number(value.toPrecision(9));
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, rounded(each)]));
  return value;
}
