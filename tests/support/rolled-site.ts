import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { databases } from "../../configs/influxdb";
import type { Model } from "../../configs/model";
import type { Retention } from "../../configs/rollups";
import type { UplinkConfig } from "../../configs/uplink";
import type { ServiceConfig } from "../../rollup";
import { Influx, type InfluxChoices } from "./influxdb";
import { freePort, Running, temporaryFolder } from "./programs";

/** Bytes that one write has at most. */
const mostBytes = 4_000_000;

/** A real InfluxDB 3 with its relay, and the rollups' program as its container runs it. */
export class RolledSite {
  private readonly folder = temporaryFolder();
  private rollup: Running | undefined;

  private constructor(
    private readonly model: Model,
    private readonly retention: Retention,
    private readonly influx: Influx,
    private readonly readerPort: number,
  ) {
    writeFileSync(this.at("token"), influx.token);
    buildSync({
      entryPoints: [join(__dirname, "../../rollup/main.ts")],
      bundle: true,
      platform: "node",
      target: "node20",
      outfile: this.at("main.js"),
    });
  }

  /** @param choices of its InfluxDB. */
  static async make(
    model: Model,
    retention: Retention,
    choices: Omit<InfluxChoices, "retention"> = {},
  ): Promise<RolledSite> {
    const influx = await Influx.start({ noteSeconds: 1, ...choices, retention });
    return new RolledSite(model, retention, influx, await freePort());
  }

  startDatabase = (): Promise<void> => this.influx.start();

  /** Ends InfluxDB and its relay at once. */
  killDatabase = (): Promise<void> => this.influx.kill();

  /**
   * @param hub address of a hub that gets the site's minutes. Default: none.
   * @param grafana whose alerts are followed, by whom and with which password. Default: none.
   */
  startRollup(
    hub?: Partial<UplinkConfig> & { url: string },
    grafana?: { url: string; user: string; password: string },
  ): Running {
    const uplink = hub && {
      site: "kiel-1",
      version: "1.2.3",
      tokenFile: this.at("token"),
      raw: [],
      due: { note: 2, again: 8 },
      settle: 2,
      ...hub,
    };
    const config: ServiceConfig = {
      model: this.model,
      retention: this.retention,
      influxdb: this.url,
      relay: `http://127.0.0.1:${this.influx.writePort}`,
      tokenFile: this.at("token"),
      notes: this.influx.notes,
      listen: { address: "127.0.0.1", port: this.readerPort },
      due: { note: 2, window: 120 },
      ...(uplink && { uplink }),
      ...(grafana && {
        logbook: {
          grafana: grafana.url,
          alerts: {
            source: { url: grafana.url, user: grafana.user, passwordFile: this.at("password") },
            settle: 120,
          },
        },
      }),
    };
    if (grafana) writeFileSync(this.at("password"), grafana.password);
    writeFileSync(this.at("config.json"), JSON.stringify(config));
    this.rollup = new Running(process.execPath, [this.at("main.js"), this.at("config.json")]);
    return this.rollup;
  }

  async stopRollup(signal?: NodeJS.Signals): Promise<void> {
    await this.rollup?.stop(signal);
  }

  get url(): string {
    return this.influx.url;
  }

  /** Where the reader answers. */
  get readerUrl(): string {
    return `http://127.0.0.1:${this.readerPort}`;
  }

  /** Makes the databases and tables of a model, as `up` does. */
  declare = (model: Model): Promise<void> => this.influx.declare(model);

  get token(): string {
    return this.influx.token;
  }

  /** Ids of the processes of the database and of the rollups' program. */
  get pids(): { database: number; rollup: number } {
    if (!this.rollup) throw new Error("the rollups' program is not started");
    return { database: this.influx.pid, rollup: this.rollup.pid };
  }

  /** Folder of the database's files. */
  get data(): string {
    return this.influx.data;
  }

  /** Writes line protocol with times in seconds, as Telegraf does. */
  async write(lines: readonly string[], db: string = databases.telemetry): Promise<void> {
    let body = "";
    const send = async () => {
      await this.influx.write(body, db, "second");
      body = "";
    };
    for (const line of lines) {
      body += `${line}\n`;
      if (body.length > mostBytes) await send();
    }
    if (body !== "") await send();
  }

  /** Rows that answer a query in SQL; none where the table is not there. */
  sql(db: string, q: string): Promise<Record<string, unknown>[]> {
    return this.influx.query<Record<string, unknown>>(q, db).catch(() => []);
  }

  /** The answer to a query in InfluxQL, of the database itself or of the reader. */
  async influxQl(
    of: "database" | "reader",
    q: string,
    more: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<{ answer: unknown; source: string | null }> {
    const origin = of === "database" ? this.url : this.readerUrl;
    const parameters = new URLSearchParams({ db: "bess", q, epoch: "ms", ...more });
    const response = await fetch(`${origin}/query?${parameters}`, {
      headers: this.headers,
      ...(signal && { signal }),
    });
    return { answer: await response.json(), source: response.headers.get("x-bess-source") };
  }

  /** Status of a path of the reader. */
  async status(path: string, headers = this.headers): Promise<number> {
    return (await fetch(`${this.readerUrl}${path}`, { headers })).status;
  }

  async close(): Promise<void> {
    await this.stopRollup("SIGKILL");
    await this.influx.remove();
    this.folder.remove();
  }

  private get headers(): Record<string, string> {
    return { authorization: `Bearer ${this.token}` };
  }

  private at(file: string): string {
    return join(this.folder.path, file);
  }
}
