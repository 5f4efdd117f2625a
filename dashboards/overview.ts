import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import type { Field, Measurement, Model } from "../configs/model";
import { units } from "../configs/units";
import { activeAlerts, alertsOff, state } from "./alerts";
import * as panels from "./panels";
import * as queries from "./queries";

const withQuantity = (m: Measurement, quantity: Field["quantity"]) =>
  m.fields.filter((f) => f.quantity === quantity);

/** Latest state of charge of each unit, as bars. */
const stateOfCharge = (m: Measurement) =>
  withQuantity(m, "state_of_charge").map((f) =>
    panels.fieldBars(m, f, `${queries.sentence(f.meaning)}: ${m.title}`),
  );

/** Modes of each unit over time: all flags in one panel, and one for each other mode. */
function modes(m: Measurement) {
  const flags = queries.modeFlags(m);
  const others = withQuantity(m, "mode").filter((f) => !flags.includes(f));
  return [
    ...(flags.length > 0 ? [panels.flagStates(m)] : []),
    ...others.map((f) => panels.fieldStates(m, f)),
  ].map((p) => p.title(`Mode: ${m.title}`));
}

/** Powers of each unit over time. */
const powers = (m: Measurement) =>
  queries.powers(m).map((power) => panels.powerLines(m, power, `${power.title}: ${m.title}`));

/** Mean of a current, drawn below zero where it flows in. */
function currentTarget(m: Measurement, f: Field): panels.Target {
  const isIn = f.quantity === "current_in";
  const name = queries.quote(f.name);
  return panels.rolled(
    queries.series(m, `mean(${name})${isIn ? " * -1" : ""} AS ${name}`),
    queries.unitLegend(m, isIn ? "in" : "out"),
  );
}

/** Where energy flows now: the power of each unit, in or out. */
const flows = (m: Measurement) =>
  queries.powers(m).map((power) => panels.flow(m, power, `Now: ${power.title}, ${m.title}`));

/** Currents with a field for each direction, in one panel: out over zero, in below. */
function currents(m: Measurement) {
  const fields = [...withQuantity(m, "current_out"), ...withQuantity(m, "current_in")];
  const [first] = fields;
  if (!first) return [];
  const meanings = fields.map((f) => panels.describe(m, f));
  return [
    panels
      .panel(
        panels.paced(m),
        `Current in and out: ${m.title}`,
        [...meanings, "Over zero: out; below: in."].join("\n\n"),
        fields.map((f) => currentTarget(m, f)),
      )
      .unit(units[first.unit].grafana)
      .axisCenteredZero(true)
      .axisLabel(panels.inOut),
  ];
}

/** Messages of each unit, in percent of those expected. */
function messages({ measurements }: Model) {
  const expected = measurements.map(
    (m) => `${m.title}: ${queries.expectedPerMinute(m)} a minute are expected of each unit.`,
  );
  return panels
    .panel(
      panels.bars(),
      "Received of expected",
      [
        "Over the last five minutes, or over ten messages where they come more rarely. " +
          "A silent unit stays here for an hour.",
        ...expected,
      ].join("\n\n"),
      measurements.map((m) => ({
        query: queries.received(m),
        legend: queries.unitLegend(m, m.title),
      })),
    )
    .unit("percent")
    .decimals(0)
    .min(0)
    .max(100)
    .thresholds(panels.steps("red", [50, "orange"], [95, "green"]));
}

/**
 * The site at a glance: its state, charge, power, mode and freshness of every unit.
 * @param alerts whether the site has alerts.
 */
export function overview(model: Model, title: string, alerts: boolean): Dashboard {
  const { measurements } = model;
  const board = panels.board(
    "bess-overview",
    title,
    `${model.title} at a glance: what is wrong, charge, power, mode and freshness of every unit.`,
  );
  panels.tagVariables(model).forEach((variable) => board.withVariable(variable));
  if (alerts) {
    board.withPanel(state().span(12).height(5));
    board.withPanel(activeAlerts().span(12).height(5));
  } else panels.place(board, 2, [alertsOff()]);
  panels.place(board, 5, measurements.flatMap(flows), 4);
  panels.place(board, 6, measurements.flatMap(stateOfCharge));
  panels.place(board, 7, [...measurements.flatMap(powers), ...measurements.flatMap(currents)], 4);
  panels.place(board, 9, [...measurements.map(panels.ages), messages(model)], 4);
  panels.place(board, 6, measurements.flatMap(modes));
  return panels.finished(board);
}
