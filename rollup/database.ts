import { Agent, type IncomingMessage, request } from "node:http";
import type { Field } from "../configs/model";
import { CsvReader } from "./csv";

/** InfluxDB's answer to what it does not take. */
export class Refusal extends Error {
  constructor(
    what: string,
    readonly status: number,
    text: string,
  ) {
    super(`InfluxDB refused ${what} with ${status}: ${text.replaceAll(/\s+/g, " ").slice(0, 500)}`);
  }
}

/** What a request is made of. */
export interface Call {
  path: string;
  method?: "GET" | "POST";
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal | undefined;
}

/** Names and types of a database's columns, by table. */
export type TableColumns = Map<string, Map<string, Field["type"] | "tag">>;

/** A time of SQL. @param seconds since 1970. */
export const sqlTime = (seconds: number): string => `'${new Date(seconds * 1000).toISOString()}'`;

/** InfluxDB's API at an address. */
export class Database {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 8 });

  /** @param url such as `http://influxdb:8181`. */
  constructor(
    private readonly url: string,
    private readonly relay: string = url,
  ) {}

  /** The answer to a request, whatever its status. */
  call({ path, method = "GET", headers = {}, body, signal }: Call, url = this.url) {
    return new Promise<IncomingMessage>((resolve, reject) => {
      const made = request(new URL(path, url), {
        agent: this.agent,
        method,
        headers,
        ...(signal && { signal }),
        // A query over years may take its time, a database that hangs must not stop all.
        timeout: 120_000,
      });
      made.on("timeout", () => made.destroy(new Error("InfluxDB does not answer")));
      made.on("error", reject).on("response", resolve).end(body);
    });
  }

  /**
   * The rows that answer a query in SQL, as they come: lists of fields in the order of the query's columns.
   * @param authorization value of the header.
   */
  async *rows(
    authorization: string,
    db: string,
    sql: string,
    signal?: AbortSignal,
  ): AsyncGenerator<string[][]> {
    const response = await this.call({
      path: "/api/v3/query_sql",
      method: "POST",
      headers: { authorization, "content-type": "application/json" },
      body: JSON.stringify({ db, q: sql, format: "csv" }),
      signal,
    });
    if (response.statusCode !== 200)
      throw new Refusal(`a query of ${db}`, response.statusCode ?? 0, await textOf(response));
    const reader = new CsvReader();
    let header = true;
    response.setEncoding("utf8");
    for await (const text of response) {
      const records = reader.read(text as string);
      if (header && records.length > 0) {
        records.shift();
        header = false;
      }
      if (records.length > 0) yield records;
    }
  }

  /** All rows of a short answer. */
  async all(authorization: string, db: string, sql: string): Promise<string[][]> {
    const all: string[][] = [];
    for await (const rows of this.rows(authorization, db, sql)) all.push(...rows);
    return all;
  }

  /** The columns of a database; none where it is not there. */
  async columns(authorization: string, db: string): Promise<TableColumns> {
    const sql =
      "SELECT table_name, column_name, data_type FROM information_schema.columns " +
      "WHERE table_schema = 'iox'";
    const tables: TableColumns = new Map();
    let rows: string[][];
    try {
      rows = await this.all(authorization, db, sql);
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) return tables;
      throw error;
    }
    for (const [table = "", column = "", kind = ""] of rows) {
      const type = typeOf(kind);
      if (!type) continue;
      const columns = tables.get(table) ?? new Map<string, Field["type"] | "tag">();
      tables.set(table, columns.set(column, type));
    }
    return tables;
  }

  /** Writes line protocol with times in seconds; what is answered is on the disk. */
  async write(authorization: string, db: string, lines: string): Promise<void> {
    const response = await this.call(
      {
        path: `/api/v3/write_lp?db=${db}&precision=second&accept_partial=false`,
        method: "POST",
        headers: { authorization, "content-type": "text/plain" },
        body: lines,
      },
      this.relay,
    );
    const text = await textOf(response);
    const status = response.statusCode ?? 0;
    if (status >= 300) throw new Refusal(`rows of ${db}`, status, text);
  }
}

/** The whole body of a response. */
async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  response.setEncoding("utf8");
  for await (const part of response) text += String(part);
  return text;
}

function typeOf(kind: string): Field["type"] | "tag" | undefined {
  if (kind.startsWith("Dictionary")) return "tag";
  if (kind === "Float64") return "float";
  if (kind === "Int64" || kind === "UInt64") return "int";
  if (kind === "Boolean") return "bool";
  return kind.includes("Utf8") ? "string" : undefined;
}
