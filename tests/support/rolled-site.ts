import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import * as influxdb from "../../configs/influxdb";
import type { Model } from "../../configs/model";
import type { Retention, RollupConfig } from "../../configs/rollups";
import { withOptions } from "./machine/container";
import { freePort, influxdb3, listens, Running, temporaryFolder, until } from "./programs";

/** Bytes that one write has at most. */
const mostBytes = 4_000_000;

/** A real InfluxDB 3 with its relay, and the rollups' program as its container runs it. */
export class RolledSite {
  readonly token = `apiv3_${"t".repeat(64)}`;
  private readonly folder = temporaryFolder();
  private database: Running | undefined;
  private relay: Running | undefined;
  private rollup: Running | undefined;

  private constructor(
    private readonly model: Model,
    private readonly retention: Retention,
    private readonly listen: { address: string; port: number; writePort: number },
    private readonly readerPort: number,
    private readonly options: Record<string, string>,
  ) {}

  /** @param options of InfluxDB that are other than as deployed. */
  static async make(
    model: Model,
    retention: Retention,
    options: Record<string, string> = {},
  ): Promise<RolledSite> {
    const listen = { address: "127.0.0.1", port: await freePort(), writePort: await freePort() };
    const site = new RolledSite(model, retention, listen, await freePort(), options);
    for (const name of ["data", "notes"]) mkdirSync(site.at(name));
    writeFileSync(site.at("admin"), influxdb.adminTokenFile(site.token), { mode: 0o600 });
    writeFileSync(site.at("token"), site.token);
    buildSync({
      entryPoints: [join(__dirname, "../../rollup/main.ts")],
      bundle: true,
      platform: "node",
      target: "node20",
      outfile: site.at("main.js"),
    });
    await site.startDatabase();
    return site;
  }

  async startDatabase(): Promise<void> {
    const { listen } = this;
    const paths = {
      data: this.at("data"),
      notes: this.at("notes"),
      seed: this.at("admin"),
      adminToken: this.at("admin"),
      size: this.at("size"),
      relay: this.at("relay.pl"),
      snapshots: this.at("snapshots.pl"),
    };
    const options = {
      node: "site",
      retention: this.retention,
      memoryMiB: 1280,
      profile: { flush: 1 },
      paths,
      listen,
    };
    const database = new Running(
      influxdb3() ?? "",
      withOptions(influxdb.serveArguments(options), this.options),
    );
    this.database = database;
    await until(
      () => `InfluxDB answers: ${database.output}`,
      () =>
        fetch(`${this.url}/health`).then(
          ({ ok }) => ok,
          () => false,
        ),
    );
    writeFileSync(paths.relay, influxdb.relayProgram({ ...options, noteSeconds: 1 }));
    this.relay = new Running("perl", [paths.relay]);
    await until("the relay listens", () => listens(listen.writePort));
  }

  /** Ends InfluxDB and its relay at once. */
  async killDatabase(): Promise<void> {
    await this.database?.stop("SIGKILL");
    await this.relay?.stop("SIGKILL");
  }

  startRollup(): Running {
    const config: RollupConfig = {
      model: this.model,
      retention: this.retention,
      influxdb: this.url,
      relay: `http://127.0.0.1:${this.listen.writePort}`,
      tokenFile: this.at("token"),
      notes: this.at("notes"),
      listen: { address: "127.0.0.1", port: this.readerPort },
      due: { note: 2, window: 120 },
    };
    writeFileSync(this.at("config.json"), JSON.stringify(config));
    this.rollup = new Running(process.execPath, [this.at("main.js"), this.at("config.json")]);
    return this.rollup;
  }

  async stopRollup(signal?: NodeJS.Signals): Promise<void> {
    await this.rollup?.stop(signal);
  }

  get url(): string {
    return `http://127.0.0.1:${this.listen.port}`;
  }

  /** Ids of the processes of the database and of the rollups' program. */
  get pids(): { database: number; rollup: number } {
    if (!this.database || !this.rollup) throw new Error("the site is not started");
    return { database: this.database.pid, rollup: this.rollup.pid };
  }

  /** Folder of the database's files. */
  get data(): string {
    return this.at("data");
  }

  /** Writes line protocol with times in seconds, as Telegraf does. */
  async write(lines: readonly string[], db: string = influxdb.databases.telemetry): Promise<void> {
    let body = "";
    const send = async () => {
      const path = `/api/v3/write_lp?db=${db}&precision=second`;
      const url = `http://127.0.0.1:${this.listen.writePort}${path}`;
      const answer = await fetch(url, { method: "POST", headers: this.headers, body });
      if (!answer.ok) throw new Error(await answer.text());
      body = "";
    };
    for (const line of lines) {
      body += `${line}\n`;
      if (body.length > mostBytes) await send();
    }
    if (body !== "") await send();
  }

  /** Rows that answer a query in SQL; none where the table is not there. */
  async sql(db: string, q: string): Promise<Record<string, unknown>[]> {
    const url = `${this.url}/api/v3/query_sql`;
    const headers = { ...this.headers, "content-type": "application/json" };
    const body = JSON.stringify({ db, q, format: "json" });
    const answer = await fetch(url, { method: "POST", headers, body });
    if (!answer.ok) return [];
    return (await answer.json()) as Record<string, unknown>[];
  }

  /** The answer to a query in InfluxQL, of the database itself or of the reader. */
  async influxQl(
    of: "database" | "reader",
    q: string,
    more: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<{ answer: unknown; source: string | null }> {
    const origin = of === "database" ? this.url : `http://127.0.0.1:${this.readerPort}`;
    const parameters = new URLSearchParams({ db: "bess", q, epoch: "ms", ...more });
    const response = await fetch(`${origin}/query?${parameters}`, {
      headers: this.headers,
      ...(signal && { signal }),
    });
    return { answer: await response.json(), source: response.headers.get("x-bess-source") };
  }

  /** Status of a path of the reader. */
  async status(path: string, headers = this.headers): Promise<number> {
    return (await fetch(`http://127.0.0.1:${this.readerPort}${path}`, { headers })).status;
  }

  async close(): Promise<void> {
    await this.stopRollup("SIGKILL");
    await this.killDatabase();
    this.folder.remove();
  }

  private get headers(): Record<string, string> {
    return { authorization: `Bearer ${this.token}` };
  }

  private at(file: string): string {
    return join(this.folder.path, file);
  }
}
