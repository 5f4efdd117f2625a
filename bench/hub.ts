import { Agent, request } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { program } from "commander";
import { loadModel } from "../configs/model";
import { hubDashboards, hubQueriesOf } from "../dashboards";
import { encode } from "../rollup";
import { RunningHub, Sender } from "../tests/support/hub";
import { importLine, simulatedSeries, type SimulatedSeries } from "../tests/support/hub-fleet";
import { secondsOf } from "./measuring";
import { processorSeconds, residentMiB } from "./processes";

interface Options {
  sites: number[];
  minutes: number;
}

/**
 * Minutes that the dashboard's series have, and it looks back: a day, but an hour of a very large fleet, for
 * Node.js takes longer to write a day than VictoriaMetrics to take it.
 */
const minutesBack = (count: number) => (count <= 1000 ? 1440 : 60);

/** Simulated sites of the default model. */
class Fleet {
  readonly names: string[];
  private readonly model = loadModel("configs/telemetry.yaml");
  readonly perSite: number;

  constructor(count: number) {
    this.names = Array.from({ length: count }, (_, i) => `site-${i + 1}`);
    this.perSite = simulatedSeries(this.model, "site-1").length;
  }

  seriesOf = (site: string): SimulatedSeries[] => simulatedSeries(this.model, site);

  /** The queries of the fleet's dashboard, of all sites. */
  queries() {
    const sites = [{ name: "site-1", stack: "site-1", labels: {}, wave: "", model: this.model }];
    const [fleet] = hubDashboards({ sites, storage: "single" });
    if (!fleet) throw new Error("a hub has a dashboard of its fleet");
    return hubQueriesOf(fleet).map((it) => ({ ...it, expr: it.expr.replaceAll("$site", ".+") }));
  }

  /** A site's minute, as its uplink sends it. */
  body = (site: string, minute: number): Buffer =>
    encode(
      this.seriesOf(site).map(({ labels, value }) => ({
        labels: Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)),
        samples: [{ time: minute * 60_000, value: value(minute) }],
      })),
    );
}

/** Sends bodies at once over so many connections. @returns seconds. */
async function sendAll(
  bodies: readonly { body: Buffer; token: string }[],
  hub: RunningHub,
): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 8, ca: hub.certificate });
  let next = 0;
  const send = ({ body, token }: { body: Buffer; token: string }) =>
    new Promise<void>((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${token}`,
        "content-encoding": "snappy",
        "content-type": "application/x-protobuf",
      };
      const asked = request(`${hub.url}/api/v1/write`, { method: "POST", agent, headers });
      asked.once("error", reject);
      asked.once("response", (response) => {
        response.resume();
        response.once("end", () =>
          response.statusCode === 204
            ? resolve()
            : reject(new Error(`the hub answered ${response.statusCode}`)),
        );
      });
      asked.end(body);
    });
  const worker = async () => {
    for (let one = bodies[next++]; one; one = bodies[next++]) await send(one);
  };
  const seconds = await secondsOf(async () => {
    await Promise.all(Array.from({ length: 8 }, worker));
  });
  agent.destroy();
  return seconds;
}

const token = (site: string) => `token-of-${site}-0123456789`;

/** A value of the database's own metrics. */
async function own(hub: RunningHub, pattern: RegExp): Promise<number> {
  const text = await (await fetch(`${hub.database.url}/metrics`)).text();
  return text
    .split("\n")
    .filter((line) => pattern.test(line))
    .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

/** What the dashboard reads, as far as it looks back. */
async function fillDay(fleet: Fleet, hub: RunningHub, now: number): Promise<void> {
  const read = new Set(fleet.queries().flatMap(({ expr }) => expr.match(/bess_[a-z0-9_]+/g) ?? []));
  for (let i = 0; i < fleet.names.length; i += 50) {
    const lines = fleet.names
      .slice(i, i + 50)
      .flatMap((site) => fleet.seriesOf(site))
      .filter(({ labels }) => read.has(labels.__name__ ?? ""))
      .map((one) => importLine(one, now - 60, minutesBack(fleet.names.length)));
    const answer = await fetch(`${hub.database.url}/api/v1/import`, {
      method: "POST",
      body: lines.join("\n"),
    });
    if (!answer.ok) throw new Error(await answer.text());
  }
}

async function measure(count: number, minutes: number): Promise<void> {
  const fleet = new Fleet(count);
  const hub = await RunningHub.start(Object.fromEntries(fleet.names.map((s) => [s, token(s)])));
  try {
    const now = Math.floor(Date.now() / 60_000) * 60;
    console.log(`${count} sites of the default model, ${fleet.perSite} series each:`);
    const days = await secondsOf(() => fillDay(fleet, hub, now));
    await hub.database.flush();
    await fetch(`${hub.database.url}/internal/force_merge`);
    await sleep(3000);
    const rows = await own(hub, /^vm_rows\{type="storage/);
    const bytes = await own(hub, /^vm_data_size_bytes\{type="storage/);
    console.log(
      `  ${minutesBack(count) / 60} h of the dashboard's series: ${rows} values in ${days.toFixed(0)} s of import, ` +
        `${(bytes / rows).toFixed(2)} bytes per value`,
    );
    // As many bodies as memory holds well.
    const sent = fleet.names.slice(0, 1000);
    let [values, seconds, size] = [0, 0, 0];
    const before = processorSeconds(hub.database.pid) + processorSeconds(hub.doorPid);
    for (let minute = 0; minute < minutes; minute++)
      for (let i = 0; i < fleet.names.length; i += sent.length) {
        const bodies = fleet.names.slice(i, i + sent.length).map((site) => ({
          body: fleet.body(site, now / 60 - minutes + minute),
          token: token(site),
        }));
        size += bodies.reduce((sum, { body }) => sum + body.length, 0);
        seconds += await sendAll(bodies, hub);
        values += bodies.length * fleet.perSite;
      }
    const processor = processorSeconds(hub.database.pid) + processorSeconds(hub.doorPid) - before;
    const need = (fleet.perSite * count) / 60;
    const rate = values / seconds;
    console.log(
      `  by their uplinks' requests, through vmauth with TLS: ${Math.round(rate)} values/s ` +
        `(${(rate / need).toFixed(1)} times the ${Math.round(need)} that they send), ` +
        `${(values / processor / 1000).toFixed(0)} thousand values per second of processor, ` +
        `${(size / values).toFixed(1)} bytes per value on the line`,
    );
    console.log(
      `  memory: VictoriaMetrics ${residentMiB(hub.database.pid).now} MiB, vmauth ${residentMiB(hub.doorPid).now} MiB`,
    );
    await hub.database.flush();
    const [began, used] = [performance.now(), processorSeconds(hub.database.pid)];
    const queries = fleet.queries();
    const slowest = await Promise.all(
      queries.map(async ({ expr, instant, panel }) => {
        const took = await secondsOf(async () => {
          const at = instant
            ? `query?time=${now}`
            : `query_range?start=${now - minutesBack(count) * 60}&end=${now}&step=120`;
          const answer = await fetch(
            `${hub.database.url}/api/v1/${at}&nocache=1&query=${encodeURIComponent(expr)}`,
          );
          if (!answer.ok) throw new Error(await answer.text());
          await answer.text();
        });
        return { panel, took };
      }),
    );
    const dashboard = (performance.now() - began) / 1000;
    const [worst] = slowest.sort((a, b) => b.took - a.took);
    console.log(
      `  the fleet's dashboard over ${minutesBack(count) / 60} h, its ${queries.length} queries at once: ` +
        `${dashboard.toFixed(2)} s (slowest: ${worst?.panel}, ${worst?.took.toFixed(2)} s; ` +
        `${(processorSeconds(hub.database.pid) - used).toFixed(2)} s of processor)`,
    );
    await floor(fleet, hub, now, rate);
  } finally {
    await hub.remove();
  }
}

/** The same values by a plain vmagent, which sends larger requests. */
async function floor(fleet: Fleet, hub: RunningHub, now: number, rate: number): Promise<void> {
  const sites = fleet.names.slice(0, 1000);
  const texts = Array.from({ length: Math.ceil(sites.length / 100) }, (_, i) =>
    sites
      .slice(i * 100, i * 100 + 100)
      .flatMap((site) => fleet.seriesOf(site))
      .map((one) => importLine(one, now + 60, 1))
      .join("\n"),
  );
  const sender = await Sender.start(hub, token("site-1"));
  const values = sites.length * fleet.perSite;
  const inserted = () => own(hub, /^vm_rows_inserted_total\{type="promremotewrite"\}/);
  const before = await inserted();
  const seconds = await secondsOf(async () => {
    for (const text of texts) await sender.importJson(text);
    while ((await inserted()) < before + values) await sleep(20);
  });
  await sender.remove();
  console.log(
    `  floor, a plain vmagent: ${Math.round(values / seconds)} values/s; ` +
      `the uplinks' way has ${(rate / (values / seconds)).toFixed(2)} of it`,
  );
}

const numbers = (text: string) => text.split(",").map(Number);

program
  .name("npm run bench:hub --")
  .description("How many sites one hub carries: values a second, bytes, memory, and its dashboard.")
  .option("--sites <counts>", "how many sites, one after the other", numbers, [1000, 10_000])
  .option("--minutes <count>", "minutes of all series that are sent", Number, 3)
  .action(async ({ sites, minutes }: Options) => {
    for (const count of sites) await measure(count, minutes);
  });
void program.parseAsync().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
