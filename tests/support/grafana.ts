import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { type AlertGroup, alertGroups, hubAlertGroups } from "../../alerts";
import { folders } from "../../configs/grafana";
import { databases } from "../../configs/influxdb";
import type { Model } from "../../configs/model";
import { profiles } from "../../configs/profiles";
import { tiers } from "../../configs/rollups";
import { storageBudget } from "../../configs/storage";
import {
  dashboards,
  gazetteer,
  gazetteerText,
  type HubDashboardOptions,
  hubDashboards,
  hubSource,
  sources,
} from "../../dashboards";
import { freePort, Running, temporaryFolder, until } from "./programs";

/**
 * Home folder of a real Grafana, with `bin/grafana` in it: `BESS_GRAFANA`, for no package registry has it;
 * undefined without it.
 */
export const grafanaHome = (): string | undefined => process.env.BESS_GRAFANA;

/** Password of the user `admin`. */
export const grafanaPassword = "grafana-of-a-test";

/** The site that a Grafana shows. */
export interface ShownSite {
  name: string;
  model: Model;
  /** Address of InfluxDB, and of the reader before it. */
  influxdb: string;
  reader: string;
  token: string;
}

/** A real Grafana on the loopback, with an empty folder of its own. */
export class Grafana {
  readonly authorization = `Basic ${Buffer.from(`admin:${grafanaPassword}`).toString("base64")}`;
  private readonly folder = temporaryFolder();

  private constructor(
    readonly url: string,
    home: string,
    port: number,
    hub: HubDashboardOptions | undefined,
  ) {
    const { path } = this.folder;
    this.server = new Running(join(home, "bin/grafana"), ["server", "--homepath", home], {
      env: {
        ...process.env,
        GF_SERVER_HTTP_ADDR: "127.0.0.1",
        GF_SERVER_HTTP_PORT: String(port),
        GF_PATHS_DATA: path,
        GF_PATHS_LOGS: join(path, "log"),
        GF_PATHS_PLUGINS: join(path, "plugins"),
        ...(hub && { GF_SERVER_STATIC_ROOT_PATH: this.pagesWith(hub, home) }),
        GF_SECURITY_ADMIN_PASSWORD: grafanaPassword,
        GF_ANALYTICS_REPORTING_ENABLED: "false",
        GF_ANALYTICS_CHECK_FOR_UPDATES: "false",
        GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES: "false",
        GF_NEWS_NEWS_FEED_ENABLED: "false",
        GF_LOG_LEVEL: "error",
        // Before version 11 the former alerting was there too.
        GF_UNIFIED_ALERTING_ENABLED: "true",
      },
    });
  }

  private readonly server: Running;
  private readonly proxies: Server[] = [];

  /** Grafana's pages, with the places of a hub's sites beside them. @returns their folder. */
  private pagesWith({ sites }: HubDashboardOptions, home: string): string {
    const [from, to] = [join(home, "public"), join(this.folder.path, "public")];
    const [folder = ""] = gazetteer.split("/");
    mkdirSync(join(to, folder), { recursive: true });
    for (const [inner, except] of [
      ["", folder],
      [folder, ""],
    ] as const)
      for (const name of readdirSync(join(from, inner)))
        if (name !== except) symlinkSync(join(from, inner, name), join(to, inner, name));
    writeFileSync(join(to, gazetteer), gazetteerText(sites));
    return to;
  }

  /** @param hub whose sites' places it is to know. @throws Error where there is none. */
  static async start(hub?: HubDashboardOptions): Promise<Grafana> {
    const home = grafanaHome();
    if (home === undefined) throw new Error("Grafana is missing: BESS_GRAFANA names its home");
    const port = await freePort();
    const grafana = new Grafana(`http://127.0.0.1:${port}`, home, port, hub);
    await until(
      () => `Grafana answers: ${grafana.server.output}`,
      () =>
        fetch(`${grafana.url}/api/health`).then(
          ({ ok }) => ok,
          () => false,
        ),
      120,
    );
    return grafana;
  }

  /** Calls its API. @throws Error with its own words. */
  async call(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: { authorization: this.authorization, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answers ${response.status}: ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  /**
   * Makes data sources, dashboards and rules in it, as `up` does. Its pages are not asked anew by
   * themselves: such a page never comes to rest.
   */
  async fill({ name: site, model, influxdb, reader, token }: ShownSite): Promise<void> {
    const storage = storageBudget(model, { profile: "pi", retention: "90d", storage: {} });
    const { telemetry, rollups, pipeline, history } = sources;
    const all: [uid: string, url: string, database: string][] = [
      [telemetry, await this.passed(influxdb), databases.telemetry],
      [rollups, await this.passed(reader), databases.telemetry],
      [pipeline, await this.passed(influxdb), databases.pipeline],
      [history, await this.passed(influxdb), tiers.day.database],
    ];
    for (const [uid, url, database] of all)
      await this.call("POST", "/api/datasources", {
        uid,
        name: uid,
        type: "influxdb",
        access: "proxy",
        url,
        database,
        isDefault: uid === telemetry,
        jsonData: { dbName: database, httpMode: "GET", httpHeaderName1: "Authorization" },
        secureJsonData: { httpHeaderValue1: `Bearer ${token}` },
      });
    for (const uid of Object.values(folders))
      await this.call("POST", "/api/folders", { uid, title: uid });
    for (const made of dashboards(model, { site, storage })) {
      const dashboard = { ...made, refresh: "" };
      await this.call("POST", "/api/dashboards/db", { dashboard, folderUid: folders.dashboards });
    }
    const rules = { model, site, runbook: "docs/alerts.md", profile: profiles.pi, storage };
    for (const group of alertGroups(rules)) await this.makeRules(group);
  }

  /** The same for a hub. @param query where its database answers. */
  async fillHub(options: HubDashboardOptions, query: string): Promise<void> {
    await this.call("POST", "/api/datasources", {
      uid: hubSource,
      name: hubSource,
      type: "prometheus",
      access: "proxy",
      url: query,
      isDefault: true,
      jsonData: { httpMethod: "POST", timeInterval: "1m" },
    });
    for (const uid of Object.values(folders))
      await this.call("POST", "/api/folders", { uid, title: uid });
    for (const made of hubDashboards(options)) {
      const dashboard = { ...made, refresh: "" };
      await this.call("POST", "/api/dashboards/db", { dashboard, folderUid: folders.dashboards });
    }
    for (const group of hubAlertGroups({ ...options, runbook: "docs/alerts.md" }))
      await this.makeRules(group);
  }

  /**
   * Address at which an InfluxDB is asked for JSON alone. Before version 10 the browser asks it, and says
   * that it accepts several kinds, which InfluxDB 3 refuses.
   */
  private async passed(influxdb: string): Promise<string> {
    const port = await freePort();
    const proxy = createServer((request, response) => {
      const headers = { authorization: request.headers.authorization ?? "" };
      fetch(`${influxdb}${request.url}`, { headers })
        .then(async (answer) => response.writeHead(answer.status).end(await answer.text()))
        .catch(() => response.writeHead(502).end());
    });
    this.proxies.push(proxy);
    await new Promise<void>((resolve) => proxy.listen(port, "127.0.0.1", resolve));
    return `http://127.0.0.1:${port}`;
  }

  private async makeRules({ name, interval, rules }: AlertGroup): Promise<void> {
    const { version } = (await this.call("GET", "/api/health")) as { version: string };
    // Before version 10 a rule could not keep its state.
    const known =
      Number.parseInt(version, 10) < 10 ? { execErrState: "OK", noDataState: "OK" } : {};
    const made = rules.map((rule) => ({
      ...rule,
      ...known,
      orgID: 1,
      folderUID: folders.alerts,
      ruleGroup: name,
    }));
    for (const rule of made) await this.call("POST", "/api/v1/provisioning/alert-rules", rule);
    const group = `/api/v1/provisioning/folder/${folders.alerts}/rule-groups/${encodeURIComponent(name)}`;
    const whole = { title: name, folderUid: folders.alerts, interval, rules: made };
    await this.call("PUT", group, whole);
  }

  async stop(): Promise<void> {
    await this.server.stop();
    for (const proxy of this.proxies) {
      proxy.close();
      proxy.closeAllConnections();
    }
    this.folder.remove();
  }
}
