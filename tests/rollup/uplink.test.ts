import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { uncompress } from "snappyjs";
import { loadModel } from "../../configs/model";
import { RemoteWrite, type Series } from "../../rollup/remote-write";
import { askAlerts } from "../../rollup/site-alerts";
import { Uplink, type UplinkOptions } from "../../rollup/uplink";
import { differencesAt, hubFlags } from "../support/at-hub";
import { temporaryFolder } from "../support/programs";
import { rowsOf, StandInSite } from "../support/stand-in-site";
import { VictoriaMetrics } from "../support/victoria-metrics";

const model = loadModel("configs/telemetry.yaml");
/** A day long ago: no time passes but the tests'. */
const began = Date.UTC(2026, 8, 1, 3) / 1000;

/** A site, its clock, and its uplink. */
class Site {
  now = began;
  readonly data = new StandInSite(model, () => this.now);
  uplink!: Uplink;
  hub!: RemoteWrite;
  log: string[] = [];

  constructor(
    readonly url: string,
    private readonly more: Partial<UplinkOptions> = {},
  ) {
    this.restart();
  }

  /** Has its program start again: what was in its memory is gone. */
  restart(): void {
    this.hub = new RemoteWrite({ url: this.url, authorization: "Bearer secret", patience: 1 });
    this.uplink = new Uplink({
      model,
      site: "kiel-1",
      version: "1.2.3",
      raw: [],
      source: this.data,
      hub: this.hub,
      log: (line) => this.log.push(line),
      now: () => this.now,
      rest: 0,
      ...this.more,
    });
  }

  /** Stores rows of all units in a span. */
  write(start: number, end: number, step = 20): void {
    for (const m of model.measurements) this.data.write(m, rowsOf(m, start, end, step));
  }

  /** Time passes, and rows come, a minute at a time. */
  async live(minutes: number): Promise<void> {
    for (let i = 0; i < minutes; i += 1) {
      this.write(this.now, this.now + 60);
      this.now += 60;
      await this.uplink.pass();
    }
  }
}

/** A hub that answers what a test says, and remembers what it was sent. */
class StandInHub {
  answers: (number | "silence")[] = [];
  requests: { headers: IncomingMessage["headers"]; body: Buffer }[] = [];
  private readonly server: Server;

  constructor() {
    this.server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        this.requests.push({ headers: request.headers, body: Buffer.concat(parts) });
        const answer = this.answers.shift() ?? 204;
        if (answer !== "silence") response.writeHead(answer).end(answer < 300 ? "" : "no");
      });
    });
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return this;
  }
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/api/v1/write`;
  }
  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

describe("on the real VictoriaMetrics", () => {
  let victoria: VictoriaMetrics;
  let site: Site;
  beforeAll(async () => {
    victoria = await VictoriaMetrics.start(hubFlags);
  });
  afterAll(() => victoria.remove());
  beforeEach(() => {
    site = new Site(`${victoria.url}/api/v1/write`);
  });
  afterEach(async () => {
    site.hub.close();
    await fetch(`${victoria.url}/api/v1/admin/tsdb/delete_series?match[]={__name__!=""}`);
  });

  /** What differs at the hub from what the site's rows give, in minutes that are over. */
  async function different(from = began) {
    const over = Math.floor((site.now - 10) / 60) * 60;
    const wanted = site.data.expected({ start: from, end: over });
    return differencesAt(victoria, "kiel-1", model, wanted);
  }

  test("a message is at the hub within 90 s", async () => {
    await site.uplink.pass();
    site.write(site.now, site.now + 1);
    // The message came at the minute's first moment: the longest way.
    site.now += 70;
    await site.uplink.pass();
    await victoria.flush();
    const found = await victoria.query(`bess_battery_soc_percent_last{id="k1"}`, site.now);
    expect(found).toHaveLength(1);
    expect((await different()).differences).toEqual([]);
  });

  test("each minute is there, to the digit, and the site's own numbers", async () => {
    await site.uplink.pass();
    await site.live(30);
    const { differences, samples } = await different();
    expect(differences).toEqual([]);
    expect(samples).toBeGreaterThan(2000);
    const own = await victoria.query(
      `{site="kiel-1",__name__=~"bess_(site|pipeline|alert).*"}`,
      site.now,
    );
    expect(own.map(({ metric, value }) => [JSON.stringify(metric), value[1]]).sort()).toEqual(
      [
        [
          {
            __name__: "bess_alert_info",
            alertname: "BessHostHot",
            alertstate: "muted",
            severity: "warning",
            site: "kiel-1",
          },
          "1",
        ],
        [
          {
            __name__: "bess_alert_info",
            alertname: "BessUnitSilentBattery",
            alertstate: "firing",
            severity: "critical",
            site: "kiel-1",
            unit: "k1",
          },
          "1",
        ],
        [{ __name__: "bess_alerts", alertstate: "firing", site: "kiel-1" }, "1"],
        [{ __name__: "bess_alerts", alertstate: "muted", site: "kiel-1" }, "1"],
        [{ __name__: "bess_pipeline_disk_used_percent", site: "kiel-1" }, "42.5"],
        [
          { __name__: "bess_site_info", model: "bess-fleet", site: "kiel-1", version: "1.2.3" },
          "1",
        ],
        [{ __name__: "bess_site_mute_end_timestamp_seconds", site: "kiel-1" }, "1800000000"],
      ].map(([metric, value]) => [JSON.stringify(metric), value]),
    );
  });

  test("a storm of alerts crosses as its gravest, each name of a unit once", async () => {
    await site.uplink.pass();
    const alert = { alertname: "BessUnitSilentBattery", unit: "", muted: false };
    site.data.alertsNow = {
      firing: [
        ...Array.from({ length: 200 }, (_, i) => ({
          ...alert,
          severity: "warning",
          unit: `k${i}`,
        })),
        { ...alert, severity: "critical", unit: "last" },
        { ...alert, severity: "critical", unit: "last" },
      ],
      muteEnds: 0,
    };
    await site.live(2);
    await victoria.flush();
    const named = await victoria.query(`bess_alert_info`, site.now);
    expect(named).toHaveLength(50);
    expect(named.filter(({ metric }) => metric.unit === "last")).toHaveLength(1);
    const [counted] = await victoria.query(`bess_alerts{alertstate="firing"}`, site.now);
    expect(counted?.value[1]).toBe("202");
  });

  test("late rows, and rows that are written over, change the minutes there", async () => {
    await site.uplink.pass();
    await site.live(60);
    site.write(began + 600, began + 1800, 7);
    // Lower and higher values, of times that are there.
    site.write(began + 2400, began + 2700, 20);
    await site.live(30);
    expect((await different()).differences).toEqual([]);
    expect(site.data.state?.revised.length).toBeGreaterThan(0);
  });

  test("a cut link of six hours, a kill of the uplink and one of the hub lose nothing", async () => {
    await site.uplink.pass();
    await site.live(15);
    const cut = 6 * 3600;
    await victoria.stop("SIGKILL");
    // The last minutes came while nobody listened, and those before may be lost.
    site.write(site.now, site.now + cut, 60);
    site.now += cut;
    await expect(site.uplink.pass()).rejects.toThrow("the hub is not reached");
    site.write(began + 300, began + 900, 50);
    await expect(site.uplink.pass()).rejects.toThrow("the hub is not reached");
    await victoria.restart();

    // The uplink's program is killed in the middle, after the hub took what is not saved.
    const save = site.data.save;
    let saves = 0;
    site.data.save = (state, work) => {
      saves += 1;
      return saves > 4 ? Promise.reject(new Error("killed")) : save(state, work);
    };
    await expect(site.uplink.pass()).rejects.toThrow("killed");
    site.data.save = save;
    site.write(began + 7200, began + 9000, 45);
    site.restart();

    // The hub is killed in the middle: it forgets what it took in the last seconds.
    const send = site.hub.send.bind(site.hub);
    let sends = 0;
    site.hub.send = async (series, signal) => {
      sends += 1;
      if (sends === 8) await victoria.stop("SIGKILL");
      return send(series, signal);
    };
    await expect(site.uplink.pass()).rejects.toThrow("the hub is not reached");
    await victoria.restart();
    await site.uplink.pass();
    await site.live(30);
    const { differences, samples } = await different();
    expect(differences).toEqual([]);
    expect(samples).toBeGreaterThan(30_000);
  }, 60_000);

  test("fields cross at full rate where it is asked for", async () => {
    site = new Site(`${victoria.url}/api/v1/write`, { raw: ["battery.soc"] });
    await site.uplink.pass();
    await site.live(4);
    await victoria.flush();
    const [count] = await victoria.query(
      `count_over_time(bess_battery_soc_percent{id="k1"}[10m])`,
      site.now,
    );
    expect(count?.value[1]).toBe("9");
  });
});

describe("with a stand-in hub", () => {
  let hub: StandInHub;
  let site: Site;
  beforeEach(async () => {
    hub = await new StandInHub().start();
    site = new Site(hub.url);
  });
  afterEach(() => {
    site.hub.close();
    hub.stop();
  });

  test("sends what the protocol wants", async () => {
    await site.uplink.pass();
    await site.live(2);
    const [first] = hub.requests;
    expect(first?.headers).toMatchObject({
      authorization: "Bearer secret",
      "content-type": "application/x-protobuf",
      "content-encoding": "snappy",
      "x-prometheus-remote-write-version": "0.1.0",
    });
    const text = Buffer.from(uncompress(new Uint8Array(first?.body ?? []))).toString("latin1");
    for (const { name } of model.measurements) expect(text).toContain(`bess_${name}_rows`);
  });

  test.each([401, 403, 404, 429, 500, 503, "silence" as const])(
    "keeps what a hub that answers %s does not take",
    async (answer) => {
      await site.uplink.pass();
      await site.live(2);
      const { until } = site.data.state ?? {};
      hub.answers = [answer];
      site.now += 60;
      await expect(site.uplink.pass()).rejects.toThrow(/the hub/);
      expect(site.uplink.until).toBeLessThanOrEqual(until ?? 0);
      await site.uplink.pass();
      expect(site.uplink.until).toBe(site.now - 60);
      expect(site.data.works.reduce((sum, { refused }) => sum + refused, 0)).toBe(0);
    },
  );

  test("reads what came while the hub was away once, though it was noted meanwhile", async () => {
    await site.uplink.pass();
    await site.live(30);
    const away = { start: site.now, end: site.now + 3600 };
    for (let i = 0; i < 60; i += 1) {
      hub.answers = [503];
      await expect(site.live(1)).rejects.toThrow("503");
    }
    let read = 0;
    const minutes = site.data.minutes.bind(site.data);
    site.data.minutes = (m, span) => {
      const seconds = Math.min(span.end, away.end) - Math.max(span.start, away.start);
      if (m === model.measurements[0]) read += Math.max(0, seconds);
      return minutes(m, span);
    };
    hub.answers = [];
    await site.uplink.pass();
    // The last block and the one before are looked at once more: they were noted just now.
    expect(read).toBeLessThan(3600 + 1800);
    expect(site.uplink.until).toBe(site.now - 60);
  });

  test("counts what a hub refuses for good, and goes on", async () => {
    await site.uplink.pass();
    hub.answers = [400];
    await site.live(2);
    expect(site.uplink.until).toBe(began + 60);
    expect(site.data.works.reduce((sum, { refused }) => sum + refused, 0)).toBeGreaterThan(0);
    expect(site.log).toEqual([expect.stringMatching(/^the hub refuses \d+ samples: .*400: no$/)]);
  });

  test("sends in halves what is too large", async () => {
    await site.uplink.pass();
    await site.live(1);
    hub.answers = [413];
    const before = hub.requests.length;
    site.write(site.now, site.now + 60);
    site.now += 60;
    await site.uplink.pass();
    expect(hub.requests.length).toBe(before + 3);
    expect(site.data.works.every(({ refused }) => refused === 0)).toBe(true);
  });

  test("a site that begins sends nothing of before, and one that goes on all since", async () => {
    site.write(began - 3600, began);
    await site.uplink.pass();
    await site.live(1);
    expect(site.uplink.until).toBe(began);
    site.now += 3600;
    site.restart();
    await site.uplink.pass();
    expect(site.uplink.until).toBe(site.now - 60);
  });

  test("what does not change is sent twice: as a minute, and with the next one", async () => {
    await site.uplink.pass();
    // Each state is known after some minutes, and those before are sent again for it.
    await site.live(60);
    const { revised } = site.data.state ?? {};
    site.data.works = [];
    await site.live(1);
    const minute = site.data.works[0]?.samples ?? 0;
    await site.live(40);
    expect(site.data.state?.revised).toEqual(revised);
    const sent = site.data.works.map(({ samples }) => samples);
    expect(sent).toEqual(sent.map(() => minute));
  });
});

test("a request holds 2,000 samples at most", async () => {
  const sizes: number[] = [];
  const site = new Site("http://127.0.0.1:9");
  site.hub.send = (series: readonly Series[]) => {
    sizes.push(series.reduce((sum, { samples }) => sum + samples.length, 0));
    return Promise.resolve();
  };
  await site.uplink.pass();
  site.write(began, began + 6 * 3600, 60);
  site.now += 6 * 3600;
  await site.uplink.pass();
  expect(Math.max(...sizes)).toBeLessThanOrEqual(2000);
  expect(Math.max(...sizes)).toBeGreaterThan(1000);
});

describe("a site's alerts", () => {
  const password = temporaryFolder();
  const passwordFile = join(password.path, "password");
  let grafana: Server;
  let answers: Record<string, unknown>;
  let url: string;
  beforeAll(async () => {
    writeFileSync(passwordFile, "s3cret\n");
    grafana = createServer(({ url: path = "", headers }, response) => {
      const isViewer = headers.authorization === `Basic ${btoa("bess-reader:s3cret")}`;
      response.writeHead(isViewer && answers[path] ? 200 : 401).end(JSON.stringify(answers[path]));
    });
    await new Promise<void>((resolve) => grafana.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(grafana.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    grafana.close();
    password.remove();
  });

  // As Grafana 9.4 answers a viewer.
  const alert = (kind: string, silencedBy: string[]) => ({
    endsAt: "2026-11-28T03:30:30.000Z",
    fingerprint: "542eed0720e9b13f",
    startsAt: "2026-11-28T03:29:00.000Z",
    status: { inhibitedBy: [], silencedBy, state: silencedBy.length > 0 ? "suppressed" : "active" },
    labels: { alertname: `${kind}Battery`, kind, severity: "critical", site: "kiel-1", unit: "k1" },
  });
  const silence = (endsAt: string, matchers: object[], state = "active") => ({
    id: "20ae5c44-6a47-4cd5-b531-6c9f310852a5",
    status: { state },
    endsAt,
    startsAt: "2026-11-28T03:29:00.250Z",
    matchers,
  });
  const whole = [
    { isEqual: true, isRegex: false, name: "site", value: "kiel-1" },
    { isEqual: false, isRegex: false, name: "kind", value: "BessWatchdog" },
  ];
  const one = [{ isEqual: true, isRegex: false, name: "alertname", value: "BessHostHot" }];
  const ask = (user = "bess-reader") => askAlerts("kiel-1", { url, user, passwordFile });

  test("are those that fire but the sign of life, and until when the whole site is muted", async () => {
    answers = {
      "/api/alertmanager/grafana/api/v2/alerts": [
        alert("BessWatchdog", []),
        alert("BessUnitSilent", []),
        alert("BessHostHot", ["20ae5c44"]),
      ],
      "/api/alertmanager/grafana/api/v2/silences": [
        silence("2026-11-28T04:00:00.000Z", whole),
        silence("2026-11-28T05:00:00.000Z", whole),
        silence("2026-11-28T06:00:00.000Z", whole, "expired"),
        silence("2026-11-28T07:00:00.000Z", one),
      ],
    };
    const told = { severity: "critical", unit: "k1" };
    expect(await ask()).toEqual({
      firing: [
        { ...told, alertname: "BessUnitSilentBattery", muted: false },
        { ...told, alertname: "BessHostHotBattery", muted: true },
      ],
      muteEnds: Date.UTC(2026, 10, 28, 5) / 1000,
    });
  });

  test("are not known where Grafana refuses, or does not answer", async () => {
    expect(await ask("somebody")).toBeUndefined();
    answers = {};
    expect(await ask()).toBeUndefined();
  });
});
