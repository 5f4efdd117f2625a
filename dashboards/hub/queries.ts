import type { Builder, Dataquery } from "@grafana/grafana-foundation-sdk/cog";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import type { Model } from "../../configs/model";
import { units } from "../../configs/units";
import { siteLabel, siteMetrics, type UplinkSeries, uplinkSeries } from "../../configs/uplink";

/** uid of the hub's data source, which speaks PromQL. */
export const hubSource = "bess-hub";

/** Reference to it, as panels and variables hold it. */
export const hubReference = { type: "prometheus", uid: hubSource };

/** One query of a panel. */
export interface HubQuery {
  expr: string;
  /** Legend of a line. Default: none, for a table has columns instead. */
  legend?: string;
  /** Whether one moment is asked for: the end of the time that is shown. Default: a line over it. */
  instant?: true;
}

/** A query as Grafana's Prometheus data source stores it: at one moment a table, else lines. */
export function hubQuery({ expr, legend, instant }: HubQuery, refId: string): Builder<Dataquery> {
  const made = new DataqueryBuilder().refId(refId).datasource(hubReference).expr(expr);
  if (legend !== undefined) made.legendFormat(legend);
  return instant ? made.instant().format(PromQueryFormat.Table) : made.range();
}

/** Series of the sites that are chosen. */
const chosen = `${siteLabel}=~"$site"`;

/** A metric's series. @param where a filter by labels. Default: the chosen sites. */
export const series = (metric: string, where = chosen): string =>
  `${metric}${where ? `{${where}}` : ""}`;

const isPower = (unit: UplinkSeries["unit"]) => units[unit].measures === "power";

/** A model's averages of a state of charge. */
const socOf = (model: Model): UplinkSeries[] =>
  uplinkSeries(model).filter(
    ({ kind, measurement, rolled }) =>
      kind === "avg" &&
      measurement.fields.find(({ name }) => name === rolled.name)?.quantity === "state_of_charge",
  );

/**
 * The one average by which a model tells its site's power: a field of power, else what is derived of the
 * AC side, else of the DC side. Of several, the first measurement's: the same power is measured again
 * further on.
 */
function powerOf(model: Model): UplinkSeries | undefined {
  const averages = uplinkSeries(model).filter(({ kind, unit }) => kind === "avg" && isPower(unit));
  const quantity = ({ measurement, rolled }: UplinkSeries) =>
    measurement.fields.find(({ name }) => name === rolled.name)?.quantity;
  return (
    averages.find((it) => quantity(it) === "power") ??
    averages.find(({ rolled }) => rolled.name === "_power_ac") ??
    averages.find(({ rolled }) => rolled.terms)
  );
}

/** The one that is there of several formulas: a site has one model. */
const either = (formulas: readonly string[]): string | undefined =>
  formulas.length > 0 ? [...new Set(formulas)].join(" or ") : undefined;

/** Average state of charge of each site in %; undefined where no model has one. */
export const soc = (models: readonly Model[], where?: string) =>
  either(
    models.flatMap((model) =>
      socOf(model)
        .slice(0, 1)
        .map(({ metric }) => `avg by (${siteLabel}) (${series(metric, where)})`),
    ),
  );

/**
 * Watts that a site gives, over zero, or takes; undefined where no model has a power.
 * @param over time that it is averaged over. Default: a minute, as it comes.
 */
export const power = (models: readonly Model[], where?: string, over?: string) =>
  either(
    models.flatMap((model) => {
      const found = powerOf(model);
      if (!found) return [];
      const { measurement, rolled, unit, metric } = found;
      const field = measurement.fields.find(({ name }) => name === rolled.name);
      const factor = Number(units[unit].factor) * (field?.positive === "charging" ? -1 : 1);
      const scaled = factor === 1 ? "" : ` * ${factor}`;
      const each = series(metric, where);
      const averaged = over === undefined ? each : `avg_over_time(${each}[${over}])`;
      return [`sum by (${siteLabel}) (${averaged})${scaled}`];
    }),
  );

/**
 * Kilowatt hours of each site in a range, of the average power of each quarter of an hour: a query within
 * a query has 100,000 points at most, of which minutes of a year are too many.
 * @param sign of what is counted.
 */
export const energy = (models: readonly Model[], sign: "out" | "in", range: string) => {
  const watts = power(models, undefined, "15m");
  const one = sign === "out" ? "> 0" : "< 0";
  return (
    watts &&
    `${sign === "in" ? "-" : ""}sum_over_time(((${watts}) ${one})[${range}:15m]) / 4 / 1000`
  );
};

/** Seconds since a site's newest minute ended; a silent site is remembered for a day. */
export const age = (where = chosen): string =>
  `time() - max by (${siteLabel}) (tlast_over_time(${series(siteMetrics.info, where)}[1d]))`;

/** Alerts of each site that fire. */
export const firing = (where = chosen): string =>
  `sum by (${siteLabel}) (${series(siteMetrics.alerts, `alertstate="firing"${where ? `,${where}` : ""}`)})`;

/** Each alert of the sites that fires, as labels. */
export const firingNames = (where = chosen): string =>
  `sum by (${siteLabel}, severity, alertname, unit, alertstate) (${series(siteMetrics.alert, where)})`;

/** Sites that are muted, by hand or while a rollout works there. */
export const muted = (where = ""): string =>
  `max by (${siteLabel}) (last_over_time(${series(siteMetrics.muteEnds, where)}[1d])) > time()`;

/** What a site runs, as labels. */
export const info = (where = chosen): string =>
  `max by (${siteLabel}, version, model) (${series(siteMetrics.info, where)})`;

/** Series that each site has sent within five minutes. */
export const activeSeries = (where = chosen): string =>
  `count by (${siteLabel}) ({${where},__name__=~"bess_.+"})`;
