import { randomBytes } from "node:crypto";
import { chownSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import mqtt, { type MqttClient } from "mqtt";
import type { Model } from "../../configs/model";
import {
  type BrokerOptions,
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

/** What a test decides about its broker; the rest is as a site with the profile `dev` has it. */
export interface BrokerChoices {
  websocket?: boolean;
  /** Certificate and key, in PEM form. Default: no TLS. */
  tls?: { certificate: string; key: string };
  /** Seconds between two writes of the queue. Default: the profile's. */
  autosave?: number;
}

/** User that the broker's container runs as. Only root can become it; others stay who they are. */
const brokerUser = process.getuid?.() === 0 ? 1883 : undefined;

/** The real Mosquitto with a site's rendered config, on ports and in a folder of its own. */
export class Broker {
  readonly folder = temporaryFolder();
  readonly passwords: Record<User, string>;
  private readonly clients: MqttClient[] = [];
  private running: Running | undefined;

  private constructor(readonly ports: Record<"mqtt" | "websocket" | "tls", number>) {
    const [gateway, telegraf, monitor] = [newPassword(), newPassword(), newPassword()];
    this.passwords = { gateway, telegraf, monitor };
  }

  /** Starts a broker that lets the gateway publish a model's topics, and no others. */
  static async start(model: Model, choices: BrokerChoices = {}): Promise<Broker> {
    const ports = { mqtt: await freePort(), websocket: await freePort(), tls: await freePort() };
    const broker = new Broker(ports);
    broker.write(model, choices);
    await broker.run();
    return broker;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.ports.mqtt}`;
  }

  /** What it has printed since it was started last. */
  get output(): string {
    return this.running?.output ?? "";
  }

  /** Path of a file in the broker's folder. */
  at(file: string): string {
    return join(this.folder.path, file);
  }

  /** Starts it again after {@link kill}. */
  async run(): Promise<void> {
    const running = new Running(program("mosquitto"), ["-c", this.at("mosquitto.conf")], {
      user: brokerUser,
    });
    this.running = running;
    await until(
      () => `the broker listens:\n${running.output}`,
      () => listens(this.ports.mqtt),
    );
  }

  /** Ends it without a farewell to its clients. */
  async kill(): Promise<void> {
    await this.running?.stop("SIGKILL");
  }

  /**
   * Connects once, as a user.
   * @throws Error if the broker refuses, or if it does not answer within 5 s.
   */
  connect(
    user: User,
    { url = this.url, password = this.passwords[user], ca = "" } = {},
  ): Promise<MqttClient> {
    const credentials = { username: user, password, ...(ca && { ca }) };
    return mqtt.connectAsync(url, {
      ...credentials,
      protocolVersion: 5,
      reconnectPeriod: 0,
      connectTimeout: 5000,
    });
  }

  /** Publishes as `user` at QoS 1, and waits until the broker has acknowledged each. */
  async publish(topic: string, payloads: string[], user: User = "gateway"): Promise<void> {
    const client = await this.connect(user);
    await Promise.all(
      payloads.map((payload) => client.publishAsync(topic, payload, { qos: 1 })),
    ).finally(() => client.endAsync());
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
    this.clients.push(client);
    return reader;
  }

  /** Waits until it has written all that it has taken so far. */
  async queueOnDisk(): Promise<void> {
    const now = Date.now();
    const written = () =>
      statSync(this.at("data/mosquitto.db"), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    await until("the queue is on disk", () => written() > now);
  }

  async stop(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.endAsync(true)));
    await this.running?.stop();
    this.folder.remove();
  }

  private write(model: Model, { websocket = false, tls, autosave }: BrokerChoices): void {
    const paths = {
      passwords: this.at("passwords"),
      acl: this.at("acl"),
      certificate: this.at("certificate"),
      key: this.at("key"),
      data: this.at("data"),
    };
    const options: BrokerOptions = {
      profile: autosave === undefined ? profiles.dev : { ...profiles.dev, autosave },
      anonymous: false,
      websocket,
      tls: tls !== undefined,
      paths,
      listen: { address: "127.0.0.1", ports: this.ports },
    };
    mkdirSync(paths.data);
    if (brokerUser !== undefined) chownSync(paths.data, brokerUser, brokerUser);
    writeFileSync(this.at("mosquitto.conf"), mosquittoConf(options));
    writeFileSync(paths.acl, mosquittoAcl(model, false));
    const lines = users.map((user) => passwordLine(user, this.passwords[user], randomBytes(12)));
    writeFileSync(paths.passwords, lines.join(""));
    if (tls) writeFileSync(paths.certificate, tls.certificate);
    if (tls) writeFileSync(paths.key, tls.key);
  }
}

const newPassword = () => randomBytes(12).toString("hex");
