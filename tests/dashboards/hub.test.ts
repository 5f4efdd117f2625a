import type { Dataquery as PromQuery } from "@grafana/grafana-foundation-sdk/prometheus";
import { hubAlertGroups } from "../../alerts";
import { loadModel } from "../../configs/model";
import { siteMetrics } from "../../configs/uplink";
import type { HubSite } from "../../configs/hub-sites";
import {
  gazetteerText,
  hubDashboards,
  hubDashboardUids,
  hubQueriesOf,
  hubSource,
} from "../../dashboards";
import { simulatedSeries } from "../support/hub-fleet";
import { until } from "../support/programs";
import { VictoriaMetrics } from "../support/victoria-metrics";

const models = {
  default: loadModel("configs/telemetry.yaml"),
  m5bat: loadModel("configs/models/m5bat.yaml"),
};
const site = (name: string, model: HubSite["model"], location?: HubSite["location"]): HubSite => ({
  name,
  stack: name,
  labels: {},
  wave: "rest",
  location,
  model,
});
const sites = [
  site("kiel-1", models.default, { latitude: 54.32, longitude: 10.13 }),
  site("kiel-2", models.default),
  site("kiel-3", models.default),
  site("kiel-4", models.default),
  site("aachen-1", models.m5bat),
];
const options = { sites, storage: "single" as const };
const boards = hubDashboards(options);
const rules = hubAlertGroups({ ...options, runbook: "docs/alerts.md", backupEvery: "1d" }).flatMap(
  (group) => group.rules,
);
const exprOf = (kind: string): string => {
  const found = rules.find(({ labels }) => labels?.kind === kind);
  const { expr = "" } = (found?.data?.[0]?.model ?? {}) as Partial<PromQuery>;
  return expr;
};

/** What is told of the hub itself, which the tests' own database does not ask. */
const ofHub = (panel: string) =>
  ["Requests of sites", "Refused", "Values", "Disk", "Memory"].includes(panel);

/** A minute of the simulated day at which some sites charge, and others discharge, for half an hour. */
const minute = 327;

let database: VictoriaMetrics;
let now: number;
beforeAll(async () => {
  database = await VictoriaMetrics.start([
    "-selfScrapeInterval=1s",
    "-search.latencyOffset=1s",
    "-search.maxStalenessInterval=5m",
  ]);
  now = Math.floor(Date.now() / 60_000) * 60;
  const lines = sites.flatMap(({ name, model }) =>
    simulatedSeries(model, name).flatMap(({ labels, value }) => {
      const { __name__: metric, ...rest } = labels;
      const shown = Object.entries(rest).map(([key, text]) => `${key}="${text}"`);
      // kiel-3 has been silent for a quarter of an hour, and sends half its rows before. kiel-4 is as silent,
      // but told of a mute.
      const silent = name === "kiel-3" || name === "kiel-4" ? 15 : 0;
      const factor = name === "kiel-3" && metric?.endsWith("_rows") ? 0.5 : 1;
      if (metric === siteMetrics.muteEnds && name === "kiel-4")
        return `${metric}{${shown.join(",")}} ${now + 3600} ${(now - silent * 60) * 1000}`;
      return Array.from(
        { length: 31 - silent },
        (_, i) =>
          `${metric}{${shown.join(",")}} ${value(minute - silent - i) * factor} ${(now - (silent + i) * 60) * 1000}`,
      );
    }),
  );
  await database.importText(lines.join("\n"));
  await until("VictoriaMetrics tells of itself", async () => {
    await database.flush();
    const told = 'sum(vm_data_size_bytes) > 0 and sum(vm_rows{type!~"indexdb.*"}) > 0';
    return (await database.query(told)).length === 1;
  });
});
afterAll(() => database.remove());

describe.each(boards.map((board) => [board.title ?? "", board] as const))("%s", (_, board) => {
  test.each(hubQueriesOf(board).filter(({ panel }) => !ofHub(panel)))(
    "$panel answers: $expr",
    async ({ expr }) => {
      const answer = await database.query(
        // A month is longer than the test's half hour.
        expr.replaceAll("$site", ".+").replaceAll("[30d", "[1h"),
      );
      expect(answer.length).toBeGreaterThan(0);
    },
  );

  test("asks the hub's own data source alone", () => {
    expect(new Set(JSON.stringify(board).match(/"uid":"bess-(?!hub-)[^"]*"/g))).toEqual(
      new Set([`"uid":"${hubSource}"`]),
    );
  });
});

test("a year of months is answered", async () => {
  const months = boards.find(({ uid }) => uid === hubDashboardUids.months);
  const queries = months ? hubQueriesOf(months) : [];
  expect(queries.length).toBeGreaterThan(2);
  for (const { expr } of queries) {
    const parameters = new URLSearchParams({
      query: expr.replaceAll("$site", ".+"),
      start: String(now - 360 * 86_400),
      end: String(now),
      step: "30d",
    });
    const answer = await fetch(`${database.url}/api/v1/query_range?${parameters}`);
    const { data } = (await answer.json()) as { data?: { result: unknown[] } };
    expect([expr, data?.result.length]).not.toEqual([expr, undefined]);
    expect(data?.result.length).toBeGreaterThan(0);
  }
});

test("a map shows all places at first", () => {
  const far = site("husum-1", models.default, { latitude: 48.4, longitude: 9.99 });
  const [fleet] = hubDashboards({ ...options, sites: [...sites, far] });
  const map = JSON.stringify(fleet?.panels?.find((it) => "title" in it && it.title === "Where"));
  const view = /"view":(\{[^}]*\})/.exec(map)?.[1] ?? "{}";
  expect(JSON.parse(view)).toMatchObject({ id: "coords", lat: 51.36, zoom: 4.9 });
});

test("the fleet has a state of charge and a power of each site, of whichever model", async () => {
  const queries = boards.slice(0, 1).flatMap(hubQueriesOf);
  for (const unit of ["soc_percent", "power_ac_watts"]) {
    const found = queries.find(({ expr, instant }) => instant && expr.includes(unit));
    const answer = await database.query(found?.expr.replaceAll("$site", ".+") ?? "", now);
    expect(answer.map(({ metric }) => metric.site).sort()).toEqual([
      "aachen-1",
      "kiel-1",
      "kiel-2",
    ]);
  }
});

test("a silent site is still a row, with its age", async () => {
  const queries = boards.slice(0, 1).flatMap(hubQueriesOf);
  const age = queries.find(({ panel, expr }) => panel === "Sites" && expr.startsWith("time()"));
  const answer = await database.query(age?.expr.replaceAll("$site", ".+") ?? "", now);
  const ages = answer.map(({ metric, value }) => [metric.site, Number(value[1])]);
  expect(ages).toEqual(
    expect.arrayContaining([
      ["kiel-1", 0],
      ["kiel-3", 900],
      ["kiel-4", 900],
    ]),
  );
});

test("a map knows the places of the sites that have one", () => {
  expect(JSON.parse(gazetteerText(sites))).toEqual([
    { key: "kiel-1", name: "kiel-1", latitude: 54.32, longitude: 10.13 },
  ]);
});

describe("a hub's alerts", () => {
  const told = async (kind: string, over: (value: number) => boolean) =>
    (await database.query(exprOf(kind), now))
      .filter(({ value }) => over(Number(value[1])))
      .map(({ metric }) => metric.site);

  test("tell of the site that is silent, not of the one that is muted, and of no other", async () => {
    expect(await told("BessHubSiteSilent", (age) => age > 300)).toEqual(["kiel-3"]);
  });

  test("tell of the muted site when the mute is over", async () => {
    const later = await database.query(exprOf("BessHubSiteSilent"), now + 3660);
    expect(later.map(({ metric }) => metric.site)).toContain("kiel-4");
  });

  test("have a sign of life for an outside watcher", () => {
    const own = (storage: "single" | "external") =>
      hubAlertGroups({ sites, storage, runbook: "docs/alerts.md" })
        .flatMap((group) => group.rules)
        .filter(({ labels }) => labels?.kind === "BessWatchdog");
    expect(own("single")).toHaveLength(1);
    expect(own("external")).toHaveLength(1);
    expect(exprOf("BessWatchdog")).toBe("min(up)");
  });

  test("tell of the site that sends fewer rows than those of its model", async () => {
    const before = now - 15 * 60;
    const answer = await database.query(exprOf("BessHubSiteDeviates"), before);
    const few = answer.filter(({ value }) => Number(value[1]) < 0.7);
    expect(few.map(({ metric }) => metric.site)).toEqual(["kiel-3"]);
  });

  test("compare batteries with those of the same model", async () => {
    const answer = await database.query(exprOf("BessHubBatteriesDeviate"), now);
    expect(answer.map(({ metric }) => metric.model)).toContain(models.default.name);
  });

  test("have names of their own, and the site of what they tell", () => {
    const names = rules.map(({ title }) => title);
    expect(new Set(names).size).toBe(names.length);
    const silent = rules.find(({ labels }) => labels?.kind === "BessHubSiteSilent");
    expect([silent?.labels?.site, silent?.annotations?.summary]).toEqual([
      undefined,
      "{{ $labels.site }} is silent",
    ]);
  });
});
