import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { gzip } from "node:zlib";
import { promisify } from "node:util";
import { askScript, databases, writeScript } from "../configs/influxdb";
import { type EnginePlace, quoted } from "../configs/ssh";
import { lastLine, startBesideEngine } from "./engine";

/** A query that the database refuses, or does not answer to the end. */
export class QueryError extends Error {
  constructor(
    /** Its HTTP status; 0 where there is none. */
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = "QueryError";
  }

  /** Whether the database itself is not there. */
  get isAbsent(): boolean {
    return this.message.includes("database not found");
  }

  /** Whether it needs more memory than queries have there. */
  get isMemory(): boolean {
    return this.status === 429 || /resources exhausted|memory/i.test(this.message);
  }
}

/** Starts one of the scripts that talk to a database, to which the rest of its input is written. */
type Start = (script: string) => ChildProcessWithoutNullStreams;

/** A line that stands after an answer: its status, and curl's code. */
const answerEnd = /^= (\d+) (\d+)$/;

/** A row of line protocol that the database refuses. */
export interface RefusedLine {
  /** Its number among those that were written, from 1. */
  line: number;
  reason: string;
}

/** A running script, and what it printed as errors. */
class Conversation {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncGenerator<string[], void, undefined>;
  private stderr = "";
  private readonly end: Promise<string>;

  constructor(start: Start, script: string) {
    this.child = start(script);
    this.child.stderr.on("data", (data: Buffer) => (this.stderr += data.toString()));
    this.end = new Promise((resolve) => {
      this.child.once("error", (error) => resolve(error.message));
      this.child.once("close", (code, signal) => resolve(lastLine(this.stderr, code ?? signal)));
    });
    // What it prints tells more than that its input is closed.
    this.child.stdin.on("error", () => undefined);
    this.lines = linesOf(this.child.stdout);
  }

  /** Writes to it, as fast as it takes it. */
  async say(...parts: (string | Uint8Array)[]): Promise<void> {
    let free = true;
    for (const part of parts) free = this.child.stdin.write(part);
    if (!free) await Promise.race([once(this.child.stdin, "drain"), this.end]);
  }

  /** The next lines that it prints. @throws Error if it has ended. */
  async heard(): Promise<string[]> {
    const next = await this.lines.next();
    if (!next.done) return next.value;
    throw new Error(await this.end);
  }

  close(): void {
    this.child.stdin.end();
    // A shell may have docker's client as its child: all of the session ends.
    if (this.child.pid !== undefined && this.child.exitCode === null)
      try {
        process.kill(-this.child.pid);
      } catch {
        // It has ended.
      }
  }
}

async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<string[], void, undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (lines.length > 0) yield lines;
  }
  if (rest !== "") yield [rest];
}

/** A database that answers queries in SQL. */
export abstract class Queries {
  /**
   * The rows of a query as they come, each as its JSON.
   * @throws QueryError if it is refused, or ends before its time.
   */
  abstract lines(sql: string): AsyncGenerator<string[], void, undefined>;

  /** The rows of a query whose answer is short. */
  async query<Row>(sql: string): Promise<Row[]> {
    const rows: Row[] = [];
    for await (const lines of this.lines(sql))
      rows.push(...lines.map((line) => JSON.parse(line) as Row));
    return rows;
  }
}

/** A database of an InfluxDB 3 that is reached over HTTP. */
export class HttpDatabase extends Queries {
  constructor(
    private readonly url: string,
    private readonly token: string,
    private readonly db: string,
  ) {
    super();
  }

  async *lines(sql: string): AsyncGenerator<string[], void, undefined> {
    const response = await fetch(new URL("/api/v3/query_sql", this.url), {
      method: "POST",
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      body: JSON.stringify({ db: this.db, q: sql, format: "jsonl" }),
    }).catch((error: Error) => {
      throw new QueryError(0, `${this.url} does not answer: ${String(error.cause ?? error)}`);
    });
    if (!response.ok || !response.body)
      throw new QueryError(
        response.status,
        `${this.url} answers ${response.status}: ${(await response.text()).slice(0, 300)}`,
      );
    try {
      for await (const lines of linesOf(response.body)) yield lines.filter((line) => line !== "");
    } catch (error) {
      throw new QueryError(0, `${this.url} broke its answer off: ${(error as Error).message}`);
    }
  }
}

const zipped = promisify<string, { level: number }, Buffer>(gzip);

/**
 * The database of a site. Queries and writes go through its container, where the admin token is: it
 * need not be reachable from here, and no token leaves it.
 */
export class Database extends Queries {
  private asking: Conversation | undefined;
  private writing: Conversation | undefined;

  /** @param scripts what answers queries and what writes, as bash runs it beside the database. */
  constructor(
    private readonly start: Start,
    private readonly scripts: { ask: string; write: string },
    private readonly db: string = databases.telemetry,
  ) {
    super();
  }

  /** A database of a site. Default: its telemetry. */
  static at(site: EnginePlace & { name: string }, db: string = databases.telemetry): Database {
    const start: Start = (script) => {
      const command = ["docker", "exec", "-i", `${site.name}-influxdb`, "bash", "-c", script];
      return startBesideEngine(site, command.map(quoted).join(" "));
    };
    return new Database(start, { ask: askScript(), write: writeScript(db) }, db);
  }

  /**
   * The rows of a query in SQL as they come, each as its JSON. A caller that stops in the middle must
   * close the database.
   * @throws QueryError if it is refused, or ends before its time.
   */
  async *lines(sql: string): AsyncGenerator<string[], void, undefined> {
    this.asking ??= new Conversation(this.start, this.scripts.ask);
    const request = { db: this.db, q: sql, format: "jsonl" };
    await this.asking.say(`${JSON.stringify(request)}\n`);
    let refusal = "";
    let held: string[] = [];
    for (;;) {
      held.push(...(await this.asking.heard()));
      const last = held.at(-1) ?? "";
      const end = answerEnd.exec(last);
      const rows: string[] = [];
      for (const line of end ? held.slice(0, -1) : held)
        if (line.startsWith("{") && !line.startsWith('{"error":')) rows.push(line);
        else if (line !== "") refusal = `${refusal} ${line}`.trim();
      held = [];
      if (rows.length > 0) yield rows;
      if (!end) continue;
      const [status, code] = [Number(end[1]), Number(end[2])];
      if (status === 200 && code === 0) return;
      if (status === 200)
        throw new QueryError(0, `the database broke its answer off (curl's code ${code})`);
      throw new QueryError(status, refusal || `the database does not answer (curl's code ${code})`);
    }
  }

  /**
   * Writes line protocol with times in ns. It is on the disk when this returns; what the database refuses
   * is not written, and all else is.
   * @throws QueryError if the database takes nothing of it.
   */
  async write(text: string): Promise<RefusedLine[]> {
    this.writing ??= new Conversation(this.start, this.scripts.write);
    const body = await zipped(text, { level: 1 });
    await this.writing.say(`${body.length}\n`, body);
    const [answer = ""] = await this.writing.heard();
    const [, status = "0", code, said = ""] = /^(\d+) (\d+) (.*)$/.exec(answer) ?? [];
    if (status.startsWith("2") && code === "0") return [];
    const refused = status === "400" ? refusedLines(said) : [];
    if (refused.length > 0) return refused;
    throw new QueryError(Number(status), said || `the database does not answer: ${answer}`);
  }

  close(): void {
    this.asking?.close();
    this.writing?.close();
  }
}

/** The lines that an answer of 400 names. */
function refusedLines(said: string): RefusedLine[] {
  try {
    const { data } = JSON.parse(said) as {
      data?: { line_number: number; error_message: string }[] | null;
    };
    return (data ?? []).map(({ line_number: line, error_message: reason }) => ({ line, reason }));
  } catch {
    return [];
  }
}
