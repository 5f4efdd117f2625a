import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
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
import { freePort, listens, program, Running, temporaryFolder, until } from "./programs";

/** Every message that one reader got, in its order. */
export interface Reader {
  received: { topic: string; payload: string }[];
  client: MqttClient;
}

/** The real Mosquitto with a site's rendered config, on a port and in a folder of its own. */
export class Broker {
  readonly folder = temporaryFolder();
  readonly passwords = Object.fromEntries(
    users.map((user) => [user, randomBytes(12).toString("hex")]),
  ) as Record<User, string>;
  private readonly readers: MqttClient[] = [];
  private running!: Running;

  private constructor(readonly port: number) {}

  /** Starts a broker that lets the gateway publish a model's topics, and no others. */
  static async start(model: Model): Promise<Broker> {
    const broker = new Broker(await freePort());
    broker.write(model);
    await broker.run();
    return broker;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`;
  }

  /** Path of a file in the broker's folder. */
  at(file: string): string {
    return join(this.folder.path, file);
  }

  /** Starts it again after {@link kill}. */
  async run(): Promise<void> {
    this.running = new Running(program("mosquitto"), ["-c", this.at("mosquitto.conf")]);
    await until(`the broker listens:\n${this.running.output}`, () => listens(this.port));
  }

  /** Ends it without a farewell to its clients. */
  kill(): Promise<void> {
    return this.running.stop("SIGKILL");
  }

  /** Subscribes as Telegraf to all topics of a pattern. */
  async read(pattern: string): Promise<Reader> {
    const client = await mqtt.connectAsync(this.url, {
      username: "telegraf",
      password: this.passwords.telegraf,
      protocolVersion: 5,
      reconnectPeriod: 100,
    });
    const reader: Reader = { received: [], client };
    client.on("message", (topic, payload) =>
      reader.received.push({ topic, payload: payload.toString() }),
    );
    client.on("error", () => undefined);
    await client.subscribeAsync(pattern, { qos: 1 });
    this.readers.push(client);
    return reader;
  }

  async stop(): Promise<void> {
    await Promise.all(this.readers.map((client) => client.endAsync(true)));
    await this.running.stop();
    this.folder.remove();
  }

  private write(model: Model): void {
    const paths = {
      passwords: this.at("passwords"),
      acl: this.at("acl"),
      certificate: "",
      key: "",
      data: this.at("data"),
    };
    const conf = mosquittoConf({
      profile: profiles.dev,
      anonymous: false,
      websocket: false,
      tls: false,
      paths,
    });
    mkdirSync(paths.data);
    // Neither the container's user nor its port can be had here.
    writeFileSync(
      this.at("mosquitto.conf"),
      `user root\n${conf.replace("listener 1883", `listener ${this.port} 127.0.0.1`)}`,
    );
    writeFileSync(paths.acl, mosquittoAcl(model, false));
    writeFileSync(
      paths.passwords,
      users.map((user) => passwordLine(user, this.passwords[user], randomBytes(12))).join(""),
    );
  }
}
