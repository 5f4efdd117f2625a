import { setTimeout as sleep } from "node:timers/promises";
import { blockSeconds } from "../configs/databases";
import type { Measurement, Model } from "../configs/model";
import { holdSeconds, type Span } from "../configs/rollups";
import {
  settleSeconds,
  siteLabel,
  siteMetrics,
  uplinkMetric,
  uplinkSeries,
} from "../configs/uplink";
import { type Severity, severities } from "../configs/watch";
import type { TagValues } from "./lines";
import type { Unit } from "./minutes";
import type { Note } from "./notes";
import { NotTaken, type Series } from "./remote-write";
import { joined } from "./spans";
import { Revisions, type RevisedBlocks } from "./revisions";
import type { FiringAlert, SiteAlerts } from "./site-alerts";
import { digestOf, type Labels, labelsOf, type Minutes, Readings, seriesOf } from "./samples";

/** How far the uplink is: what it goes on from after a start. */
export interface UplinkState {
  /** Minutes before this moment are at the hub; seconds since 1970. */
  until: number;
  /** Notes from this moment on still count. */
  noted: number;
  /** How often blocks were sent again. */
  revised: RevisedBlocks;
}

/** What was done since the state was last saved. */
export interface UplinkWork {
  /** Seconds that the newest minute at the hub is older than it should be. */
  lag: number;
  samples: number;
  /** Samples that the hub will never take. */
  refused: number;
  bytes: number;
  milliseconds: number;
}

/** Values of some fields of a row, with its time in ms since 1970. */
export interface FieldRow {
  tags: TagValues;
  time: number;
  values: (number | undefined)[];
}

/** Where the uplink has its data from. */
export interface UplinkSource {
  /** Notes of blocks that were written since the last call. */
  notes: () => Note[];
  /** Has notes from a moment on come again. */
  rewind: (since: number) => void;
  /** What InfluxDB has may have changed: it is looked at anew. */
  refresh: () => Promise<void>;
  /** From when on there is anything; seconds since 1970. */
  oldest: () => number;
  /** From when on there are rows; seconds since 1970. */
  oldestRow: () => number;
  /** The minutes of each unit in a span. */
  minutes: (m: Measurement, span: Span) => AsyncIterable<Unit>;
  /** Rows in a span with some fields. */
  rows: (m: Measurement, fields: readonly string[], span: Span) => AsyncIterable<FieldRow>;
  /** States that fields had lately. */
  states: (m: Measurement) => Promise<[field: string, state: string][]>;
  /** Numbers of the pipeline in a span, by the minute. */
  health: (span: Span) => Promise<{ metric: string; minute: number; value: number }[]>;
  /** The site's alerts, as they are now; undefined while they are not known. */
  alerts: () => Promise<SiteAlerts | undefined>;
  load: () => Promise<UplinkState | undefined>;
  save: (state: UplinkState, work: UplinkWork) => Promise<void>;
}

/** What the uplink works with. */
export interface UplinkOptions {
  model: Model;
  site: string;
  version: string;
  /** Fields that cross at full rate, such as `battery.soc`. */
  raw: readonly string[];
  source: UplinkSource;
  hub: { send: (series: readonly Series[], signal?: AbortSignal) => Promise<void>; bytes: number };
  log: (line: string) => void;
  /** Seconds since 1970. Default: the clock. */
  now?: (() => number) | undefined;
  /** Seconds after which a minute that is over is read. Default: {@link settleSeconds}. */
  settle?: number | undefined;
  /** Seconds after which a note is followed, and its block looked at again. */
  due?: { note: number; again: number } | undefined;
  /** Seconds of rest for each second of work on what is long over. Default: 1. */
  rest?: number | undefined;
}

/** Samples of one request at most, as Prometheus sends them. */
const mostSamples = 2000;

/** Samples of a measurement that are gathered at once, and the minutes at most. */
const gathered = { samples: 20_000, minutes: 60 } as const;

/** Names of alerts that cross in a minute at most. */
const mostAlerts = 50;

/** Digests of minutes of measurements that are kept. */
const mostDigests = 20_000;

/** Seconds between two records of how far the uplink is, where nothing is sent. */
const recordSeconds = 600;

/** The same while the hub takes nothing. */
const waitingSeconds = 120;

/**
 * Seconds after which what a hub has taken is safe there: VictoriaMetrics writes its memory to the disk
 * every five. What was taken since is sent once more after a fault, and the last minute with the next one.
 */
const safeSeconds = 90;

/** Seconds that a block which is written to goes on waiting at most. */
const longestWait = 300;

/** A block of a measurement that may have changed at the hub. */
interface Waiting {
  m: Measurement;
  block: number;
  /** When the first of the notes was written that it waits for. */
  first: number;
  /** When the first one was written that still counts. */
  noted: number;
  due: number;
  /** Whether it is the second look. */
  again: boolean;
}

/** Sends a site's minutes to a hub, each as soon as it is over, and again when it has changed. */
export class Uplink {
  /** Minutes before this moment are at the hub; seconds since 1970. Undefined until {@link load}. */
  until: number | undefined;
  private readonly readings = new Map<string, Readings>();
  private readonly raw = new Map<string, { fields: string[]; metrics: string[] }>();
  private readonly waiting = new Map<string, Waiting>();
  /** What the hub may have of each minute of a measurement. */
  private readonly digests = new Map<string, string>();
  /** Minutes of a measurement that were sent again once, and are at the second look. */
  private readonly sentAgain = new Set<string>();
  private revisions = new Revisions();
  /** What the hub has taken lately: from which minute on, and when. */
  private taken: { start: number; at: number }[] = [];
  private since = 0;
  private readonly now: () => number;
  private readonly due: { note: number; again: number };
  private readonly settle: number;
  /** Minutes that are gathered at once. */
  private length = 1;
  private work = { samples: 0, refused: 0, milliseconds: 0 };
  private bytes = 0;
  private saved = 0;
  private toldRefusal = "";

  constructor(private readonly options: UplinkOptions) {
    const { model, site, raw } = options;
    this.now = options.now ?? (() => Date.now() / 1000);
    this.due = options.due ?? { note: 60, again: 1200 };
    this.settle = options.settle ?? settleSeconds;
    const series = uplinkSeries(model);
    for (const m of model.measurements) {
      this.readings.set(m.name, new Readings(m, series, site));
      const fields = m.fields.filter(({ name }) => raw.includes(`${m.name}.${name}`));
      if (fields.length > 0)
        this.raw.set(m.name, {
          fields: fields.map(({ name }) => name),
          metrics: fields.map((field) => uplinkMetric(m, field)),
        });
    }
  }

  /** Sends until it is told to stop. What fails is tried again. */
  async run(signal: AbortSignal): Promise<void> {
    let pause = 1;
    let told = "";
    while (!signal.aborted) {
      try {
        await this.pass(signal);
        if (told !== "") this.options.log("the uplink goes on");
        pause = 1;
        told = "";
        await sleep(this.untilNext() * 1000, undefined, { signal });
      } catch (error) {
        if (signal.aborted) return;
        const { message } = error as Error;
        if (message !== told) this.options.log(`the uplink waits: ${message}`);
        told = message;
        // How late the hub is, is told meanwhile; and the record would go with the database's retention.
        if (this.now() - this.saved >= waitingSeconds) await this.save().catch(() => undefined);
        const asked = error instanceof NotTaken ? (error.wait ?? 0) : 0;
        const seconds = Math.min(longestWait, Math.max(pause, asked));
        await sleep(seconds * 1000, undefined, { signal }).catch(() => undefined);
        pause = Math.min(60, pause * 2);
      }
    }
  }

  /** Learns how far the uplink is. A site that begins sends nothing of before. */
  async load(): Promise<void> {
    const { source, model } = this.options;
    await source.refresh();
    const found = await source.load();
    const now = this.now();
    const begins = Math.floor(now / 60) * 60;
    // A clock that was far ahead has told of a time to come.
    const known = found && found.until <= now + 3600 ? found.until : begins;
    const until = Math.max(known, Math.ceil(source.oldest() / 60) * 60);
    this.since = found?.noted ?? Math.floor(now);
    source.rewind(this.since);
    this.revisions = new Revisions(found?.revised);
    for (const m of model.measurements)
      for (const [field, state] of await source.states(m))
        this.readings.get(m.name)?.learn(field, state);
    this.until = until;
    if (!found) return;
    // An earlier run may have sent these without a record of it, and with other values.
    this.revisions.bump(moments({ start: until, end: until + gathered.minutes * 60 }));
    await this.save();
  }

  /** Sends all that is due. */
  async pass(signal?: AbortSignal): Promise<void> {
    if (this.until === undefined) await this.load();
    await this.options.source.refresh();
    this.takeNotes();
    const began = performance.now();
    const late = await this.sendLive(signal).then(() => this.sendLate(signal));
    this.work.milliseconds += performance.now() - began;
    if (late || this.now() - this.saved >= recordSeconds) await this.save();
  }

  /** Sends the minutes that are over. */
  private async sendLive(signal?: AbortSignal): Promise<void> {
    for (;;) {
      const began = performance.now();
      const over = Math.floor((this.now() - this.settle) / 60) * 60;
      const until = this.until ?? over;
      if (until >= over || signal?.aborted) return;
      const end = Math.min(over, until + this.length * 60);
      const start = end - until === 60 ? Math.max(until - 60, this.safe()) : until;
      try {
        await this.sendSpan({ start, end }, signal);
      } catch (error) {
        // A hub that has died may have lost what it took last.
        this.until = this.safe();
        this.taken = [];
        throw error;
      }
      const now = this.now();
      this.taken = this.taken.filter(({ at }) => at > now - safeSeconds);
      this.taken.push({ start: until, at: now });
      this.until = end;
      await this.save();
      // What has long been over gives way to what comes.
      if (end < over)
        await sleep((performance.now() - began) * (this.options.rest ?? 1), undefined, { signal });
      await this.options.source.refresh();
      this.takeNotes();
    }
  }

  private async sendSpan(span: Span, signal?: AbortSignal): Promise<void> {
    const batch = this.batch(signal);
    let most = 0;
    for (const m of this.options.model.measurements) {
      const minutes = await this.gather(m, span);
      const changed = [...minutes].flatMap(([minute, readings]) => {
        const [key, digest] = [`${m.name} ${minute}`, digestOf(readings)];
        const before = this.digests.get(key);
        this.keep(key, digest);
        return before === undefined || before === digest ? [] : [minute];
      });
      // What was tried before may be there, with other values.
      this.revisions.bump(changed);
      const rows = await this.fullRate(m, [span]);
      const series = [...seriesOf(minutes, (minute) => this.revisions.of(minute)), ...rows];
      most = Math.max(most, countOf(series));
      await batch.add(series);
    }
    await batch.add(await this.own(span));
    await batch.end();
    if (most * 2 <= gathered.samples) this.length = Math.min(gathered.minutes, this.length * 2);
    if (most > gathered.samples) this.length = Math.max(1, Math.floor(this.length / 2));
  }

  /** Minutes before this moment are on the hub's disk. */
  private safe(): number {
    const since = this.now() - safeSeconds;
    return this.taken.find(({ at }) => at > since)?.start ?? this.until ?? 0;
  }

  /** Sends again what has changed since. @returns whether anything was done. */
  private async sendLate(signal?: AbortSignal): Promise<boolean> {
    const { model, source } = this.options;
    const now = this.now();
    const until = this.until ?? 0;
    const bumped: Bumped = new Map();
    let done = false;
    for (const m of model.measurements) {
      const blocks: number[] = [];
      for (const [key, each] of this.waiting) {
        if (each.m.name !== m.name || each.due > now) continue;
        if (each.block < source.oldestRow()) this.waiting.delete(key);
        else if (each.block + blockSeconds > until) each.due = now + this.due.note;
        else blocks.push(each.block);
      }
      const hold = Math.ceil(holdSeconds(m) / 60) * 60;
      for (const run of runs(blocks.sort((a, b) => a - b))) {
        if (signal?.aborted) return done;
        const began = performance.now();
        const end = Math.min(until, run.end + hold);
        if (await this.sendAgain(m, { start: run.start, end }, bumped, signal)) done = true;
        for (const block of run.blocks) this.looked(m, block, now);
        if (blocks.length > run.blocks.length)
          await sleep((performance.now() - began) * (this.options.rest ?? 1), undefined, {
            signal,
          });
      }
    }
    return done;
  }

  private async sendAgain(
    m: Measurement,
    span: Span,
    bumped: Bumped,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const minutes = await this.gather(m, span);
    for (const [minute, readings] of minutes)
      if (this.digests.get(`${m.name} ${minute}`) === digestOf(readings)) minutes.delete(minute);
    if (minutes.size === 0) return false;
    const blockOf = (at: number) => Math.floor(at / blockSeconds) * blockSeconds;
    const fresh = [...new Set([...minutes.keys()].map(blockOf))].filter((block) => {
      const by = bumped.get(block);
      if (by && !by.has(m.name)) return !by.add(m.name);
      bumped.set(block, new Set([m.name]));
      return true;
    });
    this.revisions.bump(fresh);
    // First the record: a later time is taken once, also when the power fails now.
    await this.save();
    const changed = [...minutes.keys()].map((minute) => ({ start: minute, end: minute + 60 }));
    const rows = await this.fullRate(m, changed);
    const batch = this.batch(signal);
    await batch.add([...seriesOf(minutes, (minute) => this.revisions.of(minute)), ...rows]);
    await batch.end();
    // They are sent once more at the second look: a hub that dies now has lost them.
    for (const [minute, readings] of minutes) {
      const key = `${m.name} ${minute}`;
      if (this.sentAgain.delete(key)) this.keep(key, digestOf(readings));
      else {
        this.digests.delete(key);
        this.sentAgain.add(key);
      }
    }
    if (this.sentAgain.size > mostDigests) this.sentAgain.clear();
    return true;
  }

  /** A block was looked at: what a query lacked before InfluxDB made a file of it is seen later. */
  private looked(m: Measurement, block: number, now: number): void {
    const key = `${m.name} ${block}`;
    const each = this.waiting.get(key);
    if (!each || each.again) this.waiting.delete(key);
    else this.waiting.set(key, { ...each, due: now + this.due.again, again: true });
  }

  private takeNotes(): void {
    const { source, model } = this.options;
    const now = this.now();
    // What is not sent yet is read later than a note that is due. Over a week they would be many.
    for (const [key, { due, block }] of this.waiting)
      if (due <= now && block >= (this.until ?? 0)) this.waiting.delete(key);
    for (const { noted, table, block } of source.notes()) {
      const m = model.measurements.find(({ name }) => name === table);
      if (!m || noted < this.since) continue;
      const key = `${table} ${block}`;
      const before = this.waiting.get(key);
      const first = before && !before.again ? before.first : Math.min(noted, now);
      // A note stands for what is written until the next one; a block that is written to waits for its end.
      const due = Math.min(Math.min(noted, now) + this.due.note, first + longestWait);
      this.waiting.set(key, {
        m,
        block,
        first,
        noted: before?.noted ?? noted,
        due: Math.max(due, block + blockSeconds + this.due.note),
        again: false,
      });
    }
  }

  /** What is to be sent of a measurement's minutes in a span. */
  private async gather(m: Measurement, span: Span): Promise<Minutes> {
    const minutes: Minutes = new Map();
    const readings = this.readings.get(m.name);
    for await (const { tags, buckets } of this.options.source.minutes(m, span))
      for (const bucket of buckets) {
        if (bucket.at < span.start || bucket.at >= span.end) continue;
        const own = readings?.of(tags, bucket) ?? [];
        const before = minutes.get(bucket.at);
        if (before) before.push(...own);
        else minutes.set(bucket.at, own);
      }
    return minutes;
  }

  /** Rows of the fields that cross at full rate. */
  private async fullRate(m: Measurement, spans: readonly Span[]): Promise<Series[]> {
    const raw = this.raw.get(m.name);
    const readings = this.readings.get(m.name);
    if (!raw || !readings) return [];
    const made = new Map<string, Series>();
    for (const span of joined(spans))
      for await (const { tags, time, values } of this.options.source.rows(m, raw.fields, span))
        raw.metrics.forEach((metric, i) => {
          const value = values[i];
          if (value === undefined) return;
          const { key, pairs } = readings.labelsFor(tags, metric);
          const series = made.get(key) ?? { labels: pairs, samples: [] };
          // Two rows within a millisecond are one sample.
          if (series.samples.at(-1)?.time !== time) series.samples.push({ time, value });
          made.set(key, series);
        });
    return [...made.values()];
  }

  /** What is told of the site itself. */
  private async own(span: Span): Promise<Series[]> {
    const { source, site, model, version } = this.options;
    const minutes: Minutes = new Map();
    const labels = new Map<string, Labels>();
    const put = (
      minute: number,
      metric: string,
      value: number,
      more: (readonly [string, string])[] = [],
    ) => {
      const key = JSON.stringify([metric, more]);
      const own = labels.get(key) ?? labelsOf(metric, [[siteLabel, site], ...more]);
      labels.set(key, own);
      const readings = minutes.get(minute) ?? [];
      readings.push({ labels: own, value });
      minutes.set(minute, readings);
    };
    for (const { metric, minute, value } of await source.health(span)) put(minute, metric, value);
    const last = span.end - 60;
    const lag = this.lag(span.end);
    put(last, siteMetrics.lag, lag);
    put(last, siteMetrics.info, 1, [
      ["version", version],
      ["model", model.name],
    ]);
    // Only what is now can be asked.
    const alerts = lag < 60 ? await source.alerts() : undefined;
    if (alerts) {
      const { firing, muteEnds } = alerts;
      put(last, siteMetrics.muteEnds, muteEnds);
      for (const muted of [false, true]) {
        const of = firing.filter((alert) => alert.muted === muted);
        put(last, siteMetrics.alerts, of.length, [["alertstate", stateOfAlert(muted)]]);
      }
      for (const pairs of namesOf(firing)) put(last, siteMetrics.alert, 1, pairs);
    }
    return seriesOf(minutes, (minute) => this.revisions.of(minute));
  }

  /** Has series stored, in requests that each hub takes. */
  private batch(signal?: AbortSignal) {
    let part: Series[] = [];
    let count = 0;
    const end = async () => {
      if (count > 0) await this.request(part, count, signal);
      [part, count] = [[], 0];
    };
    const add = async (series: readonly Series[]) => {
      for (const { labels, samples } of series)
        for (let from = 0; from < samples.length; from += mostSamples) {
          const some = samples.slice(from, from + mostSamples);
          if (count + some.length > mostSamples) await end();
          part.push({ labels, samples: some });
          count += some.length;
        }
    };
    return { add, end };
  }

  private async request(series: Series[], count: number, signal?: AbortSignal): Promise<void> {
    const { hub, log } = this.options;
    try {
      await hub.send(series, signal);
      this.work.samples += count;
    } catch (error) {
      if (!(error instanceof NotTaken) || !error.refused) throw error;
      if (error.status === 413 && series.length > 1) {
        const half = Math.ceil(series.length / 2);
        for (const some of [series.slice(0, half), series.slice(half)])
          await this.request(some, countOf(some), signal);
        return;
      }
      // The protocol forbids to send it again: it would never be taken, and hold up all else.
      this.work.refused += count;
      if (error.message !== this.toldRefusal)
        log(`the hub refuses ${count} samples: ${error.message}`);
      this.toldRefusal = error.message;
    }
  }

  private keep(key: string, digest: string): void {
    this.digests.delete(key);
    this.digests.set(key, digest);
    const [oldest] = this.digests.keys();
    if (this.digests.size > mostDigests && oldest !== undefined) this.digests.delete(oldest);
  }

  /** Seconds that a moment is older than what could be sent by now. */
  private lag(until: number): number {
    return Math.max(0, Math.floor(this.now() - this.settle - until - 59));
  }

  private async save(): Promise<void> {
    if (this.until === undefined) return;
    const { source, hub } = this.options;
    const { work, bytes } = this;
    const until = this.safe();
    const now = this.now();
    const oldest = Math.min(now, ...[...this.waiting.values()].map(({ noted }) => noted));
    const sent = hub.bytes;
    await source.save(
      // A clock that is set back must not hide a note.
      { until, noted: Math.floor(oldest - recordSeconds), revised: this.revisions.blocks },
      { ...work, bytes: sent - bytes, lag: this.lag(this.until) },
    );
    this.work = { samples: 0, refused: 0, milliseconds: 0 };
    this.bytes = sent;
    this.saved = now;
  }

  /** Seconds until there is something to do again. */
  private untilNext(): number {
    const now = this.now();
    const next = (Math.floor((now - this.settle) / 60) + 1) * 60 + this.settle - now;
    return Math.min(30, this.due.note / 2, next);
  }
}

/** Measurements that go with a block's latest revision, by the block: one revision serves several. */
type Bumped = Map<number, Set<string>>;

const stateOfAlert = (muted: boolean): string => (muted ? "muted" : "firing");

/** Labels of alerts that fire, each once: the gravest, so that a storm of them stays small. */
function namesOf(firing: readonly FiringAlert[]): (readonly [string, string])[][] {
  const made = new Map<string, (readonly [string, string])[]>();
  // A person's own rule may have no severity: it comes last.
  const rank = ({ severity }: FiringAlert) =>
    [...severities, ""].indexOf(severities.includes(severity as Severity) ? severity : "");
  const gravest = [...firing].sort((a, b) => rank(a) - rank(b));
  for (const { alertname, severity, unit, muted } of gravest) {
    const pairs = Object.entries({ alertname, severity, unit, alertstate: stateOfAlert(muted) });
    made.set(JSON.stringify(pairs), pairs);
  }
  return [...made.values()].slice(0, mostAlerts);
}

const countOf = (series: readonly Series[]): number =>
  series.reduce((sum, { samples }) => sum + samples.length, 0);

/** A moment of each block that a span has a part of. */
function moments({ start, end }: Span): number[] {
  const made: number[] = [];
  for (let at = Math.floor(start / blockSeconds) * blockSeconds; at < end; at += blockSeconds)
    made.push(at);
  return made;
}

/** Blocks that follow each other, as spans of {@link gathered} minutes at most. */
function runs(blocks: readonly number[]): (Span & { blocks: number[] })[] {
  const made: (Span & { blocks: number[] })[] = [];
  for (const block of blocks) {
    const last = made.at(-1);
    const end = block + blockSeconds;
    if (last?.end === block && end - last.start <= gathered.minutes * 60) {
      last.end = end;
      last.blocks.push(block);
    } else made.push({ start: block, end, blocks: [block] });
  }
  return made;
}
