import { createServer, type IncomingMessage, type Server } from "node:http";
import { gunzipSync } from "node:zlib";
import { freePort } from "./programs";

/** A point that was written, as its line of line protocol has it; `time` in nanoseconds. */
export interface Point {
  table: string;
  tags: Record<string, string>;
  fields: Record<string, string>;
  time: string;
}

/** A stand-in for InfluxDB's write endpoint: it records points, and fails where a test says so. */
export class RecordingEndpoint {
  readonly points: Point[] = [];
  /** Authorization headers that writes came with. */
  readonly tokens = new Set<string>();
  /** Status that every write is answered with; 204 stores. */
  status = 204;
  private server: Server | undefined;

  private constructor(private readonly port: number) {}

  /** Starts one on a free port. */
  static async start(): Promise<RecordingEndpoint> {
    const endpoint = new RecordingEndpoint(await freePort());
    await endpoint.restart();
    return endpoint;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Points of one table, in the order they came. */
  table(name: string): Point[] {
    return this.points.filter((point) => point.table === name);
  }

  /** Starts it again after {@link stop}. */
  restart(): Promise<void> {
    const server = createServer(async (request, response) => {
      const body = await read(request);
      this.tokens.add(request.headers.authorization ?? "");
      if (this.status === 204) this.points.push(...parseLines(body));
      response
        .writeHead(this.status)
        .end(this.status === 204 ? undefined : '{"error":"the test asks for it"}');
    });
    this.server = server;
    return new Promise((resolve) => server.listen(this.port, "127.0.0.1", resolve));
  }

  stop(): Promise<void> {
    const { server } = this;
    server?.closeAllConnections();
    return new Promise((resolve) => (server ? server.close(() => resolve()) : resolve()));
  }
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  return (request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body).toString();
}

/** Takes a text up to one of some signs that no backslash escapes and that stands in no quotes. */
function taken(text: string, from: number, signs: string, quotes: boolean): string {
  let inside = false;
  for (let at = from; at < text.length; at += 1) {
    const sign = text[at] ?? "";
    if (sign === "\\") at += 1;
    else if (quotes && sign === '"') inside = !inside;
    else if (!inside && signs.includes(sign)) return text.slice(from, at);
  }
  return text.slice(from);
}

/** The pairs of a part of a line, each after a comma; the text after the last one begins at `end`. */
function pairs(text: string, from: number, quotes: boolean) {
  const found: Record<string, string> = {};
  let at = from;
  // A line may have no tags, but has a field.
  for (let more = quotes || text[at - 1] === ","; more; more = text[at - 1] === ",") {
    const name = taken(text, at, "=", false);
    at += name.length + 1;
    const value = taken(text, at, ", ", quotes);
    at += value.length + 1;
    found[name] = value;
  }
  return { found, end: at };
}

/** The points of line protocol. A text's line feed is no end of its line. */
function parseLines(body: string): Point[] {
  const points: Point[] = [];
  for (let at = 0; at < body.length;) {
    const table = taken(body, at, ", ", false);
    const tags = pairs(body, at + table.length + 1, false);
    const fields = pairs(body, tags.end, true);
    const time = taken(body, fields.end, "\n", false);
    points.push({ table, tags: tags.found, fields: fields.found, time });
    at = fields.end + time.length + 1;
  }
  return points;
}

/** A field as line protocol has it. */
const valueOf = (text: string): number | string | boolean | bigint =>
  /^".*"$/s.test(text)
    ? text.slice(1, -1).replaceAll(/\\(["\\])/g, "$1")
    : text === "true" || text === "false"
      ? text === "true"
      : text.endsWith("i")
        ? BigInt(text.slice(0, -1))
        : Number(text);

/** Telegraf writes a tag's line feed as `\\n`. */
const unescapedKey = (text: string): string =>
  text.replaceAll(/\\([ ,=])/g, "$1").replaceAll("\\n", "\n");

/** A point with its values read. */
export const rowOf = ({ table, tags, fields, time }: Point) => ({
  table,
  tags: Object.fromEntries(Object.entries(tags).map(([name, tag]) => [name, unescapedKey(tag)])),
  fields: Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, valueOf(text)])),
  time: BigInt(time),
});
