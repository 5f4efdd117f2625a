import type { Measurement, Model } from "../../configs/model";
import { hubDedup, minuteOf, rowsMetric, tagLabel, uplinkSeries } from "../../configs/uplink";
import type { Expected } from "../rollup/expected";
import type { VictoriaMetrics } from "./victoria-metrics";

/** Flags of VictoriaMetrics as a hub has them, for data of any age. */
export const hubFlags = [`-dedup.minScrapeInterval=${hubDedup}`, "-retentionPeriod=10y"];

/** Text of a series, and of a minute of it. */
const keyOf = (labels: Record<string, string>, minute: number): string =>
  `${JSON.stringify(Object.entries(labels).sort())} ${minute}`;

/** What a hub has of a site's minutes. @throws Error where it has two samples of one. */
async function foundAt(hub: VictoriaMetrics, site: string, metrics: readonly string[]) {
  await hub.flush();
  const found = new Map<string, number>();
  const query = new URLSearchParams({ "match[]": `{site="${site}",__name__!=""}` });
  const answer = await fetch(`${hub.url}/api/v1/export?${query}`);
  for (const line of (await answer.text()).split("\n").filter(Boolean)) {
    const { metric, values, timestamps } = JSON.parse(line) as {
      metric: Record<string, string>;
      values: number[];
      timestamps: number[];
    };
    if (!metrics.includes(metric.__name__ ?? "")) continue;
    timestamps.forEach((time, i) => {
      const key = keyOf(metric, minuteOf(time));
      if (found.has(key)) throw new Error(`two samples of ${key}`);
      found.set(key, values[i] ?? Number.NaN);
    });
  }
  return found;
}

/** What a hub must have of a measurement's minutes; of states and their seconds 0 is allowed too. */
function wantedOf(site: string, model: Model, m: Measurement, minutes: Expected) {
  const wanted = new Map<string, number>();
  const series = uplinkSeries(model).filter(({ measurement }) => measurement.name === m.name);
  for (const [key, columns] of minutes) {
    const [, tagged = "[]", minute] = /^(.*) (-?\d+)$/.exec(key) ?? [];
    const tags = (JSON.parse(tagged) as [string, string][]).map(([name, value]) => [
      tagLabel(name),
      value,
    ]);
    const put = (metric: string, value: unknown, more: Record<string, string> = {}) => {
      if (value === undefined) return;
      const labels = { ...Object.fromEntries(tags), __name__: metric, site, ...more };
      wanted.set(keyOf(labels as Record<string, string>, Number(minute)), Number(value));
    };
    let rows = 0;
    for (const { metric, kind, rolled, label = "" } of series) {
      const of = (aggregate: string) => columns[`${rolled.name}_${aggregate}`];
      rows = Math.max(rows, Number(of("count") ?? 0));
      if (kind === "avg" && of("sum") !== undefined)
        put(metric, Number(of("sum")) / Number(of("count")));
      if (kind === "min" || kind === "max" || kind === "last") put(metric, of(kind));
      if (kind === "total") put(metric, of("last"));
      if ((kind === "state" || kind === "info") && of("last"))
        put(metric, 1, { [label]: String(of("last")) });
      if (kind === "seconds")
        for (const [column, seconds] of Object.entries(columns)) {
          const state = column.slice(`state ${rolled.name} `.length);
          if (column.startsWith(`state ${rolled.name} `)) put(metric, seconds, { [label]: state });
        }
    }
    put(rowsMetric(m), rows);
  }
  return wanted;
}

/** Whether a hub has a value: VictoriaMetrics keeps twelve digits, which a mean or a product may exceed. */
function isSame(is: number, value: number): boolean {
  const exceeds = Number(value.toPrecision(11)) !== value;
  return is === value || (exceeds && Math.abs(is - value) <= 1e-11 * Math.abs(value));
}

/**
 * The differences between a hub's minutes and what they must be, in words: the first ten.
 * @param minutes of each measurement, by its name.
 * @param before minutes from this moment on do not count; seconds since 1970.
 * @param from minutes before this moment do not count.
 */
export async function differencesAt(
  hub: VictoriaMetrics,
  site: string,
  model: Model,
  minutes: ReadonlyMap<string, Expected>,
  before = Infinity,
  from = -Infinity,
): Promise<{ differences: string[]; samples: number }> {
  const metrics = [
    ...uplinkSeries(model).map(({ metric }) => metric),
    ...model.measurements.map(rowsMetric),
  ];
  const zeros = new Set(
    uplinkSeries(model).flatMap(({ kind, metric }) =>
      kind === "state" || kind === "seconds" ? [metric] : [],
    ),
  );
  const found = await foundAt(hub, site, metrics);
  const counts = (key: string) => {
    const minute = Number(key.slice(key.lastIndexOf(" ")));
    return minute >= from && minute < before;
  };
  const differences: string[] = [];
  let samples = 0;
  for (const m of model.measurements)
    for (const [key, value] of wantedOf(site, model, m, minutes.get(m.name) ?? new Map())) {
      const is = found.get(key);
      found.delete(key);
      if (!counts(key)) continue;
      samples += 1;
      if (is === undefined || !isSame(is, value)) differences.push(`${key}: ${is}, not ${value}`);
    }
  for (const [key, value] of found) {
    const [, metric = ""] = /"__name__","(\w+)"/.exec(key) ?? [];
    if (!counts(key)) continue;
    // A row with no value but a state has no other series, and a state's time is told once it is known.
    if (value !== 0 || !zeros.has(metric)) differences.push(`${key}: ${value}, not wanted`);
  }
  return { differences: differences.slice(0, 10), samples };
}
