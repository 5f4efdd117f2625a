import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { databases } from "../configs/influxdb";
import type { Model } from "../configs/model";
import { type Database, Refusal } from "./database";
import { answerFigures, type FiguresOptions } from "./figures";
import { parseFigureQuery, parseQuery } from "./influxql";
import type { Reader } from "./reader";

/** What the server answers with. */
export interface ServerOptions {
  model: Model;
  database: Database;
  reader: Reader;
  /** What the day tier's database has now, and the zone of its days. */
  figures: () => Pick<FiguresOptions, "columns" | "zone">;
  /** Whether the rollups go on. */
  healthy: () => boolean;
  log: (line: string) => void;
}

/** Headers that are of one connection only. */
const ofConnection = ["connection", "host", "keep-alive", "transfer-encoding", "content-length"];

/** Parameters of which a query has others than these is left to InfluxDB. */
const known = ["db", "q", "epoch", "precision", "pretty"];

/** Parts of a second that a time is answered in, by InfluxDB's names. */
const epochs: Record<string, number> = {
  h: 1 / 3600,
  m: 1 / 60,
  s: 1,
  ms: 1e3,
  u: 1e6,
  µ: 1e6,
  ns: 1e9,
  n: 1e9,
};

/**
 * InfluxDB's API of version 1 for queries: what rollups answer is answered from them, all else is passed
 * on as it came.
 */
export const makeServer = (options: ServerOptions): Server =>
  createServer((request, response) => {
    respond(options, request, response).catch((error: Error) => {
      options.log(`a query failed: ${error.message}`);
      if (response.headersSent) response.destroy();
      else response.writeHead(502).end(JSON.stringify({ error: error.message }));
    });
  });

async function respond(
  options: ServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://reader");
  if (url.pathname === "/health") {
    const ok = options.healthy();
    response.writeHead(ok ? 200 : 503).end(ok ? "OK\n" : "the rollups do not go on\n");
    return;
  }
  let body = "";
  for await (const part of request.setEncoding("utf8")) {
    body += String(part);
    if (body.length > 1_000_000) throw new RangeError("a query of more than 1 MB");
  }
  const signal = aborted(response);
  const answer = await fromRollups(options, request, url, body, signal);
  if (answer !== undefined) {
    response.writeHead(200, { "content-type": "application/json", "x-bess-source": "rollups" });
    response.end(answer);
    return;
  }
  const headers = Object.fromEntries(
    Object.entries(request.headers).flatMap(([name, value]) =>
      value === undefined || ofConnection.includes(name) ? [] : [[name, String(value)]],
    ),
  );
  const method = request.method === "POST" ? "POST" : "GET";
  const path = `${url.pathname}${url.search}`;
  const passed = await options.database.call({ path, method, headers, body, signal });
  const answered = Object.entries(passed.headers).filter(
    ([name]) => name !== "connection" && name !== "keep-alive" && name !== "transfer-encoding",
  );
  response.writeHead(passed.statusCode ?? 502, Object.fromEntries(answered));
  passed.on("error", () => response.destroy()).pipe(response);
}

/** Aborted once the client is gone. */
function aborted(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  return gone.signal;
}

/** The answer from rollups; undefined where it is left to InfluxDB. */
async function fromRollups(
  { model, database, reader, figures, log }: ServerOptions,
  { method, headers }: IncomingMessage,
  url: URL,
  body: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { authorization } = headers;
  if (url.pathname !== "/query" || !authorization) return undefined;
  const form =
    method === "POST" && headers["content-type"]?.startsWith("application/x-www-form-urlencoded");
  if (method === "POST" ? !form : method !== "GET") return undefined;
  const parameters = new Map([...url.searchParams, ...new URLSearchParams(form ? body : "")]);
  if ([...parameters.keys()].some((name) => !known.includes(name))) return undefined;
  if (parameters.get("db") !== databases.telemetry || headers.accept?.includes("csv"))
    return undefined;
  const now = Date.now() / 1000;
  const text = parameters.get("q") ?? "";
  const asked = parseFigureQuery(text, model, now);
  const query = asked ? undefined : parseQuery(text, model, now);
  const plan = query && reader.plan(query, now);
  if (!asked && !plan) return undefined;
  const parts = epochs[parameters.get("epoch") ?? ""];
  const time = (seconds: number) =>
    parts === undefined
      ? new Date(seconds * 1000).toISOString().replace(".000Z", "Z")
      : Math.floor(seconds * parts);
  try {
    if (asked) {
      const options = { ...figures(), database, authorization, signal };
      return JSON.stringify(await answerFigures(asked, options, time));
    }
    if (!query || !plan) return undefined;
    return JSON.stringify(await reader.answer(query, plan, authorization, time, signal));
  } catch (error) {
    // InfluxDB itself says what it refuses.
    if (!(error instanceof Refusal)) throw error;
    log(error.message);
    return undefined;
  }
}
