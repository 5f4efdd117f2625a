import * as common from "@grafana/grafana-foundation-sdk/common";
import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import { PanelBuilder as Stat } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as Table } from "@grafana/grafana-foundation-sdk/table";
import type { PanelBuilder as TimeSeries } from "@grafana/grafana-foundation-sdk/timeseries";
import { leastSwing } from "../configs/indicators";
import type { Measurement, Model } from "../configs/model";
import { figureNames, figureTables, type NamedFigure, statePattern } from "../configs/performance";
import { units } from "../configs/units";
import * as panels from "./panels";
import * as queries from "./queries";

/** uid of the dashboard. */
export const uid = "bess-performance";

/** What a panel says before the first day is over. */
const noDay = "No day is over yet: figures come with the first midnight of the site";

/** What the capacity says before a discharge tells it. */
const noDischarge = `No discharge has gone through ${leastSwing} % of the state of charge yet`;

/** How long months are looked back at. */
const months = "400d";

/** A figure's name as people read it: `energy_charged` is `Energy charged`. */
const readable = ({ name }: Pick<NamedFigure, "name">) => {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

const grafanaUnit = ({ unit }: NamedFigure) =>
  unit === "%/year" ? "suffix: %/year" : units[unit].grafana;

/** Figures that say the same of all units together as a sum or a mean; the first that a measurement has. */
const shown = (m: Measurement, names: readonly string[]): NamedFigure[] =>
  figureNames(m).filter(({ name }) => names.includes(name));

/** The figures that a month is judged by. */
const ofMonth = [
  "energy_charged",
  "energy_discharged",
  "round_trip_efficiency",
  "equivalent_full_cycles",
  "availability",
  "completeness",
];

const from = (table: string) => `FROM ${queries.quote(table)} WHERE ${queries.inTimeRange}`;

const select = (figures: readonly NamedFigure[]) =>
  figures.map((f) => `${queries.quote(f.name)} AS ${queries.quote(readable(f))}`).join(", ");

/** Figures of each unit that is chosen, in the order of time. */
const byUnit = (m: Measurement, table: string, figures: readonly NamedFigure[]) =>
  `SELECT ${select(figures)} ${from(table)} AND ${queries.chosen(m)} GROUP BY ${queries.byUnit(m)}`;

/** A query of figures, which the reader answers. */
const asked = (query: string, legend?: string): panels.Target => ({
  source: queries.sources.rollups,
  query,
  legend,
});

/** Where a figure's formula stands. */
const source = "docs/indicators.md has the formulas.";

/** A month's figures as large numbers, of all units together. */
function monthNumbers(m: Measurement): Stat {
  const figures = shown(m, ofMonth);
  const made = panels.panel(
    new Stat(),
    `This month: ${m.title}`,
    `All units together, from the first of the month to the last midnight. ${source}`,
    [asked(`SELECT ${select(figures)} ${from(figureTables(m).siteMonthly)}`)],
  );
  made
    .timeFrom("31d")
    .hideTimeOverride(true)
    .noValue(noDay)
    .colorMode(common.BigValueColorMode.None)
    .graphMode(common.BigValueGraphMode.None)
    .decimals(1)
    .reduceOptions(panels.reduced("lastNotNull").fields("/^(?!Time$)/"));
  figures.forEach((f) => made.overrideByName(readable(f), [{ id: "unit", value: grafanaUnit(f) }]));
  return made;
}

/** Bars of a day each. */
const bars = (title: string, description: string, targets: panels.Target[]): TimeSeries =>
  panels
    .panel(panels.lines(), title, description, targets)
    .noValue(noDay)
    .drawStyle(common.GraphDrawStyle.Bars)
    .fillOpacity(70)
    .barAlignment(common.BarAlignment.After);

/** Energy of each day: out over zero, in below. */
function energies(m: Measurement): TimeSeries[] {
  const figures = shown(m, ["energy_charged", "energy_discharged"]);
  if (figures.length === 0) return [];
  return [
    bars(
      `Energy by day: ${m.title}`,
      `All units together. Over zero: discharged, out of the battery; below: charged, into it. ${source}`,
      [asked(`SELECT ${select(figures)} ${from(figureTables(m).siteDaily)}`, "[[col]]")],
    )
      .unit(units.kWh.grafana)
      .axisCenteredZero(true)
      .axisLabel(panels.inOut)
      .overrideByName("Energy charged", [
        { id: "custom.transform", value: common.GraphTransform.NegativeY },
        { id: "color", value: { mode: "fixed", fixedColor: "blue" } },
      ])
      .overrideByName("Energy discharged", [
        { id: "color", value: { mode: "fixed", fixedColor: "orange" } },
      ]),
  ];
}

/** Hours of each day in each state, stacked, of all units together. */
const hours = (m: Measurement): TimeSeries[] =>
  m.fields
    .filter((f) => f.quantity === "mode")
    .map((f) =>
      bars(
        `Hours by day: ${queries.sentence(f.meaning)}`,
        `${panels.describe(m, f)} All units together: a day has 24 hours of each. ${source}`,
        [asked(`SELECT /${statePattern(f)}/ ${from(figureTables(m).siteDaily)}`, "[[col]]")],
      )
        // Grafana's own unit would write days.
        .unit("suffix: h")
        .min(0)
        .stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal))
        .withTransformation({
          id: "renameByRegex",
          options: { regex: `hours_${f.name}_(.*)`, renamePattern: "$1" },
        }),
    );

/** What the figures of hours outside a range begin with. */
const outside = /^hours_outside_/;

/** Short heads of columns: a whole name would be cut off. */
const heads: Partial<Record<string, string>> = {
  energy_charged: "Charged",
  energy_discharged: "Discharged",
  round_trip_efficiency: "Efficiency",
  equivalent_full_cycles: "Cycles",
  depth_of_discharge: "Depth",
  state_of_health: "Health",
  state_of_health_trend: "Health trend",
};

const headOf = (f: NamedFigure) =>
  heads[f.name] ?? readable({ name: f.name.replace(outside, "").replace(/^spread_/, "Δ ") });

/** Every figure of each month and unit, the newest first: those of hours outside a range on their own. */
function monthTables(m: Measurement): Table[] {
  const figures = figureNames(m);
  const hours = figures.filter(({ name }) => outside.test(name));
  const others = figures.filter((f) => !hours.includes(f));
  return [
    monthTable(m, `Months: ${m.title}`, "What each unit did in each of the last months.", others),
    ...(hours.length > 0
      ? [
          monthTable(
            m,
            `Hours outside the normal range: ${m.title}`,
            "Hours of each of the last months in which a value of a unit was outside its `range`.",
            hours,
          ),
        ]
      : []),
  ];
}

function monthTable(
  m: Measurement,
  title: string,
  description: string,
  figures: readonly NamedFigure[],
): Table {
  const made = panels
    .panel(new Table(), title, `${description} ${source}`, [
      asked(byUnit(m, figureTables(m).monthly, figures)),
    ])
    .timeFrom(months)
    .hideTimeOverride(true)
    .noValue(noDay)
    .minWidth(90)
    .decimals(1)
    .withTransformation({ id: "sortBy", options: { sort: [{ field: "Time", desc: true }] } })
    .withTransformation(
      panels.ordered(["Time", ...m.tags.map((t) => t.name), ...figures.map(readable)]),
    )
    .overrideByName("Time", [
      { id: "displayName", value: "Month" },
      { id: "unit", value: "time:YYYY-MM" },
    ]);
  figures.forEach((f) =>
    made.overrideByName(readable(f), [
      { id: "displayName", value: headOf(f) },
      { id: "unit", value: grafanaUnit(f) },
      { id: "noValue", value: "–" },
      { id: "mappings", value: [panels.dash] },
    ]),
  );
  return made;
}

/** What changes over the years, a point for each day. */
const trends = (m: Measurement): TimeSeries[] =>
  shown(m, [
    "state_of_health",
    "capacity",
    "round_trip_efficiency",
    "equivalent_full_cycles",
    "availability",
    "completeness",
    "spread_voltage_max",
    "spread_temperature_max",
  ]).map((f) =>
    panels
      .panel(panels.lines(), `${readable(f)}: ${m.title}`, `Of each unit by day. ${source}`, [
        asked(byUnit(m, figureTables(m).daily, [f]), queries.unitLegend(m)),
      ])
      .noValue(f.name === "capacity" ? noDischarge : noDay)
      .timeFrom(months)
      .hideTimeOverride(true)
      .unit(grafanaUnit(f))
      .fillOpacity(0)
      .showPoints(common.VisibilityMode.Always)
      // A day on which a unit did nothing has no efficiency.
      .spanNulls(true),
  );

/** How well the battery does, by day and by month. */
export function performance(model: Model, title: string): Dashboard {
  const board = panels
    .board(uid, title, "What the battery has done, by day and by month, and how that changes.")
    .time({ from: "now-31d", to: "now" })
    .refresh("15m");
  panels.tagVariables(model).forEach((variable) => board.withVariable(variable));
  for (const m of model.measurements) {
    panels.row(board, m.title);
    panels.place(board, 4, [monthNumbers(m)]);
    panels.place(board, 9, [...energies(m), ...hours(m)], 2);
    panels.place(board, 6, monthTables(m), 1);
    panels.place(board, 7, trends(m), 3);
  }
  return panels.finished(board);
}
