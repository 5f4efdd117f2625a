import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter } from "node:path";
import type { Model } from "../../configs/model";
import { subscriptionsOf } from "../../configs/plan";
import { profiles } from "../../configs/profiles";
import { readingProgram, secrets, startScript, telegrafConf } from "../../configs/telegraf";
import { Broker } from "./broker";
import { program, Running, until } from "./programs";
import { RecordingEndpoint } from "./recorder";

/** What the kernel says of the clock, as busybox's `adjtimex` prints it: its error, in µs. */
const clocks = { right: 21_500, wrong: 16_000_000 } as const;

/**
 * The real broker and the real Telegraf with their rendered configs, before a recording endpoint.
 * Only paths and ports differ from a site's: a container has them to itself.
 */
export class Pipeline {
  /** Token that Telegraf writes with. */
  readonly token = "apiv3_test";
  private telegraf: Running | undefined;

  private constructor(
    readonly model: Model,
    readonly broker: Broker,
    readonly endpoint: RecordingEndpoint,
    private readonly retention: string | undefined,
  ) {}

  /**
   * @param retention how long the site keeps rows. Default: a time of any age is believed.
   * @param running whether Telegraf is started. Default: it is.
   */
  static async start(model: Model, retention?: string, running = true): Promise<Pipeline> {
    const broker = await Broker.start(model);
    const pipeline = new Pipeline(model, broker, await RecordingEndpoint.start(), retention);
    pipeline.write();
    if (running) await pipeline.startTelegraf();
    return pipeline;
  }

  /** What Telegraf has logged since it was started last. */
  get log(): string {
    return this.telegraf?.output ?? "";
  }

  /** Process id of Telegraf. @throws Error if it does not run. */
  get pid(): number {
    if (!this.telegraf) throw new Error("Telegraf was not started");
    return this.telegraf.pid;
  }

  async startTelegraf(): Promise<void> {
    this.beginTelegraf();
    await until(
      () => `Telegraf has subscribed:\n${this.log}`,
      // Three more consumers watch the broker.
      () => this.subscriptions() >= subscriptionsOf(this.model).length + 3,
    );
  }

  /**
   * Starts it as a site's container does that is reached over SSH.
   * @param hold the machine's uptime, in seconds, up to which it waits for the clock. Default: this
   * machine's is always less.
   */
  beginTelegraf(hold = 1e9): Running {
    const start = this.broker.at("telegraf-start.sh");
    writeFileSync(start, startScript(hold));
    // Debian's busybox shell runs its own adjtimex, whatever stands on the PATH.
    this.telegraf = new Running(
      "/bin/sh",
      [start, program("telegraf"), "--config", this.broker.at("telegraf.conf")],
      { env: { PATH: [this.broker.at("kernel"), this.broker.at("bin")].join(delimiter) } },
    );
    return this.telegraf;
  }

  /** Puts a stand-in for busybox's `adjtimex` before the machine's, whose clock cannot be set. */
  setClock(state: keyof typeof clocks): void {
    const report = `    maxerror:     ${clocks[state]}\\n    status:       0\\n`;
    writeFileSync(this.broker.at("kernel/adjtimex"), `#!/bin/sh\nprintf '${report}'\n`);
    chmodSync(this.broker.at("kernel/adjtimex"), 0o755);
  }

  async stopTelegraf(signal?: NodeJS.Signals): Promise<void> {
    await this.telegraf?.stop(signal);
  }

  async stop(): Promise<void> {
    await this.stopTelegraf();
    await this.broker.stop();
    await this.endpoint.stop();
  }

  private subscriptions(): number {
    return this.log.match(/\[inputs\.mqtt_consumer\] Connected/g)?.length ?? 0;
  }

  private write(): void {
    const { broker, endpoint, model, retention, token } = this;
    mkdirSync(broker.at("kernel"));
    this.setClock("right");
    const paths = { program: broker.at("reading.star"), secrets: broker.at("secrets") };
    mkdirSync(paths.secrets);
    writeFileSync(broker.at(`secrets/${secrets.mqtt}`), broker.passwords.telegraf);
    writeFileSync(broker.at(`secrets/${secrets.monitor}`), broker.passwords.monitor);
    writeFileSync(broker.at(`secrets/${secrets.influxdb}`), token);
    const options = {
      site: "test",
      broker: `tcp://127.0.0.1:${broker.ports.mqtt}`,
      influxdb: endpoint.url,
      profile: profiles.dev,
      paths,
      healthPort: 0,
    };
    writeFileSync(broker.at("telegraf.conf"), telegrafConf(model, options));
    writeFileSync(paths.program, readingProgram(model, retention));
  }
}
