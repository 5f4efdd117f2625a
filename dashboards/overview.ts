import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import type { Field, Measurement, Model } from "../configs/model";
import { units } from "../configs/units";
import * as panels from "./panels";
import * as queries from "./queries";

const withQuantity = (m: Measurement, quantity: Field["quantity"]) =>
  m.fields.filter((f) => f.quantity === quantity);

const stateOfCharge = (m: Measurement) =>
  withQuantity(m, "state_of_charge").map((f) =>
    panels.fieldBars(m, f, `${queries.sentence(f.meaning)}: ${m.title}`),
  );

function modes(m: Measurement) {
  const flags = queries.modeFlags(m);
  const others = withQuantity(m, "mode").filter((f) => !flags.includes(f));
  return [
    ...(flags.length > 0 ? [panels.flagStates(m)] : []),
    ...others.map((f) => panels.fieldStates(m, f)),
  ].map((p) => p.title(`Mode: ${m.title}`));
}

const power = (m: Measurement) =>
  queries.powers(m).map((p) => panels.powerLines(m, p, `${p.title}: ${m.title}`));

/** Currents of which each has a sign of its own, drawn as one: out over zero, in below. */
function currents(m: Measurement) {
  const [into, out] = [withQuantity(m, "current_in"), withQuantity(m, "current_out")];
  const all = [...out, ...into];
  if (all.length === 0) return [];
  const targets = all.map((f) => ({
    query: queries.series(
      m,
      `mean(${queries.quote(f.name)})${into.includes(f) ? " * -1" : ""} AS ${queries.quote(f.name)}`,
    ),
    legend: queries.unitLegend(m, into.includes(f) ? "in" : "out"),
  }));
  const description = all.map((f) => panels.describe(m, f)).join("\n\n");
  return [
    panels
      .panel(
        panels.paced(m),
        `Current in and out: ${m.title}`,
        `${description}\n\nOver zero: out; below: in.`,
        targets,
      )
      .unit(units[all[0].unit])
      .axisCenteredZero(true)
      .axisLabel(panels.inOut),
  ];
}

const messages = (model: Model) =>
  panels
    .panel(
      panels.bars(),
      "Received of expected",
      [
        "Over the last five minutes, or over ten messages where they come more rarely. A silent unit stays here for an hour.",
        ...model.measurements.map(
          (m) => `${m.title}: ${queries.expectedPerMinute(m)} a minute are expected of each unit.`,
        ),
      ].join("\n\n"),
      model.measurements.map((m) => ({
        query: queries.received(m),
        legend: queries.unitLegend(m, m.title),
      })),
    )
    .unit("percent")
    .decimals(0)
    .min(0)
    .max(100)
    .thresholds(panels.steps("red", [50, "orange"], [95, "green"]));

/** The site at a glance: charge, power, mode and freshness of every unit. */
export function overview(model: Model, title: string): Dashboard {
  const tags = [...new Set(model.measurements.flatMap((m) => m.tags.map((t) => t.name)))];
  const board = panels.board(
    "bess-overview",
    title,
    `${model.title} at a glance: charge, power, mode and freshness of every unit.`,
  );
  tags.forEach((tag) => {
    const tables = model.measurements
      .filter((m) => m.tags.some((t) => t.name === tag))
      .map((m) => m.name);
    board.withVariable(panels.tagVariable(tables, tag, tag));
  });
  panels.place(board, 6, [
    ...model.measurements.flatMap(stateOfCharge),
    ...model.measurements.flatMap(modes),
  ]);
  panels.place(
    board,
    7,
    [...model.measurements.flatMap(power), ...model.measurements.flatMap(currents)],
    4,
  );
  panels.place(board, 9, [messages(model), ...model.measurements.map(panels.ages)], 4);
  return panels.finished(board);
}
