import { countedTables } from "../../configs/influxdb";
import type { Measurement, Model } from "../../configs/model";
import { durationSeconds } from "../../configs/units";
import type { GateFigures } from "./record";

/** What a battery sends, and what its site tells of it. */
export interface Signals {
  /** Rows a minute, by the measurement; 0 where none came. */
  rates: Record<string, number>;
  /** Rows from which that was reckoned. */
  rows: Record<string, number>;
  /** Messages a minute that Telegraf dropped. */
  drops: number;
  /** Names of the alerts that fire. */
  alerts: string[];
  /** Seconds after an update from which on enough rows are due to judge their number. */
  settleSeconds: number;
}

/** Rows that a rate is reckoned from at least, and that must be due before their number is judged. */
const enough = 5;

/** How many times as many, or as few, may come after an update as before. */
const band = 2;

/** Seconds that a measurement is looked at before an update: as long as it takes some rows. */
export const lookBack = ({ interval }: Pick<Measurement, "interval">): number =>
  Math.min(86_400, Math.max(300, (enough + 1) * durationSeconds(interval)));

/** Query in SQL for a measurement's rows in the last seconds, and the age of the oldest of them. */
export const rowsQuery = ({ name }: Pick<Measurement, "name">, seconds: number): string =>
  `SELECT count(*) AS count, to_unixtime(now()) - to_unixtime(min(time)) AS age FROM "${name}" ` +
  `WHERE time >= now() - INTERVAL '${Math.ceil(seconds)} seconds' AND time <= now()`;

/** Query in SQL, to the pipeline's database, for the messages that were dropped in the last seconds. */
export const dropsQuery = (seconds: number): string =>
  `SELECT sum("count") AS count FROM "${countedTables.drops.table}" ` +
  `WHERE time >= now() - INTERVAL '${Math.ceil(seconds)} seconds'`;

/** A count over some seconds, as one of a minute. */
export const perMinute = (count: number, seconds: number): number =>
  Math.round((count * 600) / Math.ceil(seconds)) / 10;

/**
 * What is wrong with what a battery sends after an update. A measurement that came must come again, at
 * about the same rate, as far as enough rows are due by now; drops must not rise, and no alert start.
 * @param seconds over which `after` was counted.
 */
export function compareSignals(before: Signals, after: Signals, seconds: number): GateFigures {
  const rates = Object.fromEntries(
    Object.entries(before.rates).flatMap(([name, rate]) =>
      rate > 0 ? [[name, { before: rate, after: after.rates[name] ?? 0 }]] : [],
    ),
  );
  const ofRates = Object.entries(rates).flatMap(([name, { before: was, after: is }]) => {
    if ((before.rows[name] ?? 0) < enough || (was * seconds) / 60 < enough) return [];
    if (is >= was / band && is <= was * band) return [];
    return [`${name} comes ${is} times a minute, and came ${was} times before`];
  });
  const drops = { before: before.drops, after: after.drops };
  // One dropped message may be what the broker has delivered again.
  const isMore = drops.after > drops.before * 1.5 && (drops.after * seconds) / 60 >= 2;
  const alerts = after.alerts.filter((name) => !before.alerts.includes(name));
  return {
    findings: [
      ...ofRates,
      ...(isMore
        ? [`${drops.after} messages a minute are dropped, and ${drops.before} were before`]
        : []),
      ...(alerts.length > 0 ? [`alerts that began: ${alerts.join(", ")}`] : []),
    ],
    rates,
    drops,
    alerts,
  };
}

/** Seconds in which enough rows of a model's fastest measurement are due. */
export const settleSeconds = ({ measurements }: Model): number =>
  Math.min(60, enough * Math.min(...measurements.map((m) => durationSeconds(m.interval))));
