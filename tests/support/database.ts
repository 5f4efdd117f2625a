import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as influxdb from "../../configs/influxdb";
import type { CopyPlace } from "../../configs/migration";
import { retentionOf } from "../../configs/retention";
import { type RunScript, runLine } from "../../fleet";
import { freePort, influxdb3, temporaryFolder, until } from "./programs";

const token = `apiv3_${"t".repeat(64)}`;
const node = "kiel-1";

/** A real InfluxDB 3 on a free port of the loopback address, with its relay, as a site has them. */
export class Database {
  private readonly folder = temporaryFolder();
  private readonly data = join(this.folder.path, "data");
  private processes: ChildProcess[] = [];
  log = "";

  private constructor(private readonly listen: { port: number; writePort: number }) {
    mkdirSync(this.data);
    writeFileSync(this.place.adminToken, influxdb.adminTokenFile(token), { mode: 0o600 });
  }

  /** @throws Error if InfluxDB 3 is missing. */
  static async start(): Promise<Database> {
    const database = new Database({ port: await freePort(), writePort: await freePort() });
    await database.start();
    return database;
  }

  /** Where scripts find it. */
  get place(): CopyPlace {
    return { ...this.listen, data: this.data, adminToken: join(this.folder.path, "token") };
  }

  /** Where its API is. */
  get api() {
    const { adminToken, port } = this.place;
    return { adminToken, port };
  }

  async start(): Promise<void> {
    const [binary, address] = [influxdb3(), "127.0.0.1"];
    if (!binary) throw new Error("InfluxDB 3 is missing: BESS_INFLUXDB3 names it");
    const { adminToken, data, port } = this.place;
    const inFolder = (file: string) => join(this.folder.path, file);
    const [relay, snapshots] = [inFolder("relay.pl"), inFolder("snapshots")];
    const options = {
      node,
      retention: retentionOf({ profile: "pi" }),
      memoryMiB: 1024,
      profile: { flush: 1 },
      paths: { data, adminToken, seed: adminToken, size: join(data, ".size"), relay, snapshots },
      listen: { address, ...this.listen },
    };
    this.processes = [this.run(binary, influxdb.serveArguments(options))];
    await until("InfluxDB answers", () =>
      fetch(`http://${address}:${port}/health`).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    writeFileSync(relay, influxdb.relayProgram(options));
    this.processes.push(this.run("perl", [relay]));
    await until("the relay answers", () =>
      this.write("bess", "").then(
        () => true,
        (error: Error) => !/fetch failed/.test(error.message),
      ),
    );
  }

  /** Ends it as a power cut does, but for the disk. */
  async kill(): Promise<void> {
    const ended = this.processes.map(
      (child) =>
        new Promise((done) => (child.exitCode !== null ? done(0) : child.once("exit", done))),
    );
    for (const child of this.processes) child.kill("SIGKILL");
    await Promise.all(ended);
  }

  async remove(): Promise<void> {
    await this.kill();
    this.folder.remove();
  }

  /** Runs scripts as `docker exec` does in its container. */
  readonly script: RunScript = (program, script, heard) =>
    runLine(program === "bash" ? "bash -s" : "exec perl -", process.env)(script, heard);

  /** Writes line protocol, as Telegraf does. @throws Error with what InfluxDB answers. */
  async write(db: string, lines: string): Promise<void> {
    const answer = await this.ask("writePort", `/api/v3/write_lp?db=${db}`, lines);
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
  }

  /** Rows of an answer. */
  async query<Row>(sql: string, db = "bess"): Promise<Row[]> {
    const body = JSON.stringify({ db, q: sql });
    const answer = await this.ask("port", "/api/v3/query_sql", body, "application/json");
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${answer.status}: ${text}`);
    return JSON.parse(text) as Row[];
  }

  private ask(port: "port" | "writePort", path: string, body: string, type = "text/plain") {
    return fetch(`http://127.0.0.1:${this.listen[port]}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": type },
      body,
    });
  }

  private run(command: string, args: string[]): ChildProcess {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (text: Buffer) => (this.log += text.toString()));
    return child;
  }
}
