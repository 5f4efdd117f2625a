import { join } from "node:path";
import { freePort, program, Running, temporaryFolder, until } from "./programs";

/** One series of a query's answer. */
export interface Series {
  metric: Record<string, string>;
  value: [time: number, value: string];
}

/** A real VictoriaMetrics, single node, on a free port of the loopback address. */
export class VictoriaMetrics {
  private constructor(
    private running: Running,
    readonly port: number,
    private readonly folder: ReturnType<typeof temporaryFolder>,
    private readonly flags: readonly string[],
  ) {}

  /** Starts one on an empty folder. @param flags more of its flags, such as those of the hub. */
  static async start(flags: readonly string[] = []): Promise<VictoriaMetrics> {
    const folder = temporaryFolder();
    const port = await freePort();
    const made = new VictoriaMetrics(run(port, folder.path, flags), port, folder, flags);
    await made.answers();
    return made;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.running.pid;
  }

  /** Where its data lies. */
  get data(): string {
    return join(this.folder.path, "data");
  }

  private answers(): Promise<void> {
    return until(
      () => `VictoriaMetrics answers; it printed:\n${this.running.output}`,
      () =>
        fetch(`${this.url}/health`).then(
          ({ ok }) => ok,
          () => false,
        ),
      30,
    );
  }

  /** Sends text in the format of Prometheus' exposition: `name{label="value"} 1 milliseconds`. */
  async importText(text: string): Promise<void> {
    const answer = await fetch(`${this.url}/api/v1/import/prometheus`, {
      method: "POST",
      body: text,
    });
    if (!answer.ok) throw new Error(`import: ${answer.status} ${await answer.text()}`);
    await this.flush();
  }

  /** Makes what was written visible to queries at once. */
  async flush(): Promise<void> {
    await fetch(`${this.url}/internal/force_flush`);
  }

  /** The answer of a query at one moment. @param time in seconds. Default: now. */
  async query(query: string, time?: number): Promise<Series[]> {
    const parameters = new URLSearchParams({
      query,
      nocache: "1",
      ...(time !== undefined && { time: String(time) }),
    });
    const answer = await fetch(`${this.url}/api/v1/query?${parameters}`);
    const body = (await answer.json()) as { error?: string; data?: { result: Series[] } };
    if (!body.data) throw new Error(`${query}: ${body.error}`);
    return body.data.result;
  }

  /** Ends it, and keeps its data. */
  stop = (signal: NodeJS.Signals = "SIGTERM"): Promise<void> => this.running.stop(signal);

  /** Starts it again on the same data and port. */
  async restart(): Promise<void> {
    this.running = run(this.port, this.folder.path, this.flags);
    await this.answers();
  }

  async remove(): Promise<void> {
    await this.stop("SIGKILL");
    this.folder.remove();
  }
}

const run = (port: number, folder: string, flags: readonly string[]): Running =>
  new Running(program("victoria-metrics"), [
    `-storageDataPath=${join(folder, "data")}`,
    `-httpListenAddr=127.0.0.1:${port}`,
    "-loggerLevel=WARN",
    ...flags,
  ]);
