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
      if (this.status === 204) this.points.push(...body.split("\n").filter(Boolean).map(parseLine));
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

/** Splits at a separator that no backslash escapes and that stands in no quotes. */
function split(text: string, separator: string): string[] {
  return text.match(new RegExp(`(?:\\\\.|"(?:\\\\.|[^"\\\\])*"|[^${separator}\\\\"])+`, "g")) ?? [];
}

function parseLine(line: string): Point {
  const [key = "", fields = "", time = ""] = split(line, " ");
  const [table = "", ...tags] = split(key, ",");
  const pairs = (texts: string[]) =>
    Object.fromEntries(
      texts.map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]),
    );
  return { table, tags: pairs(tags), fields: pairs(split(fields, ",")), time };
}
