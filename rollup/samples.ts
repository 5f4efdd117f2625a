import { createHash } from "node:crypto";
import type { Measurement } from "../configs/model";
import { mostStates, otherState, rolledOf } from "../configs/rollups";
import {
  rowsMetric,
  sampleTime,
  siteLabel,
  tagLabel,
  type UplinkKind,
  type UplinkSeries,
} from "../configs/uplink";
import type { TagValues } from "./lines";
import type { Series } from "./remote-write";
import { type Aggregates, type Bucket, stateOf } from "./roll";

/** The labels of a series, and the text that tells it from others. */
export interface Labels {
  key: string;
  pairs: Series["labels"];
}

/** What a series has of a minute. */
export interface Reading {
  labels: Labels;
  value: number;
}

/** What is to be sent of minutes, by their beginning in seconds since 1970. */
export type Minutes = Map<number, Reading[]>;

/** Labels in the order that Prometheus wants; an empty one is none. */
export function labelsOf(
  metric: string,
  more: readonly (readonly [string, string | undefined])[],
): Labels {
  const pairs = [["__name__", metric] as const, ...more].flatMap(([name, value]) =>
    value ? [[name, value] as const] : [],
  );
  pairs.sort(([a], [b]) => (a < b ? -1 : 1));
  return { key: JSON.stringify(pairs), pairs };
}

/** Series with a sample for each reading. @param revision how often a minute was sent before. */
export function seriesOf(minutes: Minutes, revision: (minute: number) => number): Series[] {
  const made = new Map<string, Series>();
  for (const [minute, readings] of [...minutes].sort(([a], [b]) => a - b)) {
    const time = sampleTime(minute, revision(minute));
    for (const { labels, value } of readings) {
      let series = made.get(labels.key);
      if (!series) made.set(labels.key, (series = { labels: labels.pairs, samples: [] }));
      series.samples.push({ time, value });
    }
  }
  return [...made.values()];
}

/** A text that changes with any of a minute's readings. */
export const digestOf = (readings: readonly Reading[]): string =>
  createHash("sha1")
    .update(
      readings
        .map(({ labels, value }) => `${labels.key}${value}`)
        .sort()
        .join("\n"),
    )
    .digest("base64")
    .slice(0, 16);

const numberOf: Partial<Record<UplinkKind, (of: Aggregates) => number | undefined>> = {
  avg: ({ sum, count }) => (sum === undefined ? undefined : sum / count),
  min: ({ min }) => (min === undefined ? undefined : Number(min)),
  max: ({ max }) => (max === undefined ? undefined : Number(max)),
  last: ({ last }) => Number(last),
  total: ({ last }) => Number(last),
};

/** Series of units that are kept in mind at most. */
const mostLabels = 50_000;

/** Makes readings of a measurement's minutes. */
export class Readings {
  private readonly own: { series: UplinkSeries; at: number }[];
  /** States by their field: one that a minute no longer has lasts no time in it. */
  private readonly states = new Map<string, Set<string>>();
  private readonly labels = new Map<string, Labels>();

  /** @param series the metrics of the whole model. */
  constructor(
    private readonly m: Measurement,
    series: readonly UplinkSeries[],
    private readonly site: string,
  ) {
    const rolled = rolledOf(m);
    this.own = series
      .filter(({ measurement }) => measurement.name === m.name)
      .map((each) => ({
        series: each,
        at: rolled.findIndex(({ name }) => name === each.rolled.name),
      }));
  }

  /** Learns that a field has a state. @returns what it is counted under. */
  learn(field: string, state: string): string {
    let states = this.states.get(field);
    if (!states) this.states.set(field, (states = new Set()));
    if (states.has(state)) return state;
    const known = states.size < mostStates ? state : otherState;
    states.add(known);
    return known;
  }

  /** What is to be sent of a bucket of one unit. */
  of(tags: TagValues, { values, states }: Bucket): Reading[] {
    const made: Reading[] = [];
    const put = (metric: string, value: number | undefined, label?: string, text?: string) => {
      if (value !== undefined && Number.isFinite(value))
        made.push({ labels: this.labelsFor(tags, metric, label, text), value });
    };
    for (const { series } of this.own)
      if (series.kind === "seconds")
        for (const state of states.get(series.rolled.name)?.keys() ?? [])
          this.learn(series.rolled.name, state);
    for (const { series, at } of this.own) {
      const { metric, kind, rolled, label } = series;
      const value = values[at];
      if (kind === "seconds") this.time(states.get(rolled.name), rolled.name, metric, label, put);
      else if (!value) continue;
      else if (kind === "info") put(metric, 1, label, stateOf(value.last) || undefined);
      else if (kind === "state") {
        // An empty text is no state.
        if (value.last === "") continue;
        const last = this.learn(rolled.name, stateOf(value.last));
        for (const state of this.states.get(rolled.name) ?? [])
          put(metric, state === last ? 1 : 0, label, state);
      } else put(metric, numberOf[kind]?.(value));
    }
    const rows = Math.max(0, ...values.map((value) => value?.count ?? 0));
    put(rowsMetric(this.m), rows);
    return made;
  }

  private time(
    times: ReadonlyMap<string, number> | undefined,
    field: string,
    metric: string,
    label: string | undefined,
    put: (metric: string, value: number, label?: string, text?: string) => void,
  ): void {
    if (!times) return;
    const seconds = new Map<string, number>();
    for (const [state, time] of times) {
      const name = this.learn(field, state);
      seconds.set(name, (seconds.get(name) ?? 0) + time);
    }
    for (const state of this.states.get(field) ?? [])
      put(metric, seconds.get(state) ?? 0, label, state);
  }

  /** Labels of a series of a unit at the hub. */
  labelsFor(tags: TagValues, metric: string, label?: string, text?: string): Labels {
    const key = JSON.stringify([tags, metric, text]);
    let labels = this.labels.get(key);
    if (!labels) {
      if (this.labels.size >= mostLabels) this.labels.clear();
      labels = labelsOf(metric, [
        [siteLabel, this.site],
        ...this.m.tags.map(({ name }, i) => [tagLabel(name), tags[i]] as const),
        ...(label === undefined ? [] : [[label, text] as const]),
      ]);
      this.labels.set(key, labels);
    }
    return labels;
  }
}
