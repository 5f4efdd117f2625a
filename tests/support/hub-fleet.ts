import type { Model } from "../../configs/model";
import { units as unitsOfModels } from "../../configs/units";
import {
  pipelineMetrics,
  rowsMetric,
  siteLabel,
  siteMetrics,
  tagLabel,
  uplinkSeries,
} from "../../configs/uplink";

/** A series that a simulated site sends, and its value at a minute. */
export interface SimulatedSeries {
  labels: Record<string, string>;
  value: (minute: number) => number;
}

/** States that a mode is told as. */
const states = ["charging", "discharging", "standby"];

/** A value around a middle with two digits, as a device tells it. @param seed tells one series from another. */
const measured = (seed: number) => (minute: number) =>
  Math.round(
    100 * (20 + 60 * Math.sin(minute / 5 + seed) + 2 * Math.sin(minute * 12.9898 + seed * 78.233)),
  ) / 100;

/** Two cycles a day, the same for all units of a site: its charge, and the power that makes it. */
const cycled = (middle: number, height: number, turn: number, phase: number) => (minute: number) =>
  Math.round(
    100 *
      (middle +
        height * Math.sin((minute / 720) * 2 * Math.PI + turn + phase) +
        0.01 * height * Math.sin(minute * 12.9898 + phase)),
  ) / 100;

/** All series of one site, of the names that its uplink gives them. @param units of each measurement. */
export function simulatedSeries(model: Model, site: string, units = 2): SimulatedSeries[] {
  const made: SimulatedSeries[] = [];
  const seedOf = new Map<string, number>();
  const add = (
    metric: string,
    labels: Record<string, string>,
    value?: SimulatedSeries["value"],
  ) => {
    // The units of one battery charge and discharge together: one phase for a metric at a site.
    const seed = seedOf.get(metric) ?? seedOf.size;
    seedOf.set(metric, seed);
    made.push({
      labels: { __name__: metric, ...labels, [siteLabel]: site },
      value: value ?? measured(seed + site.length + Number(/\d+/.exec(site)?.[0] ?? 0)),
    });
  };
  const tagsOf = (m: Model["measurements"][number], unit: number) =>
    Object.fromEntries(m.tags.map(({ name }) => [tagLabel(name), `${name}-${unit}`]));
  const number = Number(/\d+/.exec(site)?.[0] ?? 0);
  for (let unit = 1; unit <= units; unit++) {
    for (const { metric, kind, measurement, rolled, unit: of, label } of uplinkSeries(model)) {
      const tags = tagsOf(measurement, unit);
      const quantity = measurement.fields.find(({ name }) => name === rolled.name)?.quantity;
      const phase = site.length + number;
      const factor = Number(unitsOfModels[of].factor);
      if (quantity === "state_of_charge") add(metric, tags, cycled(50, 40 - unit, 0, phase));
      else if (unitsOfModels[of].measures === "power")
        // Over zero: out of the battery.
        add(metric, tags, cycled(-2000 / factor, 90_000 / factor, -Math.PI / 2, phase));
      else if (label === undefined) add(metric, tags);
      else
        states.forEach((state, i) =>
          add(metric, { ...tags, [label]: state }, (minute) =>
            kind === "seconds" ? 20 : Number(Math.floor(minute / 60) % states.length === i),
          ),
        );
    }
    for (const m of model.measurements) add(rowsMetric(m), tagsOf(m, unit), () => 60);
  }
  for (const { metric } of pipelineMetrics) add(metric, {}, cycled(40, 5, 0, number));
  add(siteMetrics.info, { version: "0.2.0", model: model.name }, () => 1);
  // Every seventh site has an alert.
  const isBad = number % 7 === 1;
  add(siteMetrics.alerts, { alertstate: "firing" }, () => Number(isBad));
  add(siteMetrics.alerts, { alertstate: "muted" }, () => 0);
  if (isBad) {
    const alert = { alertname: "BessUnitSilentBattery", severity: "critical", unit: "id-2" };
    add(siteMetrics.alert, { ...alert, alertstate: "firing" }, () => 1);
  }
  add(siteMetrics.muteEnds, {}, () => 0);
  add(siteMetrics.lag, {}, () => 40);
  return made;
}

/** A series with its values of some minutes, as a line of `/api/v1/import`. @param last in seconds since 1970. */
export const importLine = (
  { labels, value }: SimulatedSeries,
  last: number,
  minutes: number,
): string => {
  const first = last / 60 - minutes + 1;
  const indices = Array.from({ length: minutes }, (_, i) => first + i);
  return JSON.stringify({
    metric: labels,
    values: indices.map(value),
    timestamps: indices.map((minute) => minute * 60_000),
  });
};
