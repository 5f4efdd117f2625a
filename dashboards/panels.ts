import * as common from "@grafana/grafana-foundation-sdk/common";
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import type { PanelBuilder as AnnotationsList } from "@grafana/grafana-foundation-sdk/annotationslist";
import { PanelBuilder as BarGauge } from "@grafana/grafana-foundation-sdk/bargauge";
import type { PanelBuilder as Heatmap } from "@grafana/grafana-foundation-sdk/heatmap";
import { PanelBuilder as Stat } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as StateTimeline } from "@grafana/grafana-foundation-sdk/statetimeline";
import { PanelBuilder as Table } from "@grafana/grafana-foundation-sdk/table";
import { PanelBuilder as TextPanel, TextMode } from "@grafana/grafana-foundation-sdk/text";
import { PanelBuilder as TimeSeries } from "@grafana/grafana-foundation-sdk/timeseries";
import type { Field, Measurement, Model } from "../configs/model";
import { durationSeconds, units } from "../configs/units";
import * as queries from "./queries";

/** A panel with queries that is still being built, of any of the kinds that are used here. */
type AskingPanel = TimeSeries | StateTimeline | Stat | BarGauge | Table | Heatmap;
/** A panel that is still being built. A `PanelBuilder` has the kinds that the SDK has no builder of. */
export type AnyPanel = AskingPanel | AnnotationsList | TextPanel | dashboard.PanelBuilder;

/** A query and what belongs to it. */
export interface Target extends queries.TargetOptions {
  query: string;
}

/** Letters from A, as Grafana names a panel's queries. */
const refId = (index: number) => String.fromCharCode("A".charCodeAt(0) + index);

/** What a panel says where nothing is answered. Grafana's own words are “No data”. */
const nothing = {
  [queries.sources.telemetry]: "Nothing came in this time; “Pipeline” shows where messages end",
  [queries.sources.rollups]:
    "Nothing came in this time; choose a longer one, or look at “Pipeline”",
  [queries.sources.pipeline]: "Nothing was recorded in this time",
  [queries.sources.history]: "No alert has ended in this time",
} satisfies Record<queries.InfluxQlSource, string>;

/** Gives a panel its title, its description, its queries, and what it says where they answer nothing. */
export function panel<P extends AskingPanel>(
  made: P,
  title: string,
  description: string,
  targets: Target[],
): P {
  const source = targets[0]?.source ?? queries.sources.telemetry;
  made.title(title).description(description).datasource(queries.reference(source));
  made.noValue(nothing[source]);
  made.targets(targets.map((t, i) => new queries.InfluxQueryBuilder(t.query, t, refId(i))));
  return made;
}

/** Threshold steps from colours and the values that they begin at. */
export const steps = (base: string, ...others: [value: number, color: string][]) =>
  new dashboard.ThresholdsConfigBuilder()
    .mode(dashboard.ThresholdsMode.Absolute)
    .steps([{ value: null, color: base }, ...others.map(([value, color]) => ({ value, color }))]);

/** Green within a field's normal range and red outside; green throughout without one. */
function normal(f: Field) {
  if (!f.range) return steps("green");
  // A step begins at its value, and the highest normal value is still normal.
  return steps("red", [f.range[0], "green"], [f.range[1] + 1e-9, "red"]);
}

/** Ends of an axis: of what can be for a percentage, else of what is normal. */
function ends({ unit, range }: Field): [low: number, high: number] | undefined {
  if (unit === "%") return [0, 100];
  // An axis needs two ends.
  return range && range[0] < range[1] ? range : undefined;
}

/** What a positive value of a field means, where it is not what the overview draws over zero. */
const signText = ({ positive }: Field) =>
  positive === "charging" ? " Positive while the battery charges." : "";

/** Says a field in words: its meaning, where it is stored and what is normal. */
export function describe(m: Measurement, f: Field): string {
  const unit = f.unit === "" ? "" : `, in ${f.unit}`;
  const range =
    f.range && !queries.isState(f) ? ` Normal: ${f.range[0]} to ${f.range[1]} ${f.unit}.` : "";
  return `${f.meaning} Field \`${f.name}\` of \`${m.name}\`${unit}.${range}${signText(f)}`;
}

const legend = () =>
  new common.VizLegendOptionsBuilder()
    .showLegend(true)
    .displayMode(common.LegendDisplayMode.List)
    .placement(common.LegendPlacement.Bottom);
const tooltip = () =>
  new common.VizTooltipOptionsBuilder()
    .mode(common.TooltipDisplayMode.Multi)
    .sort(common.SortOrder.Descending);
const palette = () =>
  new dashboard.FieldColorBuilder().mode(dashboard.FieldColorModeId.PaletteClassic);

/** Makes one value of a series: `lastNotNull`, `sum` and so on. */
export const reduced = (calculation: string) =>
  new common.ReduceDataOptionsBuilder().calcs([calculation]);

/** Lines over time. */
export const lines = () =>
  new TimeSeries()
    .lineWidth(1)
    .fillOpacity(8)
    .showPoints(common.VisibilityMode.Never)
    .colorScheme(palette())
    .legend(legend().calcs(["lastNotNull"]))
    .tooltip(tooltip());

/** Latest values as large numbers. */
export const numbers = () =>
  new Stat()
    .colorMode(common.BigValueColorMode.Value)
    .graphMode(common.BigValueGraphMode.Area)
    .reduceOptions(reduced("lastNotNull"));

/** A panel without a query, which says something in Markdown. */
export const words = (text: string) =>
  new TextPanel().content(text).mode(TextMode.Markdown).transparent(true);

/** Keeps the sentence for an empty answer from the colour of a value: nothing is no alarm, nor is it well. */
export const emptyIsGrey = (
  source: queries.InfluxQlSource = queries.sources.telemetry,
): dashboard.SpecialValueMap => ({
  type: dashboard.MappingType.SpecialValue,
  options: {
    match: dashboard.SpecialValueMatch.NullAndNan,
    result: { text: nothing[source], color: "#8e8e8e" },
  },
});

/** A dash for a value that is not there: a column without any would say “null”. */
export const dash: dashboard.SpecialValueMap = {
  type: dashboard.MappingType.SpecialValue,
  options: { match: dashboard.SpecialValueMatch.NullAndNan, result: { text: "–" } },
};

/** Latest values as horizontal bars. */
export const bars = () =>
  new BarGauge()
    .displayMode(common.BarGaugeDisplayMode.Basic)
    .orientation(common.VizOrientation.Horizontal)
    .showUnfilled(true)
    .minVizHeight(12)
    .maxVizHeight(40)
    // Grafana would write a lone unit's name in letters as high as its bar.
    .text(new common.VizTextDisplayOptionsBuilder().titleSize(12).valueSize(20))
    .mappings([emptyIsGrey()])
    .reduceOptions(reduced("lastNotNull"));

/**
 * Least interval that a measurement's messages are aggregated in, and the gap in ms from which on
 * nothing is drawn.
 */
const pace = (m: Measurement) => ({
  interval: m.interval,
  gap: durationSeconds(m.interval) * 10_000,
});

/** Lines that follow a measurement's messages; an outage is a gap, a late message is not. */
export const paced = (m: Measurement) =>
  lines().legend(legend()).interval(pace(m).interval).spanNulls(pace(m).gap);

/** States over time that follow a measurement's messages. */
const states = (m: Measurement) =>
  new StateTimeline()
    .interval(pace(m).interval)
    .spanNulls(pace(m).gap)
    .mergeValues(true)
    .showValue(common.VisibilityMode.Auto)
    .rowHeight(0.8)
    .lineWidth(0)
    .fillOpacity(70)
    .colorScheme(palette())
    .legend(legend().showLegend(false))
    .tooltip(tooltip());

/** A query that the reader answers from a tier where that is enough. */
export const rolled = (query: string, legend: string): Target => ({
  source: queries.sources.rollups,
  query,
  legend,
});

/** What the description says of a band. */
const bandText = "The band: lowest to highest value of the units shown, also within an interval.";

/** Fills from the highest to the lowest value, without a line or a place in the legend. */
function withBand(made: TimeSeries): TimeSeries {
  const shared = [
    property("custom.lineWidth", 0),
    property("custom.hideFrom", { legend: true, tooltip: false, viz: false }),
    property("color", { mode: "fixed", fixedColor: "#8e8e8e" }),
  ];
  return made
    .overrideByName(queries.bandEnds.low, [...shared, property("custom.fillOpacity", 0)])
    .overrideByName(queries.bandEnds.high, [
      ...shared,
      property("custom.fillBelowTo", queries.bandEnds.low),
      property("custom.fillOpacity", 12),
    ]);
}

/** Lines of a number, with the normal range on the axis and red beyond it. */
export function fieldLines(m: Measurement, f: Field): TimeSeries {
  const description = `${describe(m, f)}\n\n${bandText}`;
  const made = panel(withBand(paced(m)), queries.sentence(f.meaning), description, [
    rolled(queries.meanSeries(m, f), queries.unitLegend(m)),
    rolled(queries.bandSeries(m, f), "[[col]]"),
  ]);
  made.unit(units[f.unit].grafana).thresholds(normal(f));
  const axis = ends(f);
  if (axis) made.axisSoftMin(axis[0]).axisSoftMax(axis[1]);
  if (f.range)
    made
      .fillOpacity(0)
      .thresholdsStyle(
        new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Area),
      );
  return made;
}

/** Latest value of a number by unit, as bars between the ends of its axis. */
export function fieldBars(m: Measurement, f: Field, title: string): BarGauge {
  const query = queries.latest(m, `last(${queries.quote(f.name)})`);
  const made = panel(bars(), title, describe(m, f), [{ query, legend: queries.unitLegend(m) }]);
  made.unit(units[f.unit].grafana).thresholds(normal(f));
  const axis = ends(f);
  return axis ? made.min(axis[0]).max(axis[1]) : made;
}

/** Label of an axis around zero: in, below it, is charging; out is discharging. */
export const inOut = "in / out";

/** Lines of a power around zero. */
export const powerLines = (m: Measurement, power: queries.Power, title: string) =>
  panel(
    withBand(paced(m)),
    title,
    `${power.meaning} Over zero: discharging, out of the battery; below: charging, into it.\n\n${bandText}`,
    [rolled(power.query, queries.unitLegend(m)), rolled(power.band, "[[col]]")],
  )
    .unit(units[power.unit].grafana)
    .axisCenteredZero(true)
    .axisLabel(inOut);

/** Latest power of each unit, coloured by its direction. */
export const flow = (m: Measurement, power: queries.Power, title: string) =>
  panel(
    numbers().graphMode(common.BigValueGraphMode.None).wideLayout(false),
    title,
    `${power.meaning} Orange: discharging, out of the battery; blue and below zero: charging, into it.`,
    [{ query: power.latest, legend: queries.unitLegend(m) }],
  )
    .unit(units[power.unit].grafana)
    .mappings([emptyIsGrey()])
    .thresholds(steps("blue", [0, "text"], [Number.EPSILON, "orange"]));

/** Colours of the words that modes are commonly named by; any other keeps its row's colour. */
const modeWords: [pattern: string, color: string][] = [
  ["/fault|error|alarm|trip/i", "red"],
  ["/discharg/i", "orange"],
  ["/charg/i", "blue"],
  ["/standby|idle|wait|silent|stop|off/i", "#6e7681"],
];

/** A mapping of the texts that match a pattern to a colour. */
export const colored = (pattern: string, color: string): dashboard.RegexMap => ({
  type: dashboard.MappingType.RegexToText,
  options: { pattern, result: { color } },
});

const wordColors = modeWords.map(([pattern, color]) => colored(pattern, color));

/** A mapping from a state's number to its text and colour. */
const named = (options: dashboard.ValueMap["options"]): dashboard.ValueMap => ({
  type: dashboard.MappingType.ValueToText,
  options,
});

const yesOrNo = named({ 0: { text: "no", color: "#6e7681" }, 1: { text: "yes", color: "orange" } });

/** A text, a switch or a number of a mode, as states over time. */
export function fieldStates(m: Measurement, f: Field): StateTimeline {
  const made = panel(states(m), queries.sentence(f.meaning), describe(m, f), [
    rolled(queries.lastSeries(m, f), queries.unitLegend(m)),
  ]);
  return made.mappings(queries.isFlag(f) ? [yesOrNo] : wordColors);
}

const flagColors = ["green", "red", "blue", "yellow", "purple", "orange"];

/** All mode flags of a measurement in one row a unit. */
export function flagStates(m: Measurement): StateTimeline {
  const flags = queries.modeFlags(m);
  const options = Object.fromEntries(
    flags.map((f, i) => [2 ** i, { text: f.name, color: flagColors[i % flagColors.length] }]),
  );
  const description = [
    "The flag that is set; a number if several are.",
    ...flags.map((f) => `\`${f.name}\`: ${f.meaning}`),
  ].join("\n\n");
  return panel(states(m), "Mode", description, [
    rolled(queries.flagsSeries(m), queries.unitLegend(m)),
  ]).mappings([named({ 0: { text: "none", color: "#6e7681" }, ...options })]);
}

/** What a column of a table is set to. */
export const property = (id: string, value: unknown): dashboard.DynamicConfigValue => ({
  id,
  value,
});

const hidden = [property("custom.hidden", true)];

/** Puts a table's columns in this order: Grafana's own varies. */
export const ordered = (names: string[]): dashboard.DataTransformerConfig => ({
  id: "organize",
  options: { indexByName: Object.fromEntries(names.map((name, i) => [name, i])) },
});

/** Puts the columns that name the unit first, in the model's order. */
const unitFirst = (m: Measurement, others: string[]): dashboard.DataTransformerConfig =>
  ordered([...m.tags.map((t) => t.name), ...others]);

/** What a table of the pipeline's database has counted, and what it showed last. */
export const countedTable = (title: string, description: string, counted: queries.Counted): Table =>
  panel(new Table(), title, description, [
    { source: queries.sources.pipeline, query: queries.countedLast(counted) },
  ])
    .minWidth(90)
    .withTransformation(ordered([...counted.tags, "count", counted.last]))
    .overrideByName("count", [property("custom.width", 90)])
    .overrideByName("Time", hidden);

/** Age of each unit's latest point. */
export const ages = (m: Measurement) =>
  panel(
    new Table(),
    `Latest point: ${m.title}`,
    `When the latest point of each unit was measured. One is expected every ${m.interval}; ` +
      "a unit that is silent for an hour is not listed.",
    [{ query: queries.newest(m) }],
  )
    .minWidth(80)
    .withTransformation(unitFirst(m, ["Time"]))
    .overrideByName("Time", [
      property("custom.width", 140),
      property("displayName", "Measured"),
      property("unit", "dateTimeFromNow"),
    ])
    .overrideByName("last", hidden);

/** Age of a measurement's newest point, of whatever unit. */
export const newestPoint = (m: Measurement) =>
  panel(
    numbers(),
    `Newest point: ${m.title}`,
    "When the newest point in InfluxDB was measured: the whole pipeline's lag, " +
      "and the messages' interval.",
    [{ query: queries.newestOfAll(m) }],
  )
    .unit("dateTimeFromNow")
    .graphMode(common.BigValueGraphMode.None)
    .colorMode(common.BigValueColorMode.None)
    .reduceOptions(reduced("lastNotNull").fields("Time"));

/** Every field's latest value by unit, red where it is abnormal. */
export function valuesTable(m: Measurement): Table {
  const select = m.fields
    .map((f) => `last(${queries.quote(f.name)}) AS ${queries.quote(f.name)}`)
    .join(", ");
  const made = panel(new Table(), "Latest values", `${m.meaning} Red: outside the normal range.`, [
    { query: queries.latest(m, select) },
  ]);
  made
    .minWidth(90)
    .withTransformation(
      unitFirst(
        m,
        m.fields.map((f) => f.name),
      ),
    )
    .overrideByName("Time", hidden);
  m.fields.forEach((f) => made.overrideByName(f.name, column(f)));
  return made;
}

function column(f: Field): dashboard.DynamicConfigValue[] {
  const color = property("custom.cellOptions", { type: common.TableCellDisplayMode.ColorText });
  return [
    property("unit", units[f.unit].grafana),
    // A message may lack a value.
    property("noValue", "–"),
    ...(f.range ? [property("thresholds", normal(f).build()), color] : []),
  ];
}

/** Places panels in even lines of at most `perLine`, each as wide as the dashboard. */
export function place(
  board: dashboard.DashboardBuilder,
  height: number,
  panels: AnyPanel[],
  perLine = 3,
): void {
  const count = Math.ceil(panels.length / perLine);
  for (let line = 0; line < count; line++) {
    const part = panels.slice(
      Math.floor((line * panels.length) / count),
      Math.floor(((line + 1) * panels.length) / count),
    );
    part.forEach((p, i) => {
      const span = Math.floor((24 * (i + 1)) / part.length) - Math.floor((24 * i) / part.length);
      board.withPanel(p.span(span).height(height));
    });
  }
}

/** Starts a row of panels. */
export const row = (board: dashboard.DashboardBuilder, title: string) =>
  board.withRow(new dashboard.RowBuilder(title));

/** One variable for a tag: one, some or all of its values. */
export const tagVariable = (tables: string[], tag: string, label: string) =>
  new dashboard.QueryVariableBuilder(tag)
    .label(label)
    .datasource(queries.reference(queries.sources.telemetry))
    .query(queries.tagValues(tables, tag))
    .refresh(dashboard.VariableRefresh.OnDashboardLoad)
    .sort(dashboard.VariableSort.NaturalAsc)
    .multi(true)
    .includeAll(true)
    .allValue(".*")
    .current({ selected: true, text: ["All"], value: ["$__all"] });

/** Variables of a tag's values in every measurement that has it. */
export function tagVariables({ measurements }: Model) {
  const tags = [...new Set(measurements.flatMap((m) => m.tags.map((t) => t.name)))];
  return tags.map((tag) => {
    const having = measurements.filter((m) => m.tags.some((t) => t.name === tag));
    return tagVariable(
      having.map((m) => m.name),
      tag,
      tag,
    );
  });
}

/**
 * An empty dashboard with what all share: the links to each other, the time range, the refresh.
 * @param family those that it links to. Default: a site's.
 */
export const board = (
  uid: string,
  title: string,
  description: string,
  family = { tag: "bess", title: "BESS" },
) =>
  new dashboard.DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags([family.tag])
    .readonly()
    .time({ from: "now-15m", to: "now" })
    .refresh("5s")
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .link(
      new dashboard.DashboardLinkBuilder(family.title)
        .type(dashboard.DashboardLinkType.Dashboards)
        .tags([family.tag])
        .asDropdown(false)
        .keepTime(true),
    );

/** The dashboard as built, its panels numbered, so that a link to one of them lasts. */
export function finished(made: dashboard.DashboardBuilder): dashboard.Dashboard {
  const built = made.build();
  built.panels?.forEach((p, i) => (p.id = i + 1));
  return built;
}
