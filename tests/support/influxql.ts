import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, influxdb3, influxdbMissing, Running, temporaryFolder, until } from "./programs";

/** A real InfluxQL engine: Debian's InfluxDB 1.x. */
export class InfluxQlEngine {
  private readonly databases = new Set<string>();

  private constructor(
    readonly url: string,
    private readonly influxd: Running,
    private readonly folder: ReturnType<typeof temporaryFolder>,
  ) {}

  /** @throws Error where it is not installed: a test without it would prove nothing. */
  static async start(): Promise<InfluxQlEngine> {
    const command = "/usr/bin/influxd";
    if (!existsSync(command))
      throw new Error(`${command} is missing: install Debian's package influxdb`);
    const folder = temporaryFolder();
    const [http, rpc] = [await freePort(), await freePort()];
    const url = `http://127.0.0.1:${http}`;
    writeFileSync(join(folder.path, "influxdb.conf"), influxdConf(folder.path, http, rpc));
    const influxd = new Running(command, ["-config", join(folder.path, "influxdb.conf")]);
    await until("influxd answers", () =>
      fetch(`${url}/ping`).then(
        (r) => r.status === 204,
        () => false,
      ),
    );
    return new InfluxQlEngine(url, influxd, folder);
  }

  /** Makes a database with lines, whose times are in ms. */
  async write(database: string, lines: string[]): Promise<void> {
    if (!this.databases.has(database)) {
      // A query reads the whole of each shard's unsorted rows, however short its time range is.
      const create = `CREATE DATABASE "${database}" WITH SHARD DURATION 1h`;
      await ask(this.url, "POST", create);
      this.databases.add(database);
    }
    await write(this.url, database, lines);
  }

  async stop(): Promise<void> {
    await this.influxd.stop();
    this.folder.remove();
  }
}

/** The real InfluxDB 3, without tokens, each time with an empty volume. */
export class InfluxDb3 {
  private constructor(
    readonly url: string,
    readonly process: Running,
    private readonly folder: ReturnType<typeof temporaryFolder>,
  ) {}

  /** @throws Error where the machine has none. */
  static async start(): Promise<InfluxDb3> {
    const command = influxdb3();
    if (!command) throw new Error(influxdbMissing);
    const folder = temporaryFolder();
    const port = await freePort();
    const influxdb = new Running(command, [
      "serve",
      "--node-id=test",
      "--object-store=file",
      `--data-dir=${folder.path}`,
      `--http-bind=127.0.0.1:${port}`,
      "--without-auth",
      "--wal-flush-interval=10ms",
      "--disable-telemetry-upload",
      "--log-filter=error",
    ]);
    const url = `http://127.0.0.1:${port}`;
    await until("InfluxDB 3 answers", () =>
      fetch(`${url}/health`).then(
        (r) => r.ok,
        () => false,
      ),
    );
    return new InfluxDb3(url, influxdb, folder);
  }

  /** Writes lines with times in ms; the database and its tables are made of them. */
  async write(database: string, lines: string[]): Promise<void> {
    const query = new URLSearchParams({ db: database, precision: "millisecond" });
    const response = await fetch(`${this.url}/api/v3/write_lp?${query}`, {
      method: "POST",
      body: lines.join("\n"),
    });
    if (!response.ok) throw new Error(await response.text());
  }

  async stop(): Promise<void> {
    await this.process.stop();
    this.folder.remove();
  }
}

/** One series of an answer: values in the order of its columns, the time first. */
export interface Row {
  tags?: Record<string, string>;
  columns: string[];
  values: (string | number | boolean | null)[][];
}

/** What InfluxDB answers to one query. */
interface Answer {
  error?: string;
  series?: Row[];
}

/** Sends queries in one request: a parsed one takes less time than a request. */
async function send(
  url: string,
  method: "GET" | "POST",
  queries: readonly string[],
  database: string,
): Promise<Answer[]> {
  const form = new URLSearchParams({ q: queries.join(";"), db: database });
  const response =
    method === "GET"
      ? await fetch(`${url}/query?${form}`)
      : await fetch(`${url}/query`, { method: "POST", body: form });
  const { error, results = [] } = (await response.json()) as { error?: string; results?: Answer[] };
  if (error) throw new Error(`${error}: ${queries.join("; ")}`);
  return results;
}

/** Rows that InfluxDB answers. @throws Error with InfluxDB's own words if it answers an error. */
export async function ask(
  url: string,
  method: "GET" | "POST",
  query: string,
  database = "",
): Promise<Row[]> {
  const answers = await send(url, method, [query], database);
  const error = answers.find((answer) => answer.error)?.error;
  if (error) throw new Error(`${error}: ${query}`);
  return answers.flatMap((answer) => answer.series ?? []);
}

/** Asks a database. */
export type Asks = (query: string) => Promise<Row[]>;

/** Asks InfluxDB 1, and sends what is asked at once together: each text once. */
export function together(url: string, database: string): Asks {
  let waiting = new Map<string, Promise<Row[]>>();
  let sent: Promise<Map<string, Answer>> | undefined;
  const sendWaiting = async () => {
    // All that is asked in this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    const queries = [...waiting.keys()];
    [waiting, sent] = [new Map(), undefined];
    const answers = await send(url, "POST", queries, database);
    return new Map(queries.map((query, i) => [query, answers[i] ?? { error: "no answer" }]));
  };
  return (query) => {
    const known = waiting.get(query);
    if (known) return known;
    sent ??= sendWaiting();
    const rows = sent.then((answers) => {
      const { error, series = [] } = answers.get(query) ?? {};
      // After an error it answers no further query of the request.
      if (error) return ask(url, "GET", query, database);
      return series;
    });
    waiting.set(query, rows);
    return rows;
  };
}

export async function write(url: string, database: string, lines: string[]): Promise<void> {
  const response = await fetch(
    `${url}/write?${new URLSearchParams({ db: database, precision: "ms" })}`,
    { method: "POST", body: lines.join("\n") },
  );
  if (response.status !== 204) throw new Error(await response.text());
}

/** A private InfluxDB 1.x: on the loopback only, without logs, reports or self-monitoring. */
const influxdConf = (folder: string, http: number, rpc: number) => `
reporting-disabled = true
bind-address = "127.0.0.1:${rpc}"
[meta]
  dir = "${folder}/meta"
[data]
  dir = "${folder}/data"
  wal-dir = "${folder}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:${http}"
  log-enabled = false
`;
