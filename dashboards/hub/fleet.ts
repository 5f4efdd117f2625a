import * as common from "@grafana/grafana-foundation-sdk/common";
import type * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import * as geomap from "@grafana/grafana-foundation-sdk/geomap";
import { PanelBuilder as Table } from "@grafana/grafana-foundation-sdk/table";
import type { HubShownSite } from "../../configs/hub-sites";
import type { Model } from "../../configs/model";
import { siteLabel } from "../../configs/uplink";
import { finished, inOut, lines, place, property, steps } from "../panels";
import {
  alertTable,
  asText,
  board,
  bySite,
  count,
  hidden,
  hubDashboardUids,
  line,
  panel,
  silentSeconds,
  siteVariable,
  toSite,
} from "./panels";
import * as ask from "./queries";

/** Gazetteer of Grafana's with the places of the sites, in Grafana's container. */
export const gazetteer = "gazetteer/bess-sites.json";

/** The places of the sites by their name, as Grafana's map looks them up. */
export const gazetteerText = (sites: readonly HubShownSite[]): string =>
  JSON.stringify(
    sites.flatMap(({ name, location }) => (location ? [{ key: name, name, ...location }] : [])),
  );

/** Every site a row. */
function fleetTable(models: readonly Model[]): Table {
  const columns: {
    title: string;
    expr: string | undefined;
    properties: dashboard.DynamicConfigValue[];
  }[] = [
    {
      title: "Age of the last minute",
      expr: ask.age(),
      properties: [
        property("unit", "s"),
        property("thresholds", steps("green", [180, "orange"], [silentSeconds, "red"]).build()),
        asText,
      ],
    },
    {
      title: "Alerts",
      expr: ask.firing(),
      properties: [property("thresholds", steps("green", [1, "red"]).build()), asText],
    },
    {
      title: "State of charge",
      expr: ask.soc(models),
      properties: [property("unit", "percent"), property("min", 0), property("max", 100)],
    },
    { title: "Power", expr: ask.power(models), properties: [property("unit", "watt")] },
    { title: "Running", expr: ask.info(), properties: hidden },
  ];
  const shown = columns.flatMap(({ expr, ...column }) => (expr ? [{ expr, ...column }] : []));
  const made = panel(
    new Table(),
    "Sites",
    "A row for each site: how old its newest minute is, alerts that fire, state of charge, power " +
      "(over zero: out of the battery), and the version that it runs. A version that few sites have is a " +
      "rollout under way, or a site that was left behind.",
    shown.map(({ expr }) => ({ expr, instant: true })),
  );
  bySite(made)
    .overrideByName(siteLabel, [property("displayName", "Site"), property("links", [toSite])])
    .overrideByName("model", [property("displayName", "Model")])
    .overrideByName("version", [property("displayName", "Version")]);
  shown.forEach(({ title, properties }, i) =>
    made.overrideByName(`Value #${String.fromCharCode(65 + i)}`, [
      property("displayName", title),
      ...properties,
    ]),
  );
  return made.minWidth(90);
}

const silentCount = `count(${ask.age()} > ${silentSeconds}) or vector(0)`;

/** What a map shows at first: all places, which a version of Grafana would not fit by itself. */
function viewOf(places: readonly { latitude: number; longitude: number }[]) {
  const ends = (of: number[]) => [Math.min(...of), Math.max(...of)] as [number, number];
  const [south, north] = ends(places.map(({ latitude }) => latitude));
  const [west, east] = ends(places.map(({ longitude }) => longitude));
  // At zoom 0 the world is 256 pixels wide; a panel has some 300 by the smaller side.
  const span = Math.max(2 * (north - south), east - west, 0.2);
  const zoom = Math.min(12, Math.max(1, Math.log2(360 / span)));
  return new geomap.MapViewConfigBuilder()
    .id("coords")
    .lat((south + north) / 2)
    .lon((west + east) / 2)
    .zoom(Math.round(10 * zoom) / 10);
}

/** A map of the sites whose place is known, coloured by how old their last minute is. */
const map = (places: Parameters<typeof viewOf>[0]) =>
  panel(
    new geomap.PanelBuilder(),
    "Where",
    "Sites that have a `location` in the inventory. Red: silent.",
    [{ expr: ask.age(), instant: true }],
  )
    .thresholds(steps("green", [180, "orange"], [silentSeconds, "red"]))
    .unit("s")
    .view(viewOf(places))
    .layers([
      {
        build: () => ({
          type: "markers",
          name: "Sites",
          location: {
            mode: common.FrameGeometrySourceMode.Lookup,
            lookup: siteLabel,
            gazetteer: `public/${gazetteer}`,
          },
          config: {
            showLegend: false,
            style: {
              color: { field: "Value", fixed: "green" },
              size: { fixed: 8, min: 2, max: 15 },
              text: { field: siteLabel, mode: "field", fixed: "" },
              symbol: { fixed: "img/icons/marker/circle.svg", mode: "fixed" },
            },
          },
        }),
      },
    ]);

const fleetLines = (models: readonly Model[]) => {
  const [soc, power] = [ask.soc(models), ask.power(models)];
  return [
    ...(power
      ? [
          line(
            "Power of all sites",
            "Over zero: out of the batteries; below: into them.",
            `sum(${power})`,
            "all",
          )
            .unit("watt")
            .axisCenteredZero(true)
            .axisLabel(inOut),
        ]
      : []),
    ...(soc
      ? [
          panel(lines(), "State of charge", "Lowest, average and highest of the sites.", [
            { expr: `min(${soc})`, legend: "lowest" },
            { expr: `avg(${soc})`, legend: "average" },
            { expr: `max(${soc})`, legend: "highest" },
          ])
            .interval("1m")
            .unit("percent")
            .axisSoftMin(0)
            .axisSoftMax(100),
        ]
      : []),
  ];
};

/** All sites at once. */
export function fleet(
  sites: readonly HubShownSite[],
  models: readonly Model[],
): dashboard.Dashboard {
  const made = board(
    hubDashboardUids.fleet,
    "Fleet",
    "All sites that send to this hub.",
    "now-24h",
  ).withVariable(siteVariable(true));
  place(
    made,
    4,
    [
      count("Sites", "Sites that have sent something within five minutes.", `count(${ask.info()})`),
      count(
        "Silent",
        `Sites whose last minute is older than ${silentSeconds / 60} minutes, and that have sent something within a day.`,
        silentCount,
      ).thresholds(steps("green", [1, "red"])),
      count(
        "Alerts",
        "Alerts of all sites that fire.",
        `sum(${ask.firing()}) or vector(0)`,
      ).thresholds(steps("green", [1, "red"])),
    ],
    3,
  );
  made.withPanel(fleetTable(models).span(24).height(12));
  made.withPanel(alertTable().span(24).height(8));
  place(made, 8, fleetLines(models), 2);
  const places = sites.flatMap(({ location }) => location ?? []);
  if (places.length > 0) made.withPanel(map(places).span(24).height(12));
  return finished(made);
}
