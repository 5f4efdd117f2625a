import { mkdirSync, writeFileSync } from "node:fs";
import type { Model } from "../../configs/model";
import { fieldsProgram, secrets, telegrafConf } from "../../configs/telegraf";
import { Broker } from "./broker";
import { program, Running, until } from "./programs";
import { RecordingEndpoint } from "./recorder";

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
  ) {}

  static async start(model: Model): Promise<Pipeline> {
    const broker = await Broker.start(model);
    const pipeline = new Pipeline(model, broker, await RecordingEndpoint.start());
    pipeline.write();
    await pipeline.startTelegraf();
    return pipeline;
  }

  /** What Telegraf has logged since it was started last. */
  get log(): string {
    return this.telegraf?.output ?? "";
  }

  async startTelegraf(): Promise<void> {
    const config = this.broker.at("telegraf.conf");
    this.telegraf = new Running(program("telegraf"), ["--config", config]);
    await until(
      () => `Telegraf has subscribed:\n${this.log}`,
      () => this.subscriptions() >= this.model.measurements.length,
    );
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
    const { broker, endpoint, model, token } = this;
    const paths = { program: broker.at("fields.star"), secrets: broker.at("secrets") };
    mkdirSync(paths.secrets);
    writeFileSync(broker.at(`secrets/${secrets.mqtt}`), broker.passwords.telegraf);
    writeFileSync(broker.at(`secrets/${secrets.monitor}`), broker.passwords.monitor);
    writeFileSync(broker.at(`secrets/${secrets.influxdb}`), token);
    const options = {
      site: "test",
      broker: `tcp://127.0.0.1:${broker.ports.mqtt}`,
      influxdb: endpoint.url,
      paths,
      healthPort: 0,
    };
    writeFileSync(broker.at("telegraf.conf"), telegrafConf(model, options));
    writeFileSync(paths.program, fieldsProgram(model));
  }
}
