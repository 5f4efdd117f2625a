import { spawn } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  adminTokenFile,
  askScript,
  databases,
  paths,
  port as containerPort,
  relayProgram,
  schema,
  schemaScript,
  serveArguments,
  writePort as containerWritePort,
  writeScript,
} from "../../configs/influxdb";
import type { CopyPlace } from "../../configs/migration";
import type { Model } from "../../configs/model";
import { profiles } from "../../configs/profiles";
import { retentionOf } from "../../configs/retention";
import type { Retention } from "../../configs/rollups";
import { Database, scriptsBeside } from "../../fleet";
import { withOptions } from "./machine/container";
import {
  freePort,
  influxdb3,
  influxdbMissing,
  listens,
  Running,
  temporaryFolder,
  until,
} from "./programs";

/** What is other than at a site of profile `pi` that keeps its rows for ten years. */
export interface InfluxChoices {
  /** Name of the site. Default: `kiel-1`. */
  node?: string;
  retention?: Retention;
  memoryMiB?: number;
  /** Options of InfluxDB, such as `--wal-snapshot-size`. */
  options?: Record<string, string>;
  /** Seconds until the relay notes a write. */
  noteSeconds?: number;
  /** Folder of its files, with its admin token if it has one. Default: a new one. */
  data?: string;
  /** Id of the user that it runs as. Default: this process's. */
  user?: number | undefined;
}

/** A real InfluxDB 3 with its relay, started as a site's is; without a container around it. */
export class Influx {
  readonly token = `apiv3_${"t".repeat(64)}`;
  private readonly folder = temporaryFolder();
  /** Folder of its files. */
  readonly data: string;
  /** Folder of the relay's notes. */
  readonly notes = join(this.folder.path, "notes");
  private readonly retention: Retention;
  private server: Running | undefined;
  private relay: Running | undefined;

  private constructor(
    private readonly choices: InfluxChoices,
    readonly port: number,
    readonly writePort: number,
  ) {
    this.retention = choices.retention ?? retentionOf({ profile: "pi", retention: "3650d" });
    this.data = choices.data ?? join(this.folder.path, "data");
    for (const made of [this.notes, this.data]) mkdirSync(made, { recursive: true });
    const { adminToken } = this.place;
    if (!existsSync(adminToken))
      writeFileSync(adminToken, adminTokenFile(this.token), { mode: 0o600 });
    const { user } = choices;
    if (user !== undefined)
      for (const owned of [this.notes, this.data, adminToken]) chownSync(owned, user, user);
  }

  /** @throws Error if InfluxDB 3 is missing. */
  static async start(choices: InfluxChoices = {}): Promise<Influx> {
    const influx = new Influx(choices, await freePort(), await freePort());
    await influx.start();
    return influx;
  }

  /** Starts it, again too. */
  async start(): Promise<void> {
    if (influxdbMissing) throw new Error(influxdbMissing);
    await this.kill();
    const { choices, data, notes, port, writePort } = this;
    const { adminToken } = this.place;
    const at = {
      data,
      notes,
      seed: adminToken,
      adminToken,
      size: join(this.folder.path, "size"),
      relay: join(this.folder.path, "relay.pl"),
      snapshots: join(this.folder.path, "snapshots.pl"),
    };
    const options = {
      node: choices.node ?? "kiel-1",
      retention: this.retention,
      memoryMiB: choices.memoryMiB ?? profiles.pi.memory.influxdb,
      profile: profiles.pi,
      paths: at,
      listen: { address: "127.0.0.1", port, writePort },
    };
    const server = new Running(
      influxdb3() ?? "",
      withOptions(serveArguments(options), choices.options ?? {}),
      { user: choices.user },
    );
    this.server = server;
    await until(
      () => `InfluxDB answers: ${server.output}`,
      async () => (await fetch(`${this.url}/health`).catch(() => undefined))?.ok === true,
    );
    const { noteSeconds } = choices;
    writeFileSync(at.relay, relayProgram({ ...options, ...(noteSeconds && { noteSeconds }) }));
    const relay = new Running("perl", [at.relay], { user: choices.user });
    this.relay = relay;
    await until(
      () => `the relay listens: ${relay.output}`,
      () => listens(writePort),
    );
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Where scripts find it. */
  get place(): CopyPlace {
    const { data, port, writePort } = this;
    return { data, port, writePort, adminToken: join(data, ".admin-token") };
  }

  /** Where its API is. */
  get api(): Pick<CopyPlace, "adminToken" | "port"> {
    const { adminToken, port } = this.place;
    return { adminToken, port };
  }

  /** Memory and processor of the server are those of this process. */
  get pid(): number {
    if (!this.server) throw new Error("InfluxDB is not started");
    return this.server.pid;
  }

  /** Runs scripts as `docker exec` does in its container. */
  readonly script = scriptsBeside({ engine: undefined, ssh: {} });

  /** A database of it, reached by the scripts that run in its container. */
  database(db: string = databases.telemetry): Database {
    const { adminToken, port, writePort } = this.place;
    return new Database(
      (script) => spawn("bash", ["-c", script], { detached: true }),
      {
        ask: askScript({ adminToken, port }),
        write: writeScript(db, { adminToken, port, writePort }),
      },
      db,
    );
  }

  /** Makes the tables of a model, as `up` does. */
  async declare(model: Model): Promise<void> {
    await this.script("bash", schemaScript(schema(model, this.retention), this.api));
  }

  /** Asks its API, or the relay. @throws Error with its answer, where that is no success. */
  async call(path: string, body: string | object, port = this.port): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} answers ${response.status}: ${text}`);
    return text;
  }

  /** Writes line protocol, as Telegraf does. @param precision of its times. */
  async write(
    lines: string,
    db: string = databases.telemetry,
    precision: "nanosecond" | "second" = "nanosecond",
  ): Promise<void> {
    await this.call(`/api/v3/write_lp?db=${db}&precision=${precision}`, lines, this.writePort);
  }

  /** Rows of an answer. */
  async query<Row>(sql: string, db: string = databases.telemetry): Promise<Row[]> {
    const answer = await this.call("/api/v3/query_sql", { db, q: sql, format: "json" });
    return JSON.parse(answer) as Row[];
  }

  /**
   * Puts a stand-in for Docker's client into a folder: what it is to run in a container runs here, with
   * this server in place of the container's.
   */
  standIn(folder: string): void {
    mkdirSync(folder, { recursive: true });
    const file = join(folder, "docker");
    const { adminToken, port, writePort } = this.place;
    const changes = [
      [paths.adminToken, adminToken],
      [`127.0.0.1:${containerPort}`, `127.0.0.1:${port}`],
      [`127.0.0.1:${containerWritePort}`, `127.0.0.1:${writePort}`],
    ].map(([from = "", to = ""]) => `script=\${script//${from.replaceAll("/", "\\/")}/${to}}`);
    writeFileSync(
      file,
      ["#!/bin/bash", 'script="${@: -1}"', ...changes, 'exec bash -c "$script"', ""].join("\n"),
    );
    chmodSync(file, 0o755);
  }

  /** Ends it at once, as a power cut does, but for the disk. */
  async kill(): Promise<void> {
    await Promise.all([this.server?.stop("SIGKILL"), this.relay?.stop("SIGKILL")]);
  }

  /** Ends it as a site does, so that its files can be read. */
  async halt(): Promise<void> {
    await this.relay?.stop();
    await this.server?.stop();
  }

  /** Ends it, and removes its files. */
  async remove(): Promise<void> {
    await this.kill();
    this.folder.remove();
  }
}
