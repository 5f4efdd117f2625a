import * as common from "@grafana/grafana-foundation-sdk/common";
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import * as geomap from "@grafana/grafana-foundation-sdk/geomap";
import type { Dataquery as PromQuery } from "@grafana/grafana-foundation-sdk/prometheus";
import type { PanelBuilder as Stat } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as Table } from "@grafana/grafana-foundation-sdk/table";
import { PanelBuilder as Text } from "@grafana/grafana-foundation-sdk/text";
import type { PanelBuilder as TimeSeries } from "@grafana/grafana-foundation-sdk/timeseries";
import { type HubShownSite, modelsOf } from "../../configs/hub-sites";
import type { Model } from "../../configs/model";
import { siteLabel } from "../../configs/uplink";
import { finished, inOut, lines, numbers, place, property, reduced, row, steps } from "../panels";
import * as ask from "./queries";

export { hubQuery, hubSource, muted as hubMuted } from "./queries";

/** What a hub's dashboards are made of. */
export interface HubDashboardOptions {
  sites: readonly HubShownSite[];
  /** Where the hub keeps its values: what it can tell of its own health. */
  storage: "single" | "cluster" | "external";
}

/** A site is silent after so many seconds: its minutes come one at a time, and each a minute late. */
export const silentSeconds = 300;

/** Gazetteer of Grafana's with the places of the sites, in Grafana's container. */
export const gazetteer = "gazetteer/bess-sites.json";

/** The places of the sites by their name, as Grafana's map looks them up. */
export const gazetteerText = (sites: readonly HubShownSite[]): string =>
  JSON.stringify(
    sites.flatMap(({ name, location }) => (location ? [{ key: name, name, ...location }] : [])),
  );

/** uids of the hub's dashboards. */
export const hubDashboardUids = {
  fleet: "bess-hub-fleet",
  compare: "bess-hub-compare",
  site: "bess-hub-site",
  months: "bess-hub-months",
  data: "bess-hub-data",
} as const;

const noSite = "No site has sent anything in this time: see docs/hub.md, a site that is silent.";

type HubPanel = Stat | Table | TimeSeries | geomap.PanelBuilder;

/** Gives a panel its title, its description and its queries. */
function panel<P extends HubPanel>(
  made: P,
  title: string,
  description: string,
  queries: readonly ask.HubQuery[],
): P {
  made.title(title).description(description).datasource(ask.hubReference);
  // A cell that is empty is one of a site that has sent other values.
  made.noValue(made instanceof Table ? "-" : noSite);
  made.targets(queries.map((query, i) => ask.hubQuery(query, String.fromCharCode(65 + i))));
  return made;
}

const board = (uid: string, title: string, description: string, from: string) =>
  new dashboard.DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags(["bess-hub"])
    .timezone("browser")
    .readonly()
    .time({ from, to: "now" })
    .refresh("1m")
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .link(
      new dashboard.DashboardLinkBuilder("BESS hub")
        .type(dashboard.DashboardLinkType.Dashboards)
        .tags(["bess-hub"])
        .asDropdown(false)
        .keepTime(true),
    );

/** The sites that are shown. */
const siteVariable = (many: boolean) => {
  const made = new dashboard.QueryVariableBuilder(siteLabel)
    .label("Site")
    .datasource(ask.hubReference)
    .query(`label_values(bess_site_info, ${siteLabel})`)
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .sort(dashboard.VariableSort.NaturalAsc);
  return many
    ? made
        .multi(true)
        .includeAll(true)
        .allValue(".+")
        .current({ selected: true, text: ["All"], value: ["$__all"] })
    : made;
};

/** Leads from a row to its site. */
const toSite = {
  title: "This site at a glance",
  url: `/d/${hubDashboardUids.site}?var-${siteLabel}=\${__value.raw}`,
};

const hidden = [property("custom.hidden", true)];
const asText = property("custom.cellOptions", { type: common.TableCellDisplayMode.ColorText });

/** Joins the tables of several queries by their site, a row each. */
const bySite = (table: Table): Table =>
  table
    .withTransformation({ id: "joinByField", options: { byField: siteLabel, mode: "outer" } })
    .overrideByRegexp("/^Time/", hidden);

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

const count = (title: string, description: string, expr: string) =>
  panel(numbers(), title, description, [{ expr, instant: true }])
    .graphMode(common.BigValueGraphMode.None)
    .reduceOptions(reduced("lastNotNull"));

const silentCount = `count(${ask.age()} > ${silentSeconds}) or vector(0)`;

/** What fires, and where. */
const alertTable = () =>
  panel(
    new Table(),
    "Alerts that fire",
    "Of each site at most fifty, the gravest. Muted: nobody is told. The site's own Grafana has the values.",
    [{ expr: ask.firingNames(), instant: true }],
  )
    .noValue("Nothing fires.")
    .withTransformation({
      id: "organize",
      options: {
        excludeByName: { Time: true, Value: true },
        indexByName: { severity: 0, [siteLabel]: 1, alertname: 2, unit: 3, alertstate: 4 },
        renameByName: {
          severity: "Severity",
          [siteLabel]: "Site",
          alertname: "Alert",
          unit: "Unit",
          alertstate: "State",
        },
      },
    })
    .sortBy([{ build: () => ({ displayName: "Severity" }) }])
    .overrideByName("Site", [property("links", [toSite])]);

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

const line = (title: string, description: string, expr: string, legend: string) =>
  panel(lines(), title, description, [{ expr, legend }]).interval("1m").spanNulls(180_000);

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

function fleet({ sites }: HubDashboardOptions, models: readonly Model[]): dashboard.Dashboard {
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

/** Lines of each chosen site. */
function compare(models: readonly Model[]): dashboard.Dashboard {
  const made = board(
    hubDashboardUids.compare,
    "Compare sites",
    "The same value of several sites, one above the other.",
    "now-24h",
  ).withVariable(siteVariable(true));
  const [soc, power] = [ask.soc(models), ask.power(models)];
  const legend = `{{${siteLabel}}}`;
  // Filled areas of many sites cover each other.
  const compared = (...of: Parameters<typeof line>) => line(...of).fillOpacity(0);
  place(
    made,
    10,
    [
      ...(soc
        ? [compared("State of charge", "Average of each site.", soc, legend).unit("percent")]
        : []),
      ...(power
        ? [
            compared("Power", "Over zero: out of the battery.", power, legend)
              .unit("watt")
              .axisLabel(inOut),
          ]
        : []),
      compared("Alerts", "Alerts of each site that fire.", ask.firing(), legend).axisSoftMin(0),
      compared(
        "Age of the last minute",
        "How old each site's newest minute is.",
        ask.age(),
        legend,
      ).unit("s"),
    ],
    1,
  );
  return finished(made);
}

/** One site, and the way to its own Grafana. */
function site(models: readonly Model[]): dashboard.Dashboard {
  const made = board(
    hubDashboardUids.site,
    "One site",
    "One site at a glance.",
    "now-24h",
  ).withVariable(siteVariable(false));
  const [soc, power] = [ask.soc(models), ask.power(models)];
  const latest = (title: string, description: string, expr: string, unit: string) =>
    count(title, description, expr).unit(unit);
  place(
    made,
    4,
    [
      latest("Age of the last minute", "How old the newest minute is.", ask.age(), "s").thresholds(
        steps("green", [180, "orange"], [silentSeconds, "red"]),
      ),
      latest(
        "Alerts",
        "Alerts that fire at the site.",
        `${ask.firing()} or vector(0)`,
        "none",
      ).thresholds(steps("green", [1, "red"])),
      ...(soc ? [latest("State of charge", "Average of its units.", soc, "percent")] : []),
      ...(power ? [latest("Power", "Over zero: out of the battery.", power, "watt")] : []),
    ],
    4,
  );
  made.withPanel(
    new Text()
      .title("Its own Grafana")
      .content(
        "Every reading, the cells and the pipeline are at the site itself. On your machine:\n\n" +
          `\`npx bess open --stack \${${siteLabel}}\``,
      )
      .span(24)
      .height(4),
  );
  made.withPanel(alertTable().span(24).height(6));
  place(made, 8, [
    ...(power
      ? [line("Power", "Over zero: out of the battery.", power, "power").unit("watt")]
      : []),
    ...(soc
      ? [line("State of charge", "Average of its units.", soc, "average").unit("percent")]
      : []),
    line(
      "Disk",
      "Share of the site's disk that is used.",
      ask.series("bess_pipeline_disk_used_percent"),
      "used",
    )
      .unit("percent")
      .axisSoftMin(0)
      .axisSoftMax(100),
  ]);
  return finished(made);
}

/** Energy and what is missing, month by month. */
function months(models: readonly Model[]): dashboard.Dashboard {
  const made = board(
    hubDashboardUids.months,
    "Months",
    "Energy and completeness by month of 30 days, of the sites that are chosen. Energy is that of the average power of each quarter of an hour.",
    "now-360d",
  ).withVariable(siteVariable(true));
  const legend = `{{${siteLabel}}}`;
  const monthly = (title: string, description: string, expr: string) =>
    panel(lines(), title, description, [{ expr, legend }]).interval("30d");
  // One on the other: bars side by side would need a time for each.
  const stacked = (...of: Parameters<typeof monthly>) =>
    monthly(...of)
      .drawStyle(common.GraphDrawStyle.Bars)
      .fillOpacity(60)
      .stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal))
      .axisSoftMin(0);
  const [out, into] = [ask.energy(models, "out", "30d"), ask.energy(models, "in", "30d")];
  place(
    made,
    10,
    [
      ...(out
        ? [
            stacked(
              "Energy out",
              "Energy that each site gave in 30 days, one on the other.",
              out,
            ).unit("kwatth"),
          ]
        : []),
      ...(into
        ? [
            stacked(
              "Energy in",
              "Energy that each site took in 30 days, one on the other.",
              into,
            ).unit("kwatth"),
          ]
        : []),
      monthly(
        "Complete",
        "Share of the minutes of 30 days that have reached the hub.",
        `100 * sum by (${siteLabel}) (count_over_time(${ask.series("bess_site_info")}[30d])) / 43200`,
      )
        .fillOpacity(0)
        .showPoints(common.VisibilityMode.Always)
        .unit("percent")
        .min(0)
        .max(100),
    ],
    1,
  );
  return finished(made);
}

/** What each site's data costs, and how the hub itself is. */
function data({ storage }: HubDashboardOptions): dashboard.Dashboard {
  const made = board(
    hubDashboardUids.data,
    "Data and hub",
    "What sites send, and how the hub is.",
    "now-24h",
  ).withVariable(siteVariable(true));
  const table = panel(
    new Table(),
    "What each site sends",
    "Series that a site has sent within five minutes, and what they take: 1,440 values a day each, at the " +
      "bytes per value that the hub needs for all it holds.",
    [
      { expr: ask.activeSeries(), instant: true },
      ...(storage === "single"
        ? [
            {
              expr: `${ask.activeSeries()} * 1440 * scalar(${bytesPerValue})`,
              instant: true as const,
            },
          ]
        : []),
    ],
  );
  bySite(table)
    .overrideByName(siteLabel, [property("displayName", "Site"), property("links", [toSite])])
    .overrideByName("Value", [property("displayName", "Series")])
    .overrideByName("Value #A", [property("displayName", "Series")])
    .overrideByName("Value #B", [
      property("displayName", "Disk a day"),
      property("unit", "decbytes"),
    ]);
  made.withPanel(table.span(24).height(10));
  row(made, "Hub");
  const own = (...of: [string, string, readonly ask.HubQuery[]]) =>
    panel(lines(), ...of).noValue("The hub has told nothing of this in this time.");
  place(
    made,
    8,
    [
      own("Requests of sites", "Requests a second at the entrance, by site.", [
        {
          expr: "sum by (username) (rate(vmauth_user_requests_total[5m]))",
          legend: "{{username}}",
        },
      ]).unit("reqps"),
      own("Refused", "Requests a second that the entrance refused.", [
        {
          expr: "sum by (reason) (rate(vmauth_http_request_errors_total[5m]))",
          legend: "{{reason}}",
        },
      ]).unit("reqps"),
      ...(storage === "single"
        ? [
            own("Values", "Values a second that are stored.", [
              { expr: "sum(rate(vm_rows_inserted_total[5m]))", legend: "values" },
            ]),
            own("Disk", "Bytes of the hub's data, and bytes that are free.", [
              { expr: "sum(vm_data_size_bytes)", legend: "data" },
              { expr: "min(vm_free_disk_space_bytes)", legend: "free" },
            ]).unit("decbytes"),
            own("Memory", "Memory of VictoriaMetrics.", [
              { expr: 'process_resident_memory_bytes{job="victoria-metrics"}', legend: "used" },
              { expr: "vm_available_memory_bytes", legend: "allowed" },
            ]).unit("bytes"),
          ]
        : []),
    ],
    2,
  );
  return finished(made);
}

/** Bytes on the disk of one value, of all that the hub holds. */
const bytesPerValue =
  'sum(vm_data_size_bytes{type!~"indexdb.*"}) / sum(vm_rows{type!~"indexdb.*"})';

/** The dashboards of a hub: pure functions of its sites' models. */
export function hubDashboards(options: HubDashboardOptions): dashboard.Dashboard[] {
  const models = modelsOf(options.sites);
  return [fleet(options, models), compare(models), site(models), months(models), data(options)];
}

/** Queries of all sites, each with a series for a site at most; of a value that no model has, none. */
export const hubSiteQueries = (models: readonly Model[]) => ({
  age: ask.age(""),
  firing: ask.firing(""),
  muted: ask.muted(),
  soc: ask.soc(models, ""),
  power: ask.power(models, ""),
  info: ask.info(""),
});

/** Every query that a hub's dashboard asks, with what panel asks it. */
export function hubQueriesOf(
  made: dashboard.Dashboard,
): { panel: string; expr: string; instant: boolean }[] {
  const panels = (made.panels ?? []).filter((it): it is dashboard.Panel => "targets" in it);
  return panels.flatMap((it) =>
    (it.targets as PromQuery[]).map(({ expr, instant = false }) => ({
      panel: it.title ?? "",
      expr,
      instant,
    })),
  );
}
