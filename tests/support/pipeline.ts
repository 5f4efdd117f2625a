import { randomBytes } from "node:crypto";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import mqtt, { type MqttClient } from "mqtt";
import type { Model } from "../../configs/model";
import {
  mosquittoAcl,
  mosquittoConf,
  passwordLine,
  users,
  type User,
} from "../../configs/mosquitto";
import { profiles } from "../../configs/profiles";
import { secrets, telegrafConf } from "../../configs/telegraf";
import { freePort, listens, program, Running, temporaryFolder, until } from "./programs";
import { RecordingEndpoint } from "./recorder";

/** The real broker and the real Telegraf with their rendered configs, before a recording endpoint. */
export class Pipeline {
  readonly passwords = Object.fromEntries(users.map((user) => [user, `${user}-secret`])) as Record<
    User,
    string
  >;
  readonly token = "apiv3_test";
  readonly folder = temporaryFolder();
  broker!: Running;
  telegraf!: Running;
  endpoint!: RecordingEndpoint;
  port!: number;

  private constructor(readonly model: Model) {}

  static async start(model: Model): Promise<Pipeline> {
    const made = new Pipeline(model);
    made.port = await freePort();
    made.endpoint = new RecordingEndpoint(await freePort());
    made.write();
    await made.endpoint.start();
    await made.startBroker();
    await made.startTelegraf();
    return made;
  }

  async startBroker(): Promise<void> {
    this.broker = new Running(program("mosquitto"), ["-c", this.at("mosquitto.conf")]);
    await until("the broker listens", () => listens(this.port));
  }

  async startTelegraf(): Promise<void> {
    this.telegraf = new Running(program("telegraf"), ["--config", this.at("telegraf.conf")]);
    await until(
      "Telegraf has subscribed",
      () => this.subscriptions() >= this.model.measurements.length,
    );
  }

  /** Publishes as `user` at QoS 1, and waits for the broker's word on each. */
  async publish(topic: string, payloads: string[], user: User = "gateway"): Promise<void> {
    const client = await this.connect(user);
    await Promise.all(payloads.map((payload) => client.publishAsync(topic, payload, { qos: 1 })));
    await client.endAsync();
  }

  connect(user: User, password = this.passwords[user]): Promise<MqttClient> {
    return mqtt.connectAsync(`mqtt://127.0.0.1:${this.port}`, {
      username: user,
      password,
      protocolVersion: 5,
      reconnectPeriod: 0,
    });
  }

  /** Waits until the broker has written all that it has taken so far. */
  async queueOnDisk(): Promise<void> {
    const now = Date.now();
    await until(
      "the queue is on disk",
      () => (statSync(this.at("data/mosquitto.db"), { throwIfNoEntry: false })?.mtimeMs ?? 0) > now,
    );
  }

  async stop(): Promise<void> {
    await this.telegraf?.stop();
    await this.broker?.stop();
    await this.endpoint?.stop();
    this.folder.remove();
  }

  private at(file: string): string {
    return join(this.folder.path, file);
  }

  private subscriptions(): number {
    return this.telegraf.output.match(/\[inputs\.mqtt_consumer\] Connected/g)?.length ?? 0;
  }

  private write(): void {
    const at = (file: string) => this.at(file);
    const conf = mosquittoConf({
      profile: { ...profiles.dev, autosave: 1 },
      anonymous: false,
      websocket: false,
      tls: false,
      paths: {
        passwords: at("passwords"),
        acl: at("acl"),
        certificate: "",
        key: "",
        data: at("data"),
      },
    });
    mkdirSync(at("data"), { mode: 0o777 });
    mkdirSync(at("secrets"));
    // The container's user cannot be had here, nor can its port: both are of the test's own.
    writeFileSync(
      at("mosquitto.conf"),
      `user root\n${conf.replace("listener 1883", `listener ${this.port} 127.0.0.1`)}`,
    );
    writeFileSync(at("acl"), mosquittoAcl(this.model, false));
    writeFileSync(
      at("passwords"),
      users.map((user) => passwordLine(user, this.passwords[user], randomBytes(12))).join(""),
    );
    writeFileSync(at(`secrets/${secrets.mqtt}`), this.passwords.telegraf);
    writeFileSync(at(`secrets/${secrets.monitor}`), this.passwords.monitor);
    writeFileSync(at(`secrets/${secrets.influxdb}`), this.token);
    const options = {
      site: "test",
      broker: `tcp://127.0.0.1:${this.port}`,
      influxdb: `http://127.0.0.1:${this.endpoint.port}`,
      secrets: at("secrets"),
    };
    // The container has the health port to itself; the agent's own interval would make a test wait.
    writeFileSync(
      at("telegraf.conf"),
      telegrafConf(this.model, options)
        .replace("http://127.0.0.1:8080", "http://127.0.0.1:0")
        .replace("quiet = true", "quiet = false"),
    );
  }
}
