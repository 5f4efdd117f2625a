import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
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
import type { Model } from "../../configs/model";
import { profiles } from "../../configs/profiles";
import { retentionOf } from "../../configs/retention";
import { Database } from "../../fleet";
import { freePort, influxdb3, listens, Running, temporaryFolder, until } from "./programs";

/** Why there is no real InfluxDB 3 here; undefined where there is. */
export const influxdbMissing = influxdb3()
  ? undefined
  : "InfluxDB 3 is missing: BESS_INFLUXDB3 names it";

/** A real InfluxDB 3 with its relay, started as a site's is; without a container around it. */
export class Influx {
  readonly token = `apiv3_${"t".repeat(64)}`;
  private readonly folder = temporaryFolder();
  private readonly running: Running[] = [];

  private constructor(
    readonly port: number,
    readonly writePort: number,
  ) {}

  /** @param retention for which the site keeps its rows. */
  static async start(retention = "3650d"): Promise<Influx> {
    const influx = new Influx(await freePort(), await freePort());
    const { folder, port, writePort } = influx;
    const at = {
      data: join(folder.path, "data"),
      seed: influx.tokenFile,
      adminToken: influx.tokenFile,
      size: join(folder.path, "size"),
      relay: join(folder.path, "relay.pl"),
      snapshots: join(folder.path, "snapshots.pl"),
      notes: join(folder.path, "notes"),
    };
    for (const made of [at.data, at.notes]) mkdirSync(made);
    writeFileSync(influx.tokenFile, adminTokenFile(influx.token), { mode: 0o600 });
    const options = {
      node: "site",
      retention: retentionOf({ profile: "pi", retention }),
      memoryMiB: profiles.pi.memory.influxdb,
      profile: profiles.pi,
      paths: at,
      listen: { address: "127.0.0.1", port, writePort },
    };
    const server = new Running(influxdb3() ?? "", serveArguments(options));
    influx.running.push(server);
    await until(
      () => `InfluxDB answers: ${server.output}`,
      async () => (await fetch(`${influx.url}/health`).catch(() => undefined))?.ok === true,
    );
    writeFileSync(at.relay, relayProgram(options));
    const relay = new Running("perl", [at.relay]);
    influx.running.push(relay);
    await until(
      () => `the relay listens: ${relay.output}`,
      () => listens(writePort),
    );
    return influx;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  private get tokenFile(): string {
    return join(this.folder.path, "admin-token");
  }

  private get api() {
    return { adminToken: this.tokenFile, port: this.port };
  }

  /** Memory and processor of the server are those of this process. */
  get pid(): number {
    const [server] = this.running;
    if (!server) throw new Error("InfluxDB is not started");
    return server.pid;
  }

  /** A database of it, reached by the scripts that run in its container. */
  database(db: string = databases.telemetry): Database {
    const { adminToken, port } = this.api;
    return new Database(
      (script) => spawn("bash", ["-c", script], { detached: true }),
      {
        ask: askScript({ adminToken, port }),
        write: writeScript(db, { adminToken, port, writePort: this.writePort }),
      },
      db,
    );
  }

  /** Makes the tables of a model, as `up` does. */
  declare(model: Model): void {
    const script = schemaScript(
      schema(model, retentionOf({ profile: "pi", retention: "3650d" })),
      this.api,
    );
    const { status, stderr } = spawnSync("bash", ["-s"], { input: script, encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
  }

  /** Asks its API. @throws Error with its answer, where that is no success. */
  async call(path: string, body: string | object): Promise<string> {
    const response = await fetch(`${this.url}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} answers ${response.status}: ${text}`);
    return text;
  }

  /** Writes line protocol with times in ns. */
  write(lines: string, db: string = databases.telemetry): Promise<string> {
    return this.call(`/api/v3/write_lp?db=${db}`, lines);
  }

  /**
   * Puts a stand-in for Docker's client into a folder: what it is to run in a container runs here, with
   * this server in place of the container's.
   */
  standIn(folder: string): void {
    mkdirSync(folder, { recursive: true });
    const file = join(folder, "docker");
    const changes = [
      [paths.adminToken, this.tokenFile],
      [`127.0.0.1:${containerPort}`, `127.0.0.1:${this.port}`],
      [`127.0.0.1:${containerWritePort}`, `127.0.0.1:${this.writePort}`],
    ].map(([from = "", to = ""]) => `script=\${script//${from.replaceAll("/", "\\/")}/${to}}`);
    writeFileSync(
      file,
      ["#!/bin/bash", 'script="${@: -1}"', ...changes, 'exec bash -c "$script"', ""].join("\n"),
    );
    chmodSync(file, 0o755);
  }

  async stop(): Promise<void> {
    for (const each of this.running.reverse()) await each.stop();
    this.folder.remove();
  }
}
