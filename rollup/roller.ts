import { sqlName } from "../configs/databases";
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { blockSeconds, databases } from "../configs/influxdb";
import type { Measurement, Model } from "../configs/model";
import {
  atColumn,
  chunkSeconds,
  dueSeconds,
  holdSeconds,
  rolledOf,
  type RollupConfig,
  rollupsTable,
  type Span,
  type Tier,
  tierNames,
  tiers,
  tierTables,
  windowOf,
} from "../configs/rollups";
import { dayAt, performanceTable } from "../configs/performance";
import { durationSeconds } from "../configs/units";
import type { Day } from "../configs/zones";
import { type Database, sqlTime, type TableColumns } from "./database";
import { line, type Point, type TagValues, TierLines } from "./lines";
import { type Unit, unitMinutes } from "./minutes";
import { type Note, Notes } from "./notes";
import { pointOf, reckonDay, reckoningOf, runIn, storedDays } from "./performance";
import { MergedBuckets } from "./roll";
import { byWindow, joined } from "./spans";
import { tierRows } from "./tier-rows";

/** What the roller works with. */
export interface RollerOptions {
  config: RollupConfig;
  database: Database;
  /** Value of the header that it asks and writes with. */
  authorization: string;
  log: (line: string) => void;
  /** Seconds since 1970. Default: the clock. */
  now?: () => number;
  /** Seconds of rest for each second of work on what has long been over. Default: 1. */
  rest?: number | undefined;
}

/** What the roller has done since it last told of it. */
interface Work {
  blocks: number;
  rows: number;
  milliseconds: number;
}

/** A day that rows were written into after it was reckoned. */
interface ChangedDay {
  m: Measurement;
  day: Day;
  /** When that was first and last noted, in seconds since 1970. */
  first: number;
  last: number;
}

/** Bytes of line protocol that are written at once. */
const mostBytes = 500_000;

/** Seconds after which a block is rolled up once more: two of InfluxDB's snapshots. */
const lookSeconds = 2 * blockSeconds;

/** Rows that are few, and many, to be read at once. */
const [fewRows, manyRows] = [5000, 40_000];

/** After how many waits for a note a day is reckoned anew: once it is quiet, and at the latest. */
const [quietNotes, mostNotes] = [5, 60];

/** How far behind retention's end rows are taken, in seconds: none of a span may be gone. */
const margin = 3600;

/** Seconds between two records of how far the rollups are, where nothing happens. */
const recordSeconds = 600;

/** Text that changes with what is rolled up of a model. */
export function layoutOf({ measurements }: Model): string {
  const rolled = measurements.map((m) => [m.name, m.interval, rolledOf(m)]);
  return createHash("sha256").update(JSON.stringify(rolled)).digest("hex").slice(0, 16);
}

/** Keeps the tiers equal to the rows: new windows, and those that changed later. */
export class Roller {
  /** Before this moment the minutes are complete; seconds since 1970. Undefined until {@link load}. */
  until: number | undefined;
  /** What the tiers' databases have. */
  readonly columns: Record<Tier, TableColumns> = {
    minute: new Map(),
    hour: new Map(),
    day: new Map(),
  };
  /** When it last came a step on, in seconds since 1970. */
  alive = 0;
  /** Where a second round over all rows is, after a change of what is rolled up. */
  private again: number | undefined;
  /** What the database of the rows has. */
  raw: TableColumns = new Map();
  private readonly notes: Notes;
  private waiting: Note[] = [];
  /** Days before this moment were reckoned; seconds since 1970. */
  private reckoned = 0;
  /** Days that changed since, by the table and their beginning. */
  private readonly changed = new Map<string, ChangedDay>();
  private readonly rolledAt = new Map<string, number>();
  private seen: { table: string; block: number; again: number }[] = [];
  private work: Work = { blocks: 0, rows: 0, milliseconds: 0 };
  private recorded = 0;
  private told: number | undefined;
  private blocks = 0;
  /** Rows that were read. */
  private read = 0;
  /** Seconds of rows that are read at once, by the table. */
  private readonly lengths = new Map<string, number>();
  private readonly now: () => number;
  private readonly due: { note: number; window: number };

  constructor(private readonly options: RollerOptions) {
    this.now = options.now ?? (() => Date.now() / 1000);
    this.due = options.config.due ?? dueSeconds;
    this.notes = new Notes(options.config.notes, databases.telemetry);
  }

  /** Rolls up until it is told to stop. What fails is tried again. */
  async run(signal: AbortSignal): Promise<void> {
    let pause = 1;
    let told = "";
    while (!signal.aborted) {
      try {
        if (this.until === undefined) await this.load();
        await this.pass(signal);
        pause = 1;
        told = "";
        await sleep(Math.min(30, this.due.note / 2) * 1000, undefined, { signal });
      } catch (error) {
        if (signal.aborted) return;
        const { message } = error as Error;
        if (message !== told) this.options.log(`rollups wait: ${message}`);
        told = message;
        await sleep(pause * 1000, undefined, { signal }).catch(() => undefined);
        pause = Math.min(60, pause * 2);
      }
    }
  }

  /** Learns how far the rollups are. */
  async load(): Promise<void> {
    const now = this.now();
    const found = await this.record();
    // The oldest window of which all rows are still there.
    const { start, end } = windowOf("minute", this.horizon(now));
    const oldest = start >= this.horizon(now) ? start : end;
    const layout = layoutOf(this.options.config.model);
    this.notes.rewind(found ? found.noted : now - 2 * recordSeconds);
    const [first] = this.notes.days();
    const lost =
      found !== undefined && first !== undefined && Date.parse(first) / 1000 > found.noted;
    this.again = found?.again;
    if (found && (found.layout !== layout || lost)) this.again = oldest;
    this.until = Math.max(found?.until ?? oldest, oldest);
    const whole = found?.reckoning === this.reckoning ? found.reckoned : 0;
    this.reckoned = Math.max(whole, Math.floor(this.horizon(now)) - margin);
  }

  private get zone(): string {
    return this.options.config.zone ?? "UTC";
  }

  private get reckoning(): string {
    return reckoningOf(this.options.config.model, this.zone);
  }

  /** Rolls up all that is due. */
  async pass(signal?: AbortSignal): Promise<void> {
    await this.refresh();
    let behind = true;
    while (behind && !signal?.aborted) {
      await this.timed(() => this.rollNoted());
      const [began, before] = [performance.now(), this.blocks];
      behind =
        (await this.timed(() => this.seal())) ||
        (await this.timed(() => this.repeat())) ||
        (await this.timed(() => this.reckonNext()));
      // What has long been over gives way to what comes.
      if (behind && this.blocks > before)
        await sleep((performance.now() - began) * (this.options.rest ?? 1));
    }
    this.alive = this.now();
    if (this.alive - this.recorded >= recordSeconds || this.until !== this.told) await this.tell();
  }

  /** Before this moment all rows of a tier are there; seconds since 1970. */
  complete(tier: Tier): number {
    const until = this.until ?? 0;
    return tier === "minute" ? until : windowOf(tier, until).start;
  }

  /** The oldest rows that retention leaves for long enough. */
  private horizon(now: number): number {
    return now - durationSeconds(this.options.config.retention.raw) + margin;
  }

  private async timed<T>(work: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const result = await work();
    this.work.milliseconds += performance.now() - began;
    return result;
  }

  private async refresh(): Promise<void> {
    const { database, authorization } = this.options;
    this.raw = await database.columns(authorization, databases.telemetry);
    for (const tier of tierNames)
      this.columns[tier] = await database.columns(authorization, tiers[tier].database);
  }

  /** Rolls up the next window that is over. @returns whether there was one. */
  private async seal(): Promise<boolean> {
    const now = this.now();
    const window = windowOf("minute", this.until ?? now);
    if (window.end + this.due.window > now) return false;
    await this.rollWindow(window);
    this.until = window.end;
    await this.tellSoon();
    return true;
  }

  /** Rolls up a window once more, where all are. @returns whether there was one. */
  private async repeat(): Promise<boolean> {
    if (this.again === undefined) return false;
    const window = windowOf("minute", this.again);
    const done = window.end > (this.until ?? 0);
    if (!done) await this.rollWindow(window);
    this.again = done ? undefined : window.end;
    await (done ? this.tell() : this.tellSoon());
    return !done;
  }

  /** Reckons the next day that is over, or one that changed. @returns whether there was one. */
  private async reckonNext(): Promise<boolean> {
    const now = this.now();
    const { model } = this.options.config;
    const next = dayAt(this.reckoned, this.zone);
    if (next.to + this.due.window <= now) {
      // A day whose first rows retention has taken would be told wrong.
      if (next.from >= this.horizon(now))
        for (const m of model.measurements) await this.reckon(m, next);
      this.reckoned = next.to;
      await this.tellSoon();
      return true;
    }
    const { note } = this.due;
    for (const [key, { m, day, first, last }] of this.changed) {
      if (now - last < quietNotes * note && now - first < mostNotes * note) continue;
      if (day.from - runIn(m) >= this.horizon(now)) await this.reckon(m, day);
      this.changed.delete(key);
      return true;
    }
    return false;
  }

  /** Writes what each unit did on a day, where that is not what is there. */
  private async reckon(m: Measurement, day: Day): Promise<void> {
    const began = this.blocks;
    const stored = this.columns.day;
    const rows = { start: day.from, end: day.to };
    // Where units were seen before, a day without rows says that they are silent.
    const isKnown = stored.has(performanceTable(m));
    if (!isKnown && !(await this.hasRows(databases.telemetry, this.raw, m, rows))) return;
    const units = await reckonDay(this.options, this.raw, stored, m, day);
    if (units.length > 0) this.blocks = began + 1;
    const there = new Set(
      (await storedDays(this.options, stored, m, { first: day.name, last: day.name })).map((each) =>
        line(pointOf(m, each)),
      ),
    );
    const writer = new Writer(this.options, "day", this.columns);
    for (const unit of units) {
      const point = pointOf(m, unit);
      if (!there.has(line(point))) await writer.add(point);
    }
    await this.done(writer);
  }

  /** Has the days reckoned again that a note is about. */
  private change(m: Measurement, { block, noted }: Note): void {
    const end = block + blockSeconds + runIn(m);
    for (let at = block; at < end;) {
      const day = dayAt(at, this.zone);
      at = day.to;
      if (day.to > this.reckoned) return;
      const key = `${m.name} ${day.name}`;
      const { first = noted } = this.changed.get(key) ?? {};
      this.changed.set(key, { m, day, first: Math.min(first, noted), last: noted });
    }
  }

  private async rollWindow(window: Span): Promise<void> {
    const began = this.now();
    for (const m of this.options.config.model.measurements) {
      const writer = new Writer(this.options, "minute", this.columns);
      const fresh = !(await this.hasRows(tiers.minute.database, this.columns.minute, m, window));
      if (await this.hasRows(databases.telemetry, this.raw, m, window)) {
        await this.rollMinutes(m, window, writer, fresh);
        // What has long been over lies in files.
        for (
          let block = window.start;
          began - window.end < 3600 && block < window.end;
          block += blockSeconds
        )
          this.lookAgain(m, block, began);
      }
      await this.done(writer);
    }
    for (const tier of ["hour", "day"] as const) {
      const over = windowOf(tier, window.start);
      if (over.end !== window.end) break;
      for (const m of this.options.config.model.measurements) await this.rollTier(tier, m, over);
    }
    this.rolledAt.set(`${window.start}`, began);
  }

  private async hasRows(
    db: string,
    columns: TableColumns,
    { name }: Measurement,
    { start, end }: Span,
  ): Promise<boolean> {
    if (!columns.has(name)) return false;
    const { database, authorization } = this.options;
    const sql =
      `SELECT 1 FROM ${sqlName(name)} WHERE time >= ${sqlTime(start)} ` +
      `AND time < ${sqlTime(end)} LIMIT 1`;
    return (await database.all(authorization, db, sql)).length > 0;
  }

  /** Rolls up the blocks that were noted and lie in windows that are complete. */
  private async rollNoted(): Promise<void> {
    this.waiting.push(...this.notes.read());
    const now = this.now();
    const isDue = ({ noted }: Note) => noted <= now - this.due.note || noted > now + this.due.note;
    const due = this.waiting.filter(isDue);
    const second = this.seen.filter(({ again }) => again <= now);
    if (due.length === 0 && second.length === 0) return;
    for (const m of this.options.config.model.measurements) {
      const first = due.filter((note) => note.table === m.name && !this.isKnown(note));
      for (const note of due) if (note.table === m.name) this.change(m, note);
      const blocks = [...first, ...second.filter(({ table }) => table === m.name)];
      const hold = Math.ceil(holdSeconds(m) / 60) * 60;
      const spans = joined(
        [...new Set(blocks.map(({ block }) => block))].map((block) => ({
          start: block,
          end: block + blockSeconds + hold,
        })),
      );
      for (const span of spans.flatMap(byWindow)) {
        await this.rollAgain(m, span);
        if (this.now() - this.recorded > 10) await this.tell();
      }
      for (const { block } of blocks) this.rolledAt.set(`${m.name} ${block}`, now);
      for (const block of new Set(first.map((note) => note.block)))
        if (block < (this.until ?? 0)) this.lookAgain(m, block, now);
    }
    this.seen = this.seen.filter((each) => !second.includes(each));
    // Only now: what fails is tried again.
    this.waiting = this.waiting.filter((note) => !isDue(note));
    if (this.rolledAt.size > 20_000) this.rolledAt.clear();
  }

  /**
   * Has a block rolled up once more when InfluxDB has made a file of its rows: should a query have lacked
   * any of them before, its rollups get them now. What is equal is not written.
   */
  private lookAgain({ name }: Measurement, block: number, now: number): void {
    this.seen.push({ table: name, block, again: now + lookSeconds });
  }

  /** Whether what a note tells of was rolled up after all the writes that it stands for. */
  private isKnown({ table, block, noted }: Note): boolean {
    const { start } = windowOf("minute", block);
    const at = Math.max(
      this.rolledAt.get(`${start}`) ?? 0,
      this.rolledAt.get(`${table} ${block}`) ?? 0,
    );
    // A note's time is in whole seconds, and the relay notes a block again after half of what is due.
    return noted <= at - this.due.note / 2 - 2;
  }

  /** Rolls up part of a window that is complete, and the hours and days over it. */
  private async rollAgain(m: Measurement, noted: Span): Promise<void> {
    const now = this.now();
    // Rows that retention has taken must not take their rollups too.
    const oldest = Math.ceil(this.horizon(now) / blockSeconds) * blockSeconds;
    const span = { start: Math.max(noted.start, oldest), end: noted.end };
    if (span.start >= Math.min(span.end, this.until ?? 0)) return;
    const writer = new Writer(this.options, "minute", this.columns);
    await this.rollMinutes(m, span, writer, false);
    await this.done(writer);
    // Even where no minute has changed: an earlier run may have ended before the hours.
    for (const tier of ["hour", "day"] as const) {
      const finer = tier === "hour" ? "minute" : "hour";
      const { seconds } = tiers[tier];
      const over = {
        start: Math.floor(span.start / seconds) * seconds,
        end: Math.ceil(span.end / seconds) * seconds,
      };
      if (over.end > this.complete(tier)) continue;
      // What has left the finer tier is not rolled up any more.
      const kept = now - durationSeconds(this.options.config.retention[finer]) + margin;
      if (windowOf(finer, over.start).start >= kept) await this.rollTier(tier, m, over);
    }
  }

  /** Rolls up rows into minutes. @param fresh whether the tier has none of them. */
  private async rollMinutes(m: Measurement, { start, end }: Span, writer: Writer, fresh: boolean) {
    for (let from = start; from < end;) {
      const length = this.lengths.get(m.name) ?? chunkSeconds(m);
      const span = { start: from, end: Math.min(end, from + length) };
      const before = this.read;
      await this.rewrite("minute", m, span, this.minutes(m, span), writer, fresh);
      const read = this.read - before;
      // Few rows at a time would be many queries, and many rows much memory.
      if (read < fewRows && span.end - from === length) this.lengths.set(m.name, length * 2);
      if (read > manyRows)
        this.lengths.set(m.name, Math.max(blockSeconds, Math.floor(length / 120) * 60));
      this.work.blocks += Math.ceil((span.end - from) / blockSeconds);
      this.blocks += 1;
      from = span.end;
    }
  }

  /** Rolls up a tier's finer one. */
  private async rollTier(tier: "hour" | "day", m: Measurement, span: Span): Promise<void> {
    const writer = new Writer(this.options, tier, this.columns);
    // A few hours, or a day, at a time: what is in memory stays small.
    const length = tier === "hour" ? 6 * tiers.hour.seconds : tiers.day.seconds;
    for (let from = span.start; from < span.end; from += length) {
      const part = { start: from, end: Math.min(span.end, from + length) };
      await this.rewrite(tier, m, part, this.merged(tier, m, part), writer, false);
    }
    await this.done(writer);
  }

  private async done(writer: Writer): Promise<void> {
    await writer.flush();
    this.work.rows += writer.count;
  }

  /** The minutes of each unit in a span, from its rows. */
  private minutes(m: Measurement, span: Span): AsyncGenerator<Unit> {
    const { database, authorization } = this.options;
    return unitMinutes(database, authorization, this.raw, m, span, (rows) => (this.read += rows));
  }

  /** The buckets of each unit in a span, from those of the finer tier. */
  private async *merged(tier: "hour" | "day", m: Measurement, span: Span): AsyncGenerator<Unit> {
    const { database, authorization } = this.options;
    const rolled = rolledOf(m);
    const units = new Map<string, { tags: TagValues; buckets: MergedBuckets }>();
    const finer = tier === "hour" ? "minute" : "hour";
    const columns = this.columns[finer];
    for await (const row of tierRows(database, authorization, columns, m, finer, span)) {
      const key = row.tags.join("\0");
      let unit = units.get(key);
      if (!unit) {
        const buckets = new MergedBuckets(rolled, tiers[tier].seconds);
        units.set(key, (unit = { tags: row.tags, buckets }));
      }
      if ("values" in row) unit.buckets.merge(row.at, row.values);
      else unit.buckets.mergeState(row.at, row.field, row.state, row.seconds);
    }
    for (const { tags, buckets } of units.values()) yield { tags, buckets: buckets.buckets };
  }

  /** Writes what a tier does not have yet, or not so, of a span. */
  private async rewrite(
    tier: Tier,
    m: Measurement,
    span: Span,
    units: AsyncIterable<Unit>,
    writer: Writer,
    fresh: boolean,
  ): Promise<void> {
    const { database, authorization } = this.options;
    const rolled = rolledOf(m);
    const lines = new TierLines(m, rolled, tier, tierTables(m, this.columns[tier]));
    const existing = new Map<string, string>();
    const zeros = new Map<string, Point>();
    const keyOf = ({ series, time }: Point) => `${series} ${time}`;
    if (!fresh)
      for await (const row of tierRows(database, authorization, this.columns[tier], m, tier, span))
        if ("values" in row)
          for (const point of lines.values(row.tags, row.at, row.values))
            existing.set(keyOf(point), point.fields);
        else {
          const { tags, at, field, state, seconds } = row;
          const point = lines.state(tags, at, field, state, seconds);
          existing.set(keyOf(point), point.fields);
          if (seconds !== 0) zeros.set(keyOf(point), lines.state(tags, at, field, state, 0));
        }
    const put = async (point: Point) => {
      const key = keyOf(point);
      zeros.delete(key);
      if (existing.get(key) !== point.fields) await writer.add(point);
    };
    for await (const { tags, buckets } of units)
      for (const { at, values, states } of buckets) {
        for (const point of lines.values(tags, at, values)) await put(point);
        for (const [field, times] of states)
          for (const [state, seconds] of times)
            await put(lines.state(tags, at, field, state, seconds));
      }
    // Nothing can be deleted: a state that the rows no longer have lasts no time.
    for (const point of zeros.values()) await writer.add(point);
  }

  /** How far the rollups were when that was last recorded. */
  private async record() {
    const { database, authorization } = this.options;
    const columns = await database.columns(authorization, databases.pipeline);
    if (!columns.has(rollupsTable)) return undefined;
    const has = columns.get(rollupsTable);
    const names = ["until", "noted", "again", "layout", "reckoned", "reckoning"].map((name) =>
      has?.has(name) ? sqlName(name) : `NULL AS ${sqlName(name)}`,
    );
    for (const days of [0.1, 1, 31]) {
      const sql =
        `SELECT ${names.join(", ")} FROM ${sqlName(rollupsTable)} ` +
        `WHERE time >= ${sqlTime(this.now() - days * 86_400)} ORDER BY time DESC LIMIT 1`;
      const [row] = await database.all(authorization, databases.pipeline, sql);
      if (!row) continue;
      const [until, noted, again, layout, reckoned, reckoning] = row;
      return {
        until: Number(until),
        noted: Number(noted),
        again: again ? Number(again) : undefined,
        layout,
        reckoned: Number(reckoned),
        reckoning,
      };
    }
    return undefined;
  }

  /** Records it after a window, but not after each of many without rows. */
  private async tellSoon(): Promise<void> {
    if (this.work.rows > 0 || this.now() - this.recorded > 10) await this.tell();
  }

  /** Records how far the rollups are, and what was done since the last time. */
  private async tell(): Promise<void> {
    const { database, authorization } = this.options;
    const now = this.now();
    const { blocks, rows, milliseconds } = this.work;
    const oldest = this.waiting.reduce((least, { noted }) => Math.min(least, noted), now);
    const changed = [...this.changed.values()].map(({ first }) => first);
    const until = this.until ?? 0;
    const fields = {
      until: `${until}i`,
      // A clock that is set back must not hide a note.
      noted: `${Math.floor(Math.min(oldest, ...changed) - recordSeconds)}i`,
      again: this.again === undefined ? undefined : `${this.again}i`,
      layout: `"${layoutOf(this.options.config.model)}"`,
      reckoned: `${this.reckoned}i`,
      reckoning: `"${this.reckoning}"`,
      lag: Math.max(
        0,
        now - windowOf("minute", until).end - this.due.window,
        now - oldest - this.due.note,
      ),
      blocks: `${blocks}i`,
      rows: `${rows}i`,
      milliseconds: `${Math.round(milliseconds)}i`,
    };
    const text = Object.entries(fields).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    );
    const record = `${rollupsTable} ${text.join(",")} ${Math.floor(now)}\n`;
    await database.write(authorization, databases.pipeline, record);
    this.work = { blocks: 0, rows: 0, milliseconds: 0 };
    this.recorded = now;
    this.told = until;
    this.alive = now;
  }
}

/** Gathers points of a tier, and writes them at once. */
class Writer {
  count = 0;
  private lines: string[] = [];
  private readonly firsts = new Set<string>();
  private bytes = 0;

  constructor(
    private readonly options: RollerOptions,
    private readonly tier: Tier,
    private readonly columns: Record<Tier, TableColumns>,
  ) {}

  async add(point: Point): Promise<void> {
    const text = line(point);
    this.lines.push(text);
    // Of files of one block, InfluxDB up to 3.11.3 believes the one that begins first, and of those that
    // begin at one time the latest. So each begins with its window.
    const [table] = point.series.split(",", 1);
    const { start } = windowOf(this.tier, point.time);
    this.firsts.add(line({ series: table ?? "", fields: `${atColumn}=-1i`, time: start }));
    this.bytes += text.length;
    this.count += 1;
    if (this.bytes >= mostBytes) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.lines.length === 0) return;
    const { database, authorization } = this.options;
    const { database: db } = tiers[this.tier];
    await database.write(authorization, db, [...this.lines, ...this.firsts].join(""));
    this.lines = [];
    this.firsts.clear();
    this.bytes = 0;
    this.columns[this.tier] = await database.columns(authorization, db);
  }
}
