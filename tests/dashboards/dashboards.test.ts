import { readdirSync } from "node:fs";
import { join } from "node:path";
import type {
  AnnotationQuery,
  Dashboard,
  Panel,
  RegexMap,
} from "@grafana/grafana-foundation-sdk/dashboard";
import {
  loadModel,
  modelSchema,
  type Field,
  type Measurement,
  type Model,
} from "../../configs/model";
import { storageBudget } from "../../configs/storage";
import { durationSeconds } from "../../configs/units";
import { deploymentTags, eventTag, muteTags } from "../../configs/grafana";
import { logbookTables, stateWords } from "../../configs/logbook";
import { dashboards, type PanelQuery, queriesOf, sources } from "../../dashboards";
import { figureNames, figureTables } from "../../configs/performance";
import { parseFigureQuery, parseQuery } from "../../rollup/influxql";
import { rowLine } from "../../rollup/lines";
import { ask, InfluxQlEngine, write } from "../support/influxql";

const modelOf = (file: string) => loadModel(join(__dirname, "../../configs", file));
const [fleetModel, m5bat] = [modelOf("telemetry.yaml"), modelOf("models/m5bat.yaml")];
const readyModels = readdirSync(join(__dirname, "../../configs/models"))
  .filter((file) => file.endsWith(".yaml") && file !== "m5bat.yaml")
  .map((file) => modelOf(`models/${file}`));
/** A pack that sends a list of its cells. */
const cells = modelSchema.parse({
  name: "cells",
  title: "Cells",
  measurements: [
    {
      name: "cell",
      title: "Cell",
      meaning: "One cell of a pack.",
      topic: "pack/+/cells",
      interval: "10s",
      each: "cells",
      tags: [
        { name: "pack", segment: 1, meaning: "Pack." },
        { name: "number", index: 1, meaning: "Number of the cell." },
      ],
      fields: [
        {
          name: "voltage",
          path: "u",
          type: "float",
          unit: "V",
          range: [2.8, 3.65],
          quantity: "cell_voltage",
          meaning: "Voltage of the cell.",
        },
      ],
    },
  ],
});
const models = [fleetModel, m5bat, cells, ...readyModels];
const named = models.map((model): [string, Model] => [model.name, model]);
const site = "test-site";

const measurementsAndDashboards = (model: Model): [Measurement, Dashboard][] => {
  const boards = dashboards(model, { site }).slice(1, -3);
  return model.measurements.map((m, i) => [m, found(boards[i], `dashboard of ${m.name}`)]);
};
const panelsOf = (dashboard: Dashboard) =>
  (dashboard.panels ?? []).filter((p): p is Panel => p.type !== "row");
const panelOn = (board: Dashboard, title: string) =>
  found(
    panelsOf(board).find((p) => p.title === title),
    `panel ${title}`,
  );
const boardOf = (model: Model, uid: string) =>
  found(
    dashboards(model).find((d) => d.uid === uid),
    `dashboard ${uid}`,
  );
const clone = (model: Model) => structuredClone(model);
/** What a test goes by. @throws Error where it is missing: then there is nothing to test. */
function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`there is no ${what}`);
  return value;
}

/** Every name that only the fleet's own model has, replaced; what is left of one was hard-wired. */
function renamed(model: Model): Model {
  const copy = clone(model);
  copy.measurements.forEach((m, i) => {
    Object.assign(m, { name: `table_${i}`, title: `Table ${i}`, meaning: "A table." });
    m.tags.forEach((t, j) => Object.assign(t, { name: `tag_${j}`, meaning: "A tag." }));
    m.fields.forEach((f, j) => Object.assign(f, { name: `field_${j}`, meaning: "A field." }));
  });
  return copy;
}

describe.each(named)("the dashboards of %s", (_, model) => {
  const backup = { every: "1d" };
  const storage = storageBudget(model, { profile: "pi", retention: "90d", storage: {} });
  const all = dashboards(model, { site, storage, backup, uplink: true });

  test("are an overview, one of each measurement, performance, the alerts, and the pipeline", () => {
    expect(all.map((d) => d.uid)).toEqual([
      "bess-overview",
      ...model.measurements.map((m) => `bess-${m.name}`),
      "bess-performance",
      "bess-alert-list",
      "bess-pipeline",
    ]);
    expect(all.every((d) => d.title?.startsWith(site) && d.tags?.includes("bess"))).toBe(true);
  });

  test("are the same each time, and survive JSON", () => {
    const again = dashboards(model, { site, storage, backup, uplink: true });
    expect(JSON.stringify(again)).toBe(JSON.stringify(all));
  });

  test.each(all.map((d): [string, Dashboard] => [d.uid ?? "", d]))(
    "%s: panels lie side by side, numbered, each with a description and a query",
    (_uid, d) => {
      const panels = panelsOf(d);
      const cells = panels.flatMap(({ gridPos: { x, y, w, h } = { x: 0, y: 0, w: 0, h: 0 } }) =>
        Array.from({ length: w * h }, (_cell, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
      );
      expect(new Set(cells).size).toBe(cells.length);
      expect(panels.every(({ gridPos: p }) => p && p.x + p.w <= 24)).toBe(true);
      expect(new Set(d.panels?.map((p) => p.id)).size).toBe(d.panels?.length);
      const isOwn = ({ type }: Panel) => type === "alertlist" || type === "annolist";
      expect(panels.filter((p) => !p.description || !(isOwn(p) || p.targets?.length))).toEqual([]);
    },
  );

  test("every field is drawn over time and stands among the latest values", () => {
    for (const [m, board] of measurementsAndDashboards(model)) {
      const queries = queriesOf(board);
      const on = (f: Field, overTime: boolean) =>
        queries.some(
          (q) => q.query.includes(`("${f.name}")`) && q.query.includes("$__interval") === overTime,
        );
      expect(m.fields.filter((f) => !on(f, true) || !on(f, false))).toEqual([]);
    }
  });

  test("every query is bounded in time, and a series is grouped by Grafana's interval", () => {
    for (const { query } of all.flatMap(queriesOf)) {
      expect(
        query.match(/WHERE (\$timeFilter|time > (now\(\)|\$\{__to\}ms) - \d+[smhd])/g),
      ).toHaveLength(query.match(/SELECT/g)?.length ?? 0);
      expect(/ time\((\$__interval|\d+s, now\(\))\)/.test(query)).toBe(
        / fill\((null|none|0)\)$/.test(query),
      );
    }
  });

  test("every series of the telemetry asks the reader, which answers it from rollups", () => {
    const overTime = all
      .flatMap(queriesOf)
      .filter((q) => q.datasource !== sources.pipeline && q.query.includes("time($__interval)"));
    expect(overTime.filter((q) => q.datasource !== sources.rollups)).toEqual([]);
    const unread = overTime.filter(
      ({ query }) => parseQuery(substituted(query), model, now / 1000) === undefined,
    );
    expect(unread.map(({ panel, query }) => `${panel}: ${query}`)).toEqual([]);
  });

  test("every query of performance is one of figures, which the reader answers", () => {
    const asked = queriesOf(boardOf(model, "bess-performance"));
    expect(asked.length).toBeGreaterThan(0);
    for (const { datasource, query } of asked) {
      expect(datasource).toBe(sources.rollups);
      expect([query, parseFigureQuery(substituted(query), model, now / 1000)]).toEqual([
        query,
        expect.objectContaining({ columns: expect.not.arrayContaining([undefined]) }),
      ]);
    }
  });

  test("every panel has a sentence for an empty answer", () => {
    const silent = all
      .flatMap(panelsOf)
      .filter((p) => p.targets?.length && !/ .* /.test(p.fieldConfig?.defaults.noValue ?? ""));
    expect(silent.map(({ title }) => title)).toEqual([]);
  });

  test("every line of a number has the band of its lowest and highest value", () => {
    const withLines = all
      .slice(0, -3)
      .flatMap(panelsOf)
      .filter(
        (p) => p.type === "timeseries" && !/^(Current in and out|Spread: )/.test(p.title ?? ""),
      );
    for (const { title, targets, fieldConfig } of withLines) {
      const queries = (targets ?? []).map((target) => (target as { query?: string }).query ?? "");
      expect([title, queries.filter((q) => / AS "min", .* AS "max" FROM /.test(q)).length]).toEqual(
        [title, 1],
      );
      const drawn = fieldConfig?.overrides.find(({ matcher }) => matcher.options === "max");
      expect(drawn?.properties).toContainEqual({ id: "custom.fillBelowTo", value: "min" });
      for (const { matcher, properties } of fieldConfig?.overrides ?? []) {
        expect(["min", "max"]).toContain(matcher.options);
        expect(properties).toContainEqual({
          id: "custom.hideFrom",
          value: { legend: true, tooltip: false, viz: false },
        });
      }
    }
  });

  test("every query keeps to the units chosen, by a variable of each tag", () => {
    for (const [m, board] of measurementsAndDashboards(model)) {
      const variables = board.templating?.list ?? [];
      expect(variables.map((v) => v.name)).toEqual(m.tags.map((t) => t.name));
      expect(variables.every((v) => v.multi && v.includeAll && v.allValue === ".*")).toBe(true);
      for (const t of m.tags)
        expect(
          queriesOf(board).filter((q) => !q.query.includes(`"${t.name}" =~ /^$${t.name}$/`)),
        ).toEqual([]);
    }
  });

  test("no name of the model is hard-wired", () => {
    const text = JSON.stringify(
      dashboards(renamed(model))
        // Tables of other databases have names of their own.
        .map((d) => [queriesOf(d).filter(({ datasource }) => !others[datasource]), d.templating]),
    );
    const names = model.measurements.flatMap((m) => [
      m.name,
      ...m.tags.map((t) => t.name),
      ...m.fields.map((f) => f.name),
    ]);
    // A power that is derived has this name, which a field may have too.
    const own = names.filter((name) => name !== "power");
    expect(own.filter((name) => text.includes(`\\"${name}\\"`))).toEqual([]);
  });
});

test("all dashboards have the site's time zone, else that of whoever looks", () => {
  const zones = (timeZone?: string) =>
    new Set(dashboards(fleetModel, { timeZone }).map(({ timezone }) => timezone));
  expect(zones("Europe/Berlin")).toEqual(new Set(["Europe/Berlin"]));
  expect(zones()).toEqual(new Set(["browser"]));
});

/** Annotations of a dashboard, with what InfluxDB's have beyond those of the SDK. */
const eventsOf = (model: Model) =>
  (boardOf(model, "bess-overview").annotations?.list ?? []) as (AnnotationQuery & {
    target?: { query: string; textColumn: string; timeEndColumn: string };
  })[];

test("all dashboards draw what was done at the site, and what befell it", () => {
  for (const { annotations } of dashboards(fleetModel)) {
    expect(JSON.stringify(annotations?.list)).toBe(JSON.stringify(eventsOf(fleetModel)));
    expect(annotations?.list?.[0]).toMatchObject({ target: { type: "tags", tags: [eventTag] } });
  }
  for (const tags of [muteTags, deploymentTags]) expect(tags).toContain(eventTag);
});

test("the overview begins with the site's state, and with what is wrong", () => {
  const [state, list] = panelsOf(boardOf(fleetModel, "bess-overview"));
  expect(state).toMatchObject({ type: "stat", gridPos: { y: 0 } });
  expect(list).toMatchObject({
    type: "alertlist",
    gridPos: { y: 0 },
    options: {
      alertInstanceLabelFilter: '{kind!="BessWatchdog"}',
      stateFilter: { firing: true },
    },
  });
});

test("a word of a state has a colour, whatever follows it", () => {
  const [state] = panelsOf(boardOf(fleetModel, "bess-overview"));
  const mappings = (state?.fieldConfig?.overrides[0]?.properties[0]?.value ?? []) as RegexMap[];
  const colorOf = (text: string) =>
    mappings.find(({ options: { pattern = "" } }) => new RegExp(pattern.slice(1, -1)).test(text))
      ?.options.result?.color;
  expect(
    ["Normal", ...stateWords.slice(1).map((word) => `${word} since 14:05`)].map(colorOf),
  ).toEqual(["green", "blue", "orange", "red", "purple"]);
});

test("a site without alerts says so first, and lists none", () => {
  for (const uid of ["bess-overview", "bess-alert-list"]) {
    const board = dashboards(fleetModel, { alerts: false }).find((each) => each.uid === uid);
    const [first, ...others] = panelsOf(found(board, uid));
    expect(first).toMatchObject({ type: "text", gridPos: { y: 0 } });
    expect(first?.options).toMatchObject({ content: expect.stringContaining("Alerts are off") });
    expect(others.filter(({ type }) => type === "alertlist")).toEqual([]);
  }
});

describe("a field's range", () => {
  const board = boardOf(fleetModel, "bess-battery");

  test("is green inside, its ends included, and red outside", () => {
    const { fieldConfig } = panelOn(board, "DC voltage at the terminals");
    const steps = fieldConfig?.defaults.thresholds?.steps ?? [];
    const colorOf = (value: number) =>
      steps.filter((s) => s.value === null || s.value <= value).at(-1)?.color;
    expect([649.9, 650, 850, 850.1].map(colorOf)).toEqual(["red", "green", "green", "red"]);
  });

  test("spans the axis, but a percentage spans all that can be", () => {
    const axis = (title: string) => panelOn(board, title).fieldConfig?.defaults.custom;
    expect(axis("DC voltage at the terminals")).toMatchObject({
      axisSoftMin: 650,
      axisSoftMax: 850,
    });
    expect(axis("State of charge")).toMatchObject({ axisSoftMin: 0, axisSoftMax: 100 });
  });
});

describe("a uid", () => {
  const uidOf = (name: string) => {
    const model = clone(fleetModel);
    model.measurements.slice(0, 1).forEach((m) => (m.name = name));
    return dashboards(model).at(1)?.uid ?? "";
  };

  test("is never one that another dashboard has", () => {
    for (const name of ["overview", "alerts", "pipeline"])
      expect(uidOf(name)).not.toBe(`bess-${name}`);
  });

  test("is no longer than Grafana takes, and differs where only a long name's end does", () => {
    const [a, b] = [uidOf(`${"x".repeat(62)}a`), uidOf(`${"x".repeat(62)}b`)];
    expect(a.length).toBeLessThanOrEqual(40);
    expect(a).not.toBe(b);
  });
});

describe("every query is answered by a real InfluxQL engine", () => {
  let engine: InfluxQlEngine;
  let url: string;

  /** When the units stopped to send. */
  let silentSince = 0;

  beforeAll(async () => {
    engine = await InfluxQlEngine.start();
    url = engine.url;
    silentSince = Date.now();
    for (const model of models) {
      await ask(url, "POST", `CREATE DATABASE "${model.name}"`);
      await write(url, model.name, model.measurements.flatMap(points));
      // The reader answers these by itself; here they are tables like others.
      await write(url, model.name, model.measurements.flatMap(figurePoints));
    }
    await ask(url, "POST", `CREATE DATABASE "pipeline"`);
    await write(url, "pipeline", pipelinePoints());
    await ask(url, "POST", `CREATE DATABASE "history"`);
    for (const table of logbookTables) await write(url, databaseOf(table), logbookPoints(table));
  }, 60_000);

  afterAll(async () => {
    await engine.stop();
  });

  test.each(named)("%s", async (name, model) => {
    const silent: string[] = [];
    for (const d of dashboards(model, { backup: { every: "1d" }, uplink: true }))
      for (const { panel, datasource, query } of queriesOf(d)) {
        const rows = await ask(url, "GET", substituted(query), others[datasource] ?? name);
        const isSilent = rows.every(({ values }) =>
          values.every(([, ...answered]) => answered.every((value) => value === null)),
        );
        if (isSilent) silent.push(`${panel}: ${query}`);
      }
    expect(silent).toEqual([]);
  });

  test("what befell the site", async () => {
    const [, ...befallen] = eventsOf(fleetModel);
    expect(befallen.length).toBe(2);
    for (const { datasource, target } of befallen) {
      const { query, textColumn, timeEndColumn } = found(target, "a target");
      const [rows] = await ask(url, "GET", substituted(query), others[datasource?.uid ?? ""]);
      expect(rows?.columns).toEqual(["time", textColumn, timeEndColumn]);
      expect(rows?.values.length).toBe(1);
    }
  });

  test.each(named)("the variables of %s", async (name, model) => {
    for (const d of dashboards(model))
      for (const v of d.templating?.list ?? [])
        expect((await ask(url, "GET", v.query as string, name)).length).toBeGreaterThan(0);
  });

  const valuesOf = async (uid: string, panel: string, model: Model) => {
    const [query] = queriesOn(model, uid, panel);
    return (await valuesAnswered(query, model)).filter((v) => v !== null);
  };
  const queriesOn = (model: Model, uid: string, panel: string) =>
    queriesOf(boardOf(model, uid)).filter((q) => q.panel === panel);
  const valuesAnswered = async (asked: PanelQuery | undefined, model: Model) => {
    const { query } = found(asked, "such query");
    const rows = await ask(url, "GET", substituted(query), model.name);
    return rows.flatMap((row) => row.values.map((v) => v[1]));
  };

  test("power is each point's voltage by its current", async () => {
    const powers = (panel: string) => valuesOf("bess-overview", panel, fleetModel);
    expect(new Set(await powers("DC power: Battery"))).toEqual(new Set([100]));
    expect(new Set(await powers("AC power: PCS"))).toEqual(new Set([300]));
  });

  test("power is over zero while discharging, whatever sign the model stores", async () => {
    const power = (charging: string[], title: string) => {
      const model = clone(fleetModel);
      const [, battery] = model.measurements;
      battery?.fields.forEach(
        (f) => (f.positive = charging.includes(f.name) ? "charging" : "discharging"),
      );
      return valuesOf("bess-overview", title, model);
    };
    expect(new Set(await power(["current"], "DC power: Battery"))).toEqual(new Set([-100]));
    const victron = found(
      models.find(({ name }) => name === "victron"),
      "model of Victron",
    );
    const measured = await valuesOf("bess-overview", "DC power: Battery", victron);
    expect(new Set(measured)).toEqual(new Set([-10]));
    const board = boardOf(victron, "bess-battery");
    expect(panelOn(board, "DC power").description).toContain("Positive while the battery charges.");
  });

  test("what flows in is below zero", async () => {
    const panel = "Current in and out: BESS unit";
    expect(new Set(await valuesOf("bess-overview", panel, fleetModel))).toEqual(new Set([10]));
    const [, into] = queriesOn(fleetModel, "bess-overview", panel);
    expect(await valuesAnswered(into, fleetModel)).toContain(-10);
  });

  test("mode flags become one number with a bit for each", async () => {
    expect(new Set(await valuesOf("bess-overview", "Mode: Battery unit", m5bat))).toEqual(
      new Set([1 + 2 + 4 + 8]),
    );
  });

  test("the highest and the lowest cell are told with their numbers", async () => {
    const now = Date.now() - 5000;
    const lines = [1, 2, 3].map(
      (n) => `cell,pack=p9,number=${n} voltage=${n === 2 ? 3 : 3 + n / 4} ${now}`,
    );
    await write(url, cells.name, [`cell,pack=p9,number=2 voltage=9 ${now - 60_000}`, ...lines]);
    const of = async (query: string) => {
      const rows = await ask(url, "GET", substituted(query), cells.name);
      return rows.find(({ tags }) => tags?.pack === "p9")?.values.map((v) => v.slice(1));
    };
    const [highest, lowest] = queriesOn(
      cells,
      "bess-cell",
      "Voltage of the cell: highest and lowest",
    );
    expect(await of(highest?.query ?? "")).toEqual([[3.75, "3"]]);
    expect(await of(lowest?.query ?? "")).toEqual([[3, "2"]]);
  });

  test("every cell is a row of a map, one for each unit", async () => {
    const board = boardOf(cells, "bess-cell");
    const map = panelOn(board, "Voltage of the cell, by number");
    expect(map).toMatchObject({ type: "heatmap", repeat: "pack" });
    const [query] = queriesOn(cells, "bess-cell", map.title ?? "");
    const rows = await ask(url, "GET", substituted(query?.query ?? ""), cells.name);
    expect(new Set(rows.map(({ tags }) => tags?.number))).toEqual(
      new Set(["1", "2", "3", "u1", "u2"]),
    );
  });

  test("all is received of a unit that sends as expected, and none before it began", async () => {
    const percents = await valuesOf("bess-overview", "Received of expected", m5bat);
    expect(percents).toHaveLength(24);
    expect(percents[0]).toBe(0);
    // Of five minutes, what has gone by since is missing.
    const missing = (Date.now() - silentSince) / 3000;
    expect(percents[11]).toBeGreaterThan(95 - missing);
    expect(percents[11]).toBeLessThan(105);
  });
});

/** What Grafana makes of a query when all units of the last 15 minutes are chosen. */
const substituted = (query: string) =>
  query
    .replaceAll("${__to}", String(Date.now()))
    .replaceAll("$timeFilter", "time >= now() - 15m AND time <= now()")
    .replaceAll("$__interval", "10s")
    .replace(/\/\^\$[a-z0-9_]+\$\//g, "/^.*$/");

const now = Date.now();

/** Times of ten minutes up to now. */
const times = (seconds: number) =>
  Array.from({ length: Math.floor(600 / seconds) }, (_, i) => Math.round(now - i * seconds * 1000));

const values: Record<Field["type"], string> = {
  float: "10",
  int: "1i",
  bool: "true",
  string: '"standby"',
};

/** Ten minutes of two units of a measurement, in line protocol. */
function points(m: Measurement): string[] {
  const fields = m.fields.map((f) => `${f.name}=${values[f.type]}`).join(",");
  const units = ["u1", "u2"].map((unit) => m.tags.map((t) => `${t.name}=${unit}`).join(","));
  return units.flatMap((unit) =>
    times(durationSeconds(m.interval)).map((time) => `${m.name},${unit} ${fields} ${time}`),
  );
}

/** Figures of two units of a measurement, and of both, in the tables that queries name. */
function figurePoints(m: Measurement): string[] {
  const modes = m.fields.filter((f) => f.quantity === "mode").map((f) => `hours_${f.name}_on`);
  const names = [...figureNames(m).map(({ name }) => name), ...modes];
  const fields = names.map((name) => `${name}=1`).join(",");
  const { daily, monthly, siteDaily, siteMonthly } = figureTables(m);
  const tags = ["u1", "u2"].map((unit) => m.tags.map((t) => `,${t.name}=${unit}`).join(""));
  return [
    ...tags.flatMap((unit) => [daily, monthly].map((table) => `${table}${unit}`)),
    siteDaily,
    siteMonthly,
  ].map((series) => `${series} ${fields} ${now - 60_000}`);
}

/** Ten minutes of what Telegraf writes about the pipeline. */
/** Databases of this engine that are those of data sources; all others are the model's. */
const others: Partial<Record<string, string>> = {
  [sources.pipeline]: "pipeline",
  [sources.history]: "history",
};

type LogbookTable = (typeof logbookTables)[number];

const databaseOf = ({ db }: LogbookTable) => (db === "pipeline" ? "pipeline" : "history");

/** A row of each kind of event, with every column. */
const logbookPoints = ({ table, tags, fields }: LogbookTable): string[] =>
  ["start", "backlog"].map((text) =>
    rowLine(
      table,
      Object.fromEntries(tags.map((tag) => [tag, text])),
      Object.fromEntries(fields.map(([name, type]) => [name, type === "int" ? 1 : text])),
      now,
    ),
  );

function pipelinePoints(): string[] {
  const counted = (time: number) => Math.round((time - now) / 1000) + 1000;
  const topic = (name: string, time: number) =>
    `mosquitto,topic=$SYS/broker/${name} value=${counted(time)} ${time}`;
  const topics = [
    "messages/received",
    "messages/sent",
    "publish/messages/dropped",
    "messages/stored",
    "store/messages/count",
    "clients/connected",
  ];
  const healthy =
    "metrics_dropped=0i,metrics_rejected=0i,errors=0i," +
    "buffer_size=5i,buffer_limit=1000i,write_time_ns=2000000i";
  const output = (alias: string, time: number) =>
    `internal_write,output=influxdb_v3,alias=${alias} ` +
    `metrics_written=${counted(time)}i,${healthy} ${time}`;
  return times(10).flatMap((t) => [
    `influxdb_start set_aside=0i,milliseconds=900i ${t}`,
    `rollups lag=1.5,blocks=4i,rows=240i,milliseconds=20i ${t}`,
    ...["telemetry", "pipeline"].map((alias) => output(alias, t)),
    `internal_agent metrics_written=${counted(t)}i,gather_errors=0i ${t}`,
    `internal_mqtt_consumer messages_received=${counted(t)}i,payload_size=1i ${t}`,
    `cpu,cpu=cpu-total usage_idle=90 ${t}`,
    `mem used_percent=40,available=1i ${t}`,
    `disk,path=/ used_percent=40,free=1i ${t}`,
    `temp,sensor=cpu temp=50 ${t}`,
    `influxdb_size bytes=1000i ${t}`,
    `uplink lag=0,samples=371i,refused=0i,bytes=5400i,milliseconds=90i ${t}`,
    `backup age=60i,ok=1i,seconds=12i,bytes=1000i,size=9000i,files=16i,message="done" ${t}`,
    `mqtt_drops,measurement=battery,reason=not\\ JSON,topic=battery/b1/status count=2i,example="{" ${t}`,
    `mqtt_drops,measurement=battery,reason=not\\ a\\ number,field=soc count=1i,example="full" ${t}`,
    `mqtt_strays,topic=batery/b1/status count=1i,payload="{}" ${t}`,
    `mqtt_log,event=not\\ authorised,client=gw-1 count=3i,line="Client gw-1" ${t}`,
    ...topics.map((name) => topic(name, t)),
  ]);
}
