import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { InvalidArgumentError, Option, program } from "commander";
import type { HubSite } from "../configs/hub-sites";
import { databases } from "../configs/influxdb";
import { loadModel, type Model } from "../configs/model";
import { retentionOf } from "../configs/retention";
import { rollupsTable } from "../configs/rollups";
import { type Scenario, scenarioNames } from "../configs/scenarios";
import {
  dashboards,
  hubDashboards,
  hubDashboardUids,
  hubQueriesOf,
  measurementUid,
} from "../dashboards";
import { hubFlags } from "../tests/support/at-hub";
import { chromium, Chromium } from "../tests/support/chromium";
import { Grafana, grafanaHome, grafanaPassword } from "../tests/support/grafana";
import { importLine, simulatedSeries } from "../tests/support/hub-fleet";
import { influxdb3, until } from "../tests/support/programs";
import { pipelineRows } from "../tests/support/pipeline-rows";
import { RolledSite } from "../tests/support/rolled-site";
import { simulated } from "../tests/support/simulated";
import { VictoriaMetrics } from "../tests/support/victoria-metrics";
import { lineOf } from "../tests/support/watched";

const states = ["normal", "fault", "empty", "dead"] as const;
type State = (typeof states)[number];

/** How a page is looked at. */
const looks = {
  dark: { theme: "dark", width: 1280 },
  light: { theme: "light", width: 1280 },
  phone: { theme: "dark", width: 390 },
} as const;
type LookName = keyof typeof looks;

interface Options {
  out: string;
  state: State;
  dead: boolean;
  look: LookName[];
  scenario: Scenario;
  days: number;
  wait: number;
  range: string;
  only: string[];
  hub: boolean;
}

const positive = (text: string): number => {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("write a number over 0");
  return value;
};

/** Seconds between two messages of a simulated unit: days of each second would take hours. */
const interval = 10;

/** The default model, of units that send more rarely. */
function pacedModel(): Model {
  const model = loadModel("configs/telemetry.yaml");
  const measurements = model.measurements.map((m) => ({ ...m, interval: `${interval}s` }));
  return { ...model, measurements };
}

/** Writes what a simulated site has sent for days, and goes on with it until it is told to stop. */
async function feed(
  site: RolledSite,
  model: Model,
  { days, state, scenario }: Options,
  stop: AbortSignal,
  caughtUp: () => void,
): Promise<void> {
  const now = Math.floor(Date.now() / 10_000) * 10_000;
  // Whole days: the first one too is shown with all that it had.
  const from = Math.floor(now / 86_400_000 - days) * 86_400_000;
  const seconds = (now - from) / 1000;
  const run = simulated({
    model,
    from,
    // It goes on while pictures are taken.
    seconds: seconds + 7200,
    interval,
    ...(state === "fault" && { scenario, faultFrom: seconds - 1800 }),
  });
  const lines: Record<"telemetry" | "pipeline", string[]> = { telemetry: [], pipeline: [] };
  const send = async () => {
    await site.write(lines.telemetry.splice(0));
    await site.write(lines.pipeline.splice(0), databases.pipeline);
  };
  /** Times of the simulation are ms. */
  const inSeconds = (line: string) => line.replace(/(\d{10})\d{3}$/, "$1");
  let told = from + (seconds - 86_400) * 1000;
  for (const { time, points } of run) {
    if (time > Date.now()) {
      await send();
      caughtUp();
      while (time > Date.now() && !stop.aborted) await sleep(500);
    }
    if (stop.aborted) return;
    lines.telemetry.push(...points.map((point) => inSeconds(lineOf(point, time))));
    // What Telegraf tells of the pipeline, of the last day alone.
    for (; told <= time; told += 10_000)
      lines.pipeline.push(...pipelineRows(told, (told - from) / 1000).map(inSeconds));
    if (lines.telemetry.length > 20_000) await send();
  }
}

const say = (what: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${what}`);

/** Whether the figures of all days that are over are there. */
async function isReckoned(site: RolledSite): Promise<boolean> {
  const sql = `SELECT max(reckoned) AS reckoned FROM ${rollupsTable}`;
  const [{ reckoned = 0 } = {}] = await site.sql(databases.pipeline, sql);
  const today = Math.floor(Date.now() / 86_400_000) * 86_400;
  // The last midnight is waited for a while.
  return Number(reckoned) >= today - 86_400;
}

/** Reduces a picture to 256 colours, as pngquant does; unchanged where it is missing. */
function compressed(png: Buffer): Buffer {
  const { status, stdout } = spawnSync("pngquant", ["--speed", "1", "--strip", "-"], {
    input: png,
    maxBuffer: 64 * 2 ** 20,
  });
  return status === 0 ? stdout : png;
}

/** Words on a page that nobody is to read there. */
const unwanted = `[...document.querySelectorAll("main, .main-view")].flatMap((each) =>
  each.innerText.match(/\\bNo data\\b|[^\\n]*\\b(?:error|failed)\\b[^\\n]*/gi) ?? [])`;

/** How high the panels of a dashboard reach. */
const height = `Math.max(...[...document.querySelectorAll(".react-grid-item")].map((each) =>
  each.getBoundingClientRect().bottom + (document.querySelector(".scrollbar-view")?.scrollTop ?? 0)))`;

/** Titles of panels: what they say of errors is none. */
const titlesOf = (made: ReturnType<typeof dashboards>) =>
  made.flatMap(({ panels = [] }) => panels.map(({ title }) => title ?? ""));

/** Takes a picture of a dashboard, whole, and says which words of an error are on it. */
async function take(
  { browser, grafana, titles }: { browser: Chromium; grafana: Grafana; titles: string[] },
  uid: string,
  { out, state, look, range }: { out: string; state: State; look: LookName; range: string },
) {
  const { theme, width } = looks[look];
  const query = new URLSearchParams({ theme, kiosk: "1", ...ranged(uid, range) });
  const url = `${grafana.url}/d/${uid}?${query}`;
  const begin = { width, height: 1600 };
  const page = await browser.open(url, grafana.authorization, begin);
  let reached = 0;
  // On a slow machine a page has no panels yet.
  for (let second = 0; !(reached > 0) && second < 60; second += 1) {
    reached = Number(await page.evaluate(height));
    if (!(reached > 0)) await sleep(1000);
  }
  await page.resize({ width, height: Math.ceil(reached > 0 ? reached + 12 : begin.height) });
  const found = ((await page.evaluate(unwanted)) ?? []) as string[];
  const words = [
    ...found.filter((text) => !titles.includes(text.trim())),
    ...browser.refused.splice(0),
  ];
  const name = [
    uid.replace(/^bess-/, ""),
    ...(state === "normal" ? [] : [state]),
    ...(look === "dark" ? [] : [look]),
  ].join("-");
  const png = compressed(await page.picture());
  writeFileSync(join(out, `${name}.png`), png);
  await page.close();
  const said = words.length > 0 ? `; it says: ${[...new Set(words)].join(" | ")}` : "";
  console.log(`${name}.png: ${Math.ceil(png.length / 1024)} KiB${said}`);
}

const ranged = (uid: string, range: string): Record<string, string> =>
  uid === "bess-performance" || uid === "bess-alert-list" || isOfHub(uid)
    ? {}
    : { from: `now-${range}`, to: "now" };

const isOfHub = (uid: string): boolean => Object.values<string>(hubDashboardUids).includes(uid);

/** Sites of a hub, each with its place, and how many minutes ago the last one came. */
const hubFleet: [name: string, latitude: number, longitude: number, ago: number][] = [
  ["kiel-1", 54.32, 10.13, 0],
  ["kiel-2", 54.37, 10.2, 0],
  ["husum-1", 54.48, 9.05, 0],
  ["luebeck-2", 53.87, 10.69, 0],
  ["rostock-3", 54.09, 12.13, 40],
  ["bremen-1", 53.08, 8.8, 0],
  ["berlin-2", 52.52, 13.4, 0],
  ["dresden-5", 51.05, 13.74, 0],
  ["aachen-4", 50.78, 6.08, 0],
  ["ulm-6", 48.4, 9.99, 0],
];

/** Days of energy and completeness that a hub has; of all else it has one. */
const hubDays = 90;

/** A hub's database, filled with what simulated sites have sent. */
async function filledHub(sites: readonly HubSite[]): Promise<VictoriaMetrics> {
  const database = await VictoriaMetrics.start([...hubFlags, "-selfScrapeInterval=10s"]);
  const now = Math.floor(Date.now() / 60_000) * 60;
  const long = new Set(
    hubQueries(sites).flatMap(({ board, expr }) =>
      board === hubDashboardUids.months ? (expr.match(/bess_[a-z0-9_]+/g) ?? []) : [],
    ),
  );
  for (const { name, model } of sites) {
    const [, , , ago = 0] = hubFleet.find(([known]) => known === name) ?? [];
    const lines = simulatedSeries(model, name).map((one) => {
      const days = long.has(one.labels.__name__ ?? "") ? hubDays : 1;
      return importLine(one, now - ago * 60, days * 1440);
    });
    const request = { method: "POST", body: lines.join("\n") };
    const answer = await fetch(`${database.url}/api/v1/import`, request);
    if (!answer.ok) throw new Error(await answer.text());
  }
  await database.flush();
  return database;
}

const hubQueries = (sites: readonly HubSite[]) =>
  hubDashboards({ sites, storage: "single" }).flatMap((made) =>
    hubQueriesOf(made).map((query) => ({ ...query, board: made.uid })),
  );

/** Takes pictures of a hub's dashboards: the database is real, and its sites are simulated. */
async function takeHub(asked: Options): Promise<void> {
  const models = {
    own: loadModel("configs/telemetry.yaml"),
    other: loadModel("configs/models/m5bat.yaml"),
  };
  const sites = hubFleet.map(([name, latitude, longitude]): HubSite => {
    const model = name.startsWith("aachen") ? models.other : models.own;
    return { name, stack: name, labels: {}, wave: "", location: { latitude, longitude }, model };
  });
  const options = { sites, storage: "single" as const };
  const database = await filledHub(sites);
  try {
    const grafana = await Grafana.start(options);
    const browser = new Chromium();
    try {
      await grafana.fillHub(options, database.url);
      say("Grafana is filled");
      const titles = titlesOf(hubDashboards(options));
      for (const look of asked.look)
        for (const uid of asked.only.length > 0 ? asked.only : [hubDashboardUids.fleet])
          await take({ browser, grafana, titles }, uid, { ...asked, state: "normal", look });
    } finally {
      await browser.stop();
      await grafana.stop();
    }
  } finally {
    await database.remove();
  }
}

program
  .name("bench:screenshots")
  .description(
    "Takes pictures of the dashboards: a real Grafana (BESS_GRAFANA: its home folder), a real InfluxDB 3 " +
      "(BESS_INFLUXDB3) with the simulator's days, the rollups and the alert rules, and Debian's " +
      "Chromium; pngquant, where it is there, makes them small. All run on the loopback and end with it.",
  )
  .option("--out <folder>", "where the pictures go", "docs/pictures")
  .addOption(
    new Option("--state <state>", "what the site is like")
      .choices(states.slice(0, 3))
      .default("normal"),
  )
  .addOption(
    new Option("--scenario <name>", "the fault").choices(scenarioNames).default("over-voltage"),
  )
  .option("--dead", "takes pictures once more when the database has died", false)
  .option("--days <count>", "whole days that were simulated before today", positive, 3)
  .option("--wait <seconds>", "how long alert rules are evaluated before", positive, 60)
  .addOption(
    new Option("--look <looks...>", "how it is looked at")
      .choices(Object.keys(looks))
      .default(["dark"]),
  )
  .option("--range <duration>", "time range, but of what has one of its own", "1h")
  .option("--only <uids...>", "dashboards", [])
  .option("--hub", "instead a hub's, of simulated sites in a real VictoriaMetrics", false)
  .action(async (asked: Options) => {
    const model = pacedModel();
    const retention = retentionOf({ profile: "pi", retention: "7d" });
    const [unit] = model.measurements.filter((m) =>
      m.fields.some((f) => f.quantity === "state_of_charge"),
    );
    const uids =
      asked.only.length > 0
        ? asked.only
        : [
            "bess-overview",
            ...(unit ? [measurementUid(unit)] : []),
            "bess-performance",
            "bess-alert-list",
          ];
    const missing = [
      ...(grafanaHome() === undefined ? ["Grafana: BESS_GRAFANA names its home folder"] : []),
      ...(influxdb3() === undefined && !asked.hub ? ["InfluxDB 3: BESS_INFLUXDB3 names it"] : []),
      ...(chromium() === undefined ? ["Chromium: install Debian's package chromium"] : []),
    ];
    if (missing.length > 0) program.error(["missing", ...missing].join("\n  - "));
    mkdirSync(asked.out, { recursive: true });
    if (asked.hub) return takeHub(asked);
    const site = await RolledSite.make(model, retention);
    const stop = new AbortController();
    const open: { stop(): Promise<unknown> }[] = [];
    const opened = <T extends { stop(): Promise<unknown> }>(made: T): T => {
      open.push(made);
      return made;
    };
    try {
      const grafana = opened(await Grafana.start());
      const browser = opened(new Chromium());
      await site.declare(model);
      if (asked.state !== "empty")
        await new Promise<void>((resolve, reject) => {
          feed(site, model, asked, stop.signal, resolve).then(resolve, reject);
        });
      say("simulated");
      const admin = { url: grafana.url, user: "admin", password: grafanaPassword };
      site.startRollup(undefined, admin);
      if (asked.state !== "empty")
        await until("yesterday is reckoned", () => isReckoned(site), 900);
      say("rolled up");
      const { url, readerUrl, token } = site;
      await grafana.fill({ name: "kiel-1", model, influxdb: url, reader: readerUrl, token });
      say("Grafana is filled");
      await sleep(asked.wait * 1000);
      const titles = titlesOf(dashboards(model));
      const pictures = async (state: State) => {
        for (const look of asked.look)
          for (const uid of uids)
            await take({ browser, grafana, titles }, uid, { ...asked, state, look });
      };
      await pictures(asked.state);
      if (asked.dead) {
        stop.abort();
        await site.killDatabase();
        await sleep(asked.wait * 1000);
        await pictures("dead");
      }
    } finally {
      stop.abort();
      for (const each of open.reverse()) await each.stop();
      await site.close();
    }
  })
  .parseAsync();
