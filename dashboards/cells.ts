import { PanelBuilder as Heatmap } from "@grafana/grafana-foundation-sdk/heatmap";
import * as heatmap from "@grafana/grafana-foundation-sdk/heatmap";
import { PanelBuilder as Table } from "@grafana/grafana-foundation-sdk/table";
import { type Field, lowestOf, type Measurement, type Tag } from "../configs/model";
import { units } from "../configs/units";
import * as panels from "./panels";
import * as queries from "./queries";

/** Fields of which each is the voltage of one certain cell. */
const cellFields = (m: Measurement) =>
  m.fields.filter((f) => f.quantity === "cell_voltage" && f.extreme === undefined);

/** Fields that every cell of a numbered list has. */
const numberedFields = (m: Measurement) => m.fields.filter((f) => !queries.isState(f));

/** Columns of a map: hundreds of cells by more would be slow to draw, and too narrow to tell apart. */
const mostColumns = 90;

/** Cells over time: a row for each, coloured by its value. One panel for each unit that is chosen. */
function cellMap(
  m: Measurement,
  [f, ...others]: [Field, ...Field[]],
  title: string,
  target: panels.Target,
): Heatmap {
  const meanings = [f, ...others].map((of) => panels.describe(m, of)).join("\n\n");
  const made = panels.panel(new Heatmap(), title, meanings, [target]);
  const { grafana } = units[f.unit];
  made
    .interval(m.interval)
    .maxDataPoints(mostColumns)
    .cellValues({ build: () => ({ unit: grafana }) })
    .color(
      new heatmap.HeatmapColorOptionsBuilder()
        .mode(heatmap.HeatmapColorMode.Scheme)
        .scheme("RdYlBu")
        .reverse(true)
        .steps(64),
    );
  const unit = m.tags.find((t) => t !== queries.cellTag(m));
  return unit ? made.repeat(unit.name).repeatDirection("h").maxPerRow(2) : made;
}

/** The highest and the lowest cell of each unit, which they are, and how far apart. */
function extremes(m: Measurement, f: Field, cell: Tag): Table[] {
  const [unit] = m.tags.filter((t) => t !== cell);
  if (!unit) return [];
  const joined = { id: "joinByField", options: { byField: unit.name, mode: "outer" } };
  const spread = {
    id: "calculateField",
    options: {
      alias: "spread",
      mode: "binary",
      binary: {
        left: { matcher: { id: "byName", options: "highest" } },
        operator: "-",
        right: { matcher: { id: "byName", options: "lowest" } },
      },
    },
  };
  const hidden = [{ id: "custom.hidden", value: true }];
  return [
    panels
      .panel(
        new Table(),
        `${queries.sentence(f.meaning)}: highest and lowest`,
        `${panels.describe(m, f)} The highest and the lowest of the latest values, with the cell.`,
        (["highest", "lowest"] as const).map((of) => ({ query: queries.extreme(m, f, cell, of) })),
      )
      .unit(units[f.unit].grafana)
      .withTransformation(joined)
      .withTransformation(spread)
      .overrideByRegexp("/^Time/", hidden)
      .overrideByRegexp("/cell$/", [{ id: "unit", value: "none" }]),
  ];
}

/** How far the highest is over the lowest, of each unit over time. */
const spreads = (m: Measurement) =>
  m.fields.flatMap((f) => {
    const lowest = lowestOf(m.fields, f);
    if (!lowest) return [];
    const most = f.spread === undefined ? "" : ` More than ${f.spread} ${f.unit} is a warning.`;
    return [
      panels
        .panel(
          panels.paced(m),
          `Spread: ${queries.sentence(f.meaning)}`,
          `\`${f.name}\` less \`${lowest.name}\`.${most}`,
          [panels.rolled(queries.spreadSeries(m, f, lowest), queries.unitLegend(m))],
        )
        .unit(units[f.unit].grafana)
        .min(0),
    ];
  });

/** What shows the cells of a measurement's units; nothing where it has no cells. */
export function cells(m: Measurement): panels.AnyPanel[] {
  const tag = queries.cellTag(m);
  if (tag)
    return numberedFields(m).flatMap((f): panels.AnyPanel[] => [
      cellMap(
        m,
        [f],
        `${queries.sentence(f.meaning)}, by ${tag.name}`,
        panels.rolled(queries.meanSeries(m, f), `[[tag_${tag.name}]]`),
      ),
      ...extremes(m, f, tag),
    ]);
  const [first, ...others] = cellFields(m);
  return [
    ...(first && others.length > 0
      ? [
          cellMap(
            m,
            [first, ...others],
            "Voltages of the cells",
            panels.rolled(queries.meansSeries(m, [first, ...others]), "[[col]]"),
          ),
        ]
      : []),
    ...spreads(m),
  ];
}
