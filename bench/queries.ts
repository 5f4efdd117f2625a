import { readdirSync } from "node:fs";
import { loadavg } from "node:os";
import { isDeepStrictEqual } from "node:util";
import { program } from "commander";
import { databases } from "../configs/databases";
import { type Field, loadModel, type Measurement } from "../configs/model";
import {
  holdSeconds,
  rolledOf,
  rollupsTable,
  type Tier,
  tiers,
  tierTables,
  windowOf,
} from "../configs/rollups";
import { dashboards, queriesOf, sources } from "../dashboards";
import {
  type Bucket,
  layoutOf,
  line,
  MergedBuckets,
  RowBuckets,
  seriesOf,
  type TagValues,
  TierLines,
  type Value,
} from "../rollup";
import { influxdb3, until } from "../tests/support/programs";
import { RolledSite } from "../tests/support/rolled-site";
import { secondsOf } from "./measuring";
import { processorSeconds, residentMiB, writtenBytes } from "./processes";

/** Days of hours: more than a year's queries need, and fewer than are kept, for nobody could wait for all. */
const hourDays = 400;

interface Options {
  units: number;
  rawDays: number;
  years: number;
  limit: number;
  ranges: string[];
}

const hour = 3600;
const day = 24 * hour;

/** Time ranges of Grafana's picker, in seconds. */
const ranges = {
  "1 h": hour,
  "24 h": day,
  "7 d": 7 * day,
  "30 d": 30 * day,
  "90 d": 90 * day,
  "1 y": 365 * day,
  "10 y": 3650 * day,
};

/** Width of a panel: Grafana asks for at most a value a pixel. */
const pixels = 1000;

/** Grafana's intervals in ms, each with the raw one below which it is taken. */
const intervals = [
  [1500, 1000],
  [3500, 2000],
  [7500, 5000],
  [12_500, 10_000],
  [17_500, 15_000],
  [25_000, 20_000],
  [45_000, 30_000],
  [90_000, 60_000],
  [210_000, 120_000],
  [450_000, 300_000],
  [750_000, 600_000],
  [1_050_000, 900_000],
  [1_500_000, 1_200_000],
  [2_700_000, 1_800_000],
  [5_400_000, 3_600_000],
  [9_000_000, 7_200_000],
  [16_200_000, 10_800_000],
  [32_400_000, 21_600_000],
  [86_400_000, 43_200_000],
  [604_800_000, 86_400_000],
  [1_814_400_000, 604_800_000],
] as const;

/** Seconds of a bucket that Grafana asks for: its roundInterval. */
const intervalOf = (range: number): number =>
  (intervals.find(([below]) => (range * 1000) / pixels < below)?.[1] ?? 0) / 1000;

const model = loadModel("configs/telemetry.yaml");

/** What a unit measures at a moment, with the digits that meters send. */
function valueOf({ type, range = [0, 100] }: Field, at: number, phase: number): Value {
  const wave = Math.sin(at / 7000 + phase) + Math.sin(at * (phase + 1)) / 10;
  if (type === "string") return wave > 0.5 ? "discharging" : wave < -0.5 ? "charging" : "standby";
  if (type === "bool") return String(wave > 0);
  const [low, high] = range;
  const value = (low + high) / 2 + (wave * (high - low)) / 2.5;
  return type === "int" ? Math.round(value) : Math.round(value * 1000) / 1000;
}

const tagsOf = ({ name, tags }: Measurement, unit: number): TagValues =>
  tags.map((_, i) => `${i === 0 ? name : "unit"}-${unit}`);

const rowOf = ({ fields }: Measurement, unit: number, at: number): Value[] =>
  fields.map((field, i) => valueOf(field, at, unit + i / 10));

function rawLine(m: Measurement, series: string, values: readonly Value[], at: number): string {
  const fields = m.fields.map(({ name, type }, i) => {
    const value = values[i] ?? 0;
    return `${name}=${type === "string" ? `"${value}"` : type === "int" ? `${value}i` : value}`;
  });
  return `${series} ${fields.join(",")} ${at}\n`;
}

/**
 * Writes many lines into a database: beside the relay, whose notes would have all of them rolled up, and
 * several bodies at once, since each is answered at InfluxDB's next flush.
 */
class Loader {
  lines = 0;
  private body: string[] = [];
  private bytes = 0;
  private failure: Error | undefined;
  private readonly sending = new Set<Promise<void>>();

  constructor(
    private readonly site: RolledSite,
    private readonly db: string,
  ) {}

  add(text: string): void {
    this.body.push(text);
    this.bytes += text.length;
    this.lines += 1;
  }

  /** Sends what is enough. @param all even if it is little. */
  async flush(all = false): Promise<void> {
    if (this.bytes > (all ? 0 : 6_000_000)) {
      const made = this.send(this.body.join(""))
        .catch((error: Error) => void (this.failure ??= error))
        .finally(() => this.sending.delete(made));
      this.sending.add(made);
      [this.body, this.bytes] = [[], 0];
    }
    if (all) await Promise.all(this.sending);
    else if (this.sending.size >= 4) await Promise.race(this.sending);
    if (this.failure) throw this.failure;
  }

  private async send(body: string): Promise<void> {
    const { url, token } = this.site;
    const path = `/api/v3/write_lp?db=${this.db}&precision=second`;
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${url}${path}`, { method: "POST", headers, body });
    if (!answer.ok) throw new Error(`${this.db}: ${await answer.text()}`);
  }
}

/** When what begins and ends, in seconds since 1970. */
interface Times {
  /** Of the hours and days. */
  oldest: number;
  /** Of the rows and the minutes. */
  raw: number;
  /** Of the rows by the second, which the roller has yet to roll up. */
  fine: number;
  /** Of what the roller can roll up. */
  sealed: number;
  end: number;
}

function timesOf({ rawDays, years }: Options): Times {
  const end = Math.floor(Date.now() / 1000);
  const sealed = windowOf("minute", end - 130).start;
  const before = (days: number) => Math.floor(end / day - days) * day;
  return { oldest: before(years * 365), raw: before(rawDays), fine: sealed - day, sealed, end };
}

/** Fills the tiers by the roller's own functions, and the rows. */
async function fill(site: RolledSite, options: Options, times: Times): Promise<string> {
  const { oldest, raw, fine, end } = times;
  const rows = new Loader(site, databases.telemetry);
  const loaders: Record<Tier, Loader> = {
    minute: new Loader(site, tiers.minute.database),
    hour: new Loader(site, tiers.hour.database),
    day: new Loader(site, tiers.day.database),
  };
  const hourEnd = windowOf("hour", fine).start;
  const dayEnd = windowOf("day", fine).start;
  const hoursSince = end - hourDays * day;
  const subjects = model.measurements.flatMap((m) =>
    Array.from({ length: options.units }, (_, i) => ({ m, unit: i + 1, tags: tagsOf(m, i + 1) })),
  );
  const put = (tier: Tier, m: Measurement, tags: TagValues, buckets: Bucket[]) => {
    const lines = new TierLines(m, rolledOf(m), tier, tierTables(m));
    for (const { at, values, states } of buckets) {
      for (const point of lines.values(tags, at, values)) loaders[tier].add(line(point));
      for (const [field, lasted] of states)
        for (const [state, seconds] of lasted)
          loaders[tier].add(line(lines.state(tags, at, field, state, seconds)));
    }
  };
  const merged = (seconds: number, m: Measurement, buckets: Bucket[]) => {
    const made = new MergedBuckets(rolledOf(m), seconds);
    for (const { at, values, states } of buckets) {
      made.merge(at, values);
      for (const [field, lasted] of states)
        for (const [state, time] of lasted) made.mergeState(at, field, state, time);
    }
    return made.buckets;
  };
  for (let start = oldest; start < fine; start += day) {
    const span = { start, end: Math.min(start + day, fine) };
    // Older rows were there only for the hours and days that are made of them.
    const step = start >= raw ? 60 : start >= hoursSince ? hour : 6 * hour;
    for (const { m, unit, tags } of subjects) {
      const made = new RowBuckets(rolledOf(m), tiers.minute.seconds, span, holdSeconds(m));
      const series = seriesOf(m.name, m, tags);
      for (let at = span.start; at < span.end; at += step) {
        const values = rowOf(m, unit, at);
        made.add((at - span.start) * 1e9, values);
        if (start >= raw) rows.add(rawLine(m, series, values, at));
      }
      const minutes = made.buckets;
      if (start >= raw) put("minute", m, tags, minutes);
      if (span.end <= hourEnd) {
        const hours = merged(tiers.hour.seconds, m, minutes);
        if (start >= hoursSince) put("hour", m, tags, hours);
        if (span.end <= dayEnd) put("day", m, tags, merged(tiers.day.seconds, m, hours));
      }
      for (const loader of [rows, ...Object.values(loaders)]) await loader.flush();
    }
  }
  for (let at = fine; at < end; at += 1) {
    for (const { m, unit, tags } of subjects)
      rows.add(rawLine(m, seriesOf(m.name, m, tags), rowOf(m, unit, at), at));
    if (at % 600 === 0) await rows.flush();
  }
  for (const loader of [rows, ...Object.values(loaders)]) await loader.flush(true);
  return (
    `${rows.lines} rows, ` +
    Object.entries(loaders)
      .map(([tier, { lines }]) => `${lines} by the ${tier}`)
      .join(", ")
  );
}

const parquetFiles = (site: RolledSite): number =>
  readdirSync(site.data, { recursive: true, encoding: "utf8" }).filter((f) =>
    f.endsWith(".parquet"),
  ).length;

/** Waits until InfluxDB has filed what it was given: while it does, a query can lack rows (seen with 3.10.1). */
async function settled(site: RolledSite): Promise<void> {
  let [files, since] = [-1, 0];
  await until(
    "InfluxDB has filed what was loaded",
    async () => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const now = parquetFiles(site);
      since = now === files ? since : Date.now();
      files = now;
      return Date.now() - since > 10_000;
    },
    300,
  );
}

/** What the processes have used, in s of a processor and bytes written. */
const usage = ({ pids: { database, rollup } }: RolledSite) => ({
  database: processorSeconds(database),
  rollup: processorSeconds(rollup),
  written: writtenBytes(database),
});

/** Has the program roll up a day of rows by the second. */
async function rollDay(site: RolledSite, { fine, sealed }: Times): Promise<void> {
  const now = Math.floor(Date.now() / 1000);
  const fields = [
    `until=${fine}i`,
    `noted=${now}i`,
    `layout="${layoutOf(model)}"`,
    "blocks=0i,rows=0i,milliseconds=0i,lag=0",
  ];
  await site.write([`${rollupsTable} ${fields.join(",")} ${now}`], databases.pipeline);
  const rollup = site.startRollup();
  const before = usage(site);
  const seconds = await secondsOf(() =>
    until(
      () => `a day is rolled up: ${rollup.output}`,
      async () => {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        const q = `SELECT max("until") AS "until" FROM ${rollupsTable}`;
        const [row] = await site.sql(databases.pipeline, q);
        return Number(row?.until) >= sealed;
      },
      300,
    ),
  );
  const after = usage(site);
  console.log(
    `a day by the second is rolled up in ${seconds.toFixed(0)} s, half of them rest: ` +
      `${(after.rollup - before.rollup).toFixed(1)} s of processor in the rollups' program, ` +
      `${(after.database - before.database).toFixed(1)} s in InfluxDB, which wrote ` +
      `${((after.written - before.written) / 1e6).toFixed(0)} MB; ${memory(site)}`,
  );
}

function memory({ pids: { database, rollup } }: RolledSite): string {
  const [db, own] = [residentMiB(database), residentMiB(rollup)];
  return `MiB: InfluxDB ${db.now}, ${db.most} at most; rollups ${own.now}, ${own.most} at most`;
}

type Series = { tags?: Record<string, string>; values: (string | number | null)[][] };
interface Answer {
  error?: string;
  results?: { error?: string; series?: Series[] }[];
}

/** Queries of all lines of the overview, as Grafana sends them. */
function overviewQueries(range: number, end: number): string[] {
  const [overview] = dashboards(model);
  if (!overview) throw new Error("there is no overview");
  const filter = `time >= ${(end - range) * 1000}ms AND time <= ${end * 1000}ms`;
  return queriesOf(overview)
    .filter(({ datasource }) => datasource === sources.rollups)
    .map(({ query }) =>
      query
        .replaceAll("$timeFilter", filter)
        .replaceAll("$__interval", `${intervalOf(range)}s`)
        .replaceAll(/\/\^\$\w+\$\//g, "/^.*$/"),
    );
}

interface Measured {
  seconds: number;
  /** Seconds of a processor in InfluxDB, and in the rollups' program. */
  database: number;
  rollup: number;
  /** Queries that rollups answered. */
  rolled: number;
  answers: Answer[];
}

/** Asks all queries at once. Undefined where that takes longer than the limit. */
async function ask(
  site: RolledSite,
  of: "database" | "reader",
  queries: string[],
  limit: number,
): Promise<Measured | undefined> {
  const before = usage(site);
  const signal = AbortSignal.timeout(limit * 1000);
  try {
    let all: Awaited<ReturnType<RolledSite["influxQl"]>>[] = [];
    const seconds = await secondsOf(async () => {
      all = await Promise.all(queries.map((q) => site.influxQl(of, q, {}, signal)));
    });
    const after = usage(site);
    const answers = all.map(({ answer }) => answer as Answer);
    for (const { error, results } of answers) {
      const message = error ?? results?.[0]?.error;
      if (message !== undefined) throw new Error(`${of}: ${message}`);
    }
    return {
      seconds,
      database: after.database - before.database,
      rollup: after.rollup - before.rollup,
      rolled: all.filter(({ source }) => source === "rollups").length,
      answers,
    };
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

const seriesIn = (answers: readonly Answer[]) =>
  answers.map(({ results }) => results?.[0]?.series ?? []);

/** Values that are answered. */
const pointsIn = (answers: readonly Answer[]): number =>
  seriesIn(answers)
    .flat()
    .reduce((sum, { values }) => sum + values.length, 0);

/** The series of one answer that differ from those of the other by more than the order of a sum: each with its first such row. */
function differences(queries: readonly string[], a: readonly Answer[], b: readonly Answer[]) {
  const near = (x: unknown, y: unknown) =>
    isDeepStrictEqual(x, y) ||
    (typeof x === "number" &&
      typeof y === "number" &&
      Math.abs(x - y) <= 1e-9 * Math.abs(x) + 1e-9);
  const [left, right] = [seriesIn(a), seriesIn(b)];
  return queries.flatMap((query, i) => {
    const [mine = [], theirs = []] = [left[i], right[i]];
    const all = [...mine, ...theirs.filter((each) => !mine.some((own) => sameTags(own, each)))];
    return all.flatMap((one) => {
      const [x, y] = [mine, theirs].map((of) => of.find((each) => sameTags(each, one))?.values);
      const rows = Math.max(x?.length ?? 0, y?.length ?? 0);
      const at = Array.from({ length: rows }, (_, row) => row).find((row) => {
        const [own, other] = [x?.[row] ?? [], y?.[row] ?? []];
        return own.length !== other.length || !own.every((value, j) => near(value, other[j]));
      });
      if (at === undefined) return [];
      const [own, other] = [x?.[at], y?.[at]].map((values) => JSON.stringify(values));
      return [
        `${query} of ${JSON.stringify(one.tags)}: row ${at} of ${rows} is ${own}, InfluxDB's ${other}`,
      ];
    });
  });
}

const sameTags = (a: Pick<Series, "tags">, b: Pick<Series, "tags">): boolean =>
  isDeepStrictEqual(a.tags, b.tags);

const header = ["range", "interval", "queries", "points", "rollups", "CPU", "raw", "CPU", "ratio"];
const widths = [6, 8, 8, 8, 16, 14, 8, 8, 6];
const row = (cells: readonly (string | number)[]) =>
  cells.map((cell, i) => String(cell).padStart(widths[i] ?? 0)).join("  ");

/** Asks for a range of both. @returns whether the reader answers the same as InfluxDB does. */
async function measure(
  site: RolledSite,
  name: keyof typeof ranges,
  { rawDays, limit }: Options,
  end: number,
): Promise<boolean> {
  const range = ranges[name];
  const queries = overviewQueries(range, end);
  const samples: Measured[] = [];
  for (let i = 0; i < 2; i += 1) {
    const made = await ask(site, "reader", queries, 300);
    if (!made) throw new Error(`${name}: the reader has not answered in 300 s`);
    samples.push(made);
  }
  const [first, again] = samples;
  if (!first || !again) throw new Error("nothing was measured");
  const isRaw = range <= rawDays * day;
  const raw = isRaw ? await ask(site, "database", queries, limit) : undefined;
  const s = (seconds: number) => `${seconds.toFixed(2)} s`;
  console.log(
    row([
      name,
      `${intervalOf(range)} s`,
      `${first.rolled}/${queries.length}`,
      pointsIn(first.answers),
      `${s(first.seconds)} ${s(again.seconds)}`,
      `${s(again.database)} + ${again.rollup.toFixed(2)}`,
      ...(raw
        ? [s(raw.seconds), s(raw.database), (raw.seconds / again.seconds).toFixed(1)]
        : [
            isRaw ? `> ${limit} s` : "no rows",
            "",
            isRaw ? `> ${(limit / again.seconds).toFixed(0)}` : "",
          ]),
    ]),
  );
  const different = raw ? differences(queries, first.answers, raw.answers) : [];
  if (different.length > 0)
    console.log(`${different.length} series DIFFER from InfluxDB's, the first: ${different[0]}`);
  return different.length === 0;
}

async function benchmark(options: Options): Promise<boolean> {
  const { rawDays, years, units } = options;
  const retention = {
    raw: `${rawDays + 1}d`,
    minute: "366d",
    hour: `${years * 365 + 1}d`,
    day: `${years * 365 + 1}d`,
  };
  const site = await RolledSite.make(model, retention, {
    // What is loaded in minutes comes to files as what came over months.
    options: { "--wal-snapshot-size": "20" },
  });
  try {
    const times = timesOf(options);
    let written = "";
    const seconds = await secondsOf(async () => {
      written = await fill(site, options, times);
    });
    await settled(site);
    console.log(
      `${units} units in each of ${model.measurements.length} tables; rows: each second since ` +
        `${new Date(times.fine * 1000).toISOString()}, before that each minute of ${rawDays} days; ` +
        `minutes of ${rawDays} days, hours of ${hourDays}, days of ${years} years: ${written}; written in ` +
        `${seconds.toFixed(0)} s, ${parquetFiles(site)} Parquet files`,
    );
    await rollDay(site, times);
    console.log(`\nall lines of the overview at once, ${pixels} px: first, and again`);
    console.log(row(header));
    let equal = true;
    for (const name of Object.keys(ranges) as (keyof typeof ranges)[])
      if (ranges[name] <= years * 365 * day && options.ranges.includes(name))
        equal = (await measure(site, name, options, times.end)) && equal;
    console.log(`${memory(site)}; load ${loadavg()[0]?.toFixed(1)}`);
    return equal;
  } finally {
    await site.close();
  }
}

program
  .name("npm run bench:queries --")
  .description(
    "Asks what the overview asks, of ranges from an hour to ten years: of the rollups' real program, and " +
      "of the real InfluxDB 3 directly. Needs InfluxDB 3 on the PATH or at BESS_INFLUXDB3.",
  )
  .option("--units <n>", "units in each table", Number, 4)
  .option("--raw-days <n>", "days of rows and of minutes", Number, 30)
  .option("--years <n>", "years of days", Number, 10)
  .option("--limit <seconds>", "how long InfluxDB is asked at most", Number, 60)
  .option("--ranges <ranges...>", "ranges that are asked for", Object.keys(ranges))
  .action(async (options: Options) => {
    if (!influxdb3()) throw new Error("nothing to measure here: InfluxDB 3 is missing");
    process.exit((await benchmark(options)) ? 0 : 1);
  })
  .parseAsync()
  .catch((error: Error) => (console.error(error.message), process.exit(1)));
