import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chownSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import mqtt, { type MqttClient } from "mqtt";
import type { Model } from "../../configs/model";
import { bridgeConf, type Bridges, keepalivesOf } from "../../configs/bridges";
import type { Gateways, User } from "../../configs/broker-users";
import {
  type BrokerOptions,
  clientOptions,
  mosquittoAcl,
  mosquittoConf,
  passwordLine,
  type Places,
  sessionScript,
  startScript,
  trialConf,
  usersOf,
  writtenSeconds,
} from "../../configs/mosquitto";
import { profiles } from "../../configs/profiles";
import { sessions } from "../../configs/telegraf";
import { freePort, listens, program, Running, temporaryFolder, until } from "./programs";

/** Every message that one reader got, in its order. */
export interface Reader {
  received: { topic: string; payload: string }[];
  client: MqttClient;
}

/** What a test decides about its broker; the rest is as a site with the profile `dev` has it. */
export interface BrokerChoices {
  websocket?: boolean;
  /** Gateways with a user of their own. Default: none. */
  gateways?: Gateways;
  /** Brokers that it fetches from. Default: none. */
  bridge?: Bridges;
  /** Its image, whose version the start script takes for the broker's. Default: the pinned one. */
  image?: string;
  /** Certificate and key, in PEM form. Default: no TLS. */
  tls?: { certificate: string; key: string };
}

/** Bytes of a new queue: a test of a damaged one needs no room for a day. */
export const reserve = 2 ** 16;

const newPassword = () => randomBytes(12).toString("hex");

/** Whom root runs the broker as: Mosquitto crashes where /etc/passwd lacks its user. Others stay who they are. */
const brokerUser = process.getuid?.() === 0 ? 65534 : undefined;

/**
 * The real Mosquitto as a site's container runs it: with the rendered entrypoint and config, and
 * busybox's programs alone. Its ports and its folder are its own.
 */
export class Broker {
  readonly folder = temporaryFolder();
  readonly passwords: Record<User, string> & Record<string, string> = {
    gateway: newPassword(),
    telegraf: newPassword(),
    monitor: newPassword(),
    sessions: newPassword(),
    clock: newPassword(),
  };
  private readonly clients: MqttClient[] = [];
  private running: Running | undefined;

  private constructor(readonly ports: Record<"mqtt" | "websocket" | "tls" | "migration", number>) {}

  /** Starts a broker that lets the gateway publish a model's topics, and no others. */
  static async start(model: Model, choices: BrokerChoices = {}): Promise<Broker> {
    const ports = {
      mqtt: await freePort(),
      websocket: await freePort(),
      tls: await freePort(),
      migration: await freePort(),
    };
    const broker = new Broker(ports);
    broker.prepare();
    broker.configure(model, choices);
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

  /** Starts it again after {@link kill} or {@link terminate}, and waits until it serves. */
  async run(): Promise<void> {
    await this.serves(this.launch());
  }

  /** Starts it, and does not wait. */
  launch(): Running {
    return (this.running = this.inContainer("start.sh"));
  }

  /** Ends the client that tells the time. It is started again. */
  endClock(): void {
    execFileSync("pkill", ["-KILL", "-g", String(this.running?.pid), "mosquitto_pub"]);
  }

  /** Takes that client's password away, until {@link configure}. */
  lockClockOut(): void {
    rmSync(this.at("clock/mosquitto_pub"));
  }

  /** Runs the script that removes a session. @returns what it prints, and its exit code. */
  async session(...args: ["drop", string] | ["remove", string, ...string[]]) {
    const script = this.inContainer("session.sh", ...args);
    await until(
      () => `the session is removed:\n${script.output}`,
      () => script.exitCode !== null,
    );
    return { output: script.output, exitCode: script.exitCode };
  }

  /** Runs a script with busybox's programs and Mosquitto's alone. */
  private inContainer(script: string, ...args: string[]): Running {
    return new Running(this.at("bin/sh"), [this.at(script), ...args], {
      user: brokerUser,
      env: { PATH: [this.at("bin"), dirname(program("mosquitto"))].join(":") },
    });
  }

  /** Starts it with the queue of the former kind, as sites had it before the plugin. */
  async runFormer(): Promise<void> {
    const lines = [
      `listener ${this.ports.mqtt} 127.0.0.1`,
      "allow_anonymous true",
      "persistence true",
      `persistence_location ${this.at("data")}/`,
      "max_queued_messages 0",
    ];
    writeFileSync(this.at("former.conf"), `${lines.join("\n")}\n`);
    const args = ["-c", this.at("former.conf")];
    await this.serves(
      (this.running = new Running(program("mosquitto"), args, { user: brokerUser })),
    );
  }

  private async serves(running: Running): Promise<void> {
    await until(
      () => `the broker listens:\n${running.output}`,
      () => {
        // Its port may be another process's by now.
        if (running.exitCode !== null) throw new Error(`the broker has ended:\n${running.output}`);
        return listens(this.ports.mqtt);
      },
    );
  }

  /** Ends it without a farewell to its clients. */
  async kill(): Promise<void> {
    await this.running?.stop("SIGKILL");
  }

  /** Ends it as Docker stops a container. @returns the entrypoint's exit code. */
  async terminate(): Promise<number | null> {
    await this.running?.stop();
    return this.running?.exitCode ?? null;
  }

  /**
   * Connects once, as a user.
   * @throws Error if the broker refuses, or if it does not answer within 5 s.
   */
  connect(
    user: string,
    { url = this.url, password = this.passwords[user] ?? "", ca = "", clientId = "" } = {},
  ): Promise<MqttClient> {
    const credentials = {
      username: user,
      password,
      ...(ca && { ca }),
      ...(clientId && { clientId }),
    };
    return mqtt.connectAsync(url, {
      ...credentials,
      protocolVersion: 5,
      reconnectPeriod: 0,
      connectTimeout: 5000,
    });
  }

  /** Publishes as `user` at QoS 1, and waits until the broker has acknowledged each. */
  async publish(
    topic: string,
    payloads: (string | Buffer)[],
    user: string = "gateway",
  ): Promise<void> {
    const client = await this.connect(user);
    await Promise.all(
      payloads.map((payload) => client.publishAsync(topic, payload, { qos: 1 })),
    ).finally(() => client.endAsync());
  }

  /** Publishes one message at QoS 1, also one that the broker refuses. */
  async send(
    user: string,
    { topic, payload, retain = false }: { topic: string; payload: string; retain?: boolean },
  ): Promise<void> {
    const client = await this.connect(user);
    await client
      .publishAsync(topic, payload, { qos: 1, retain })
      .catch((error: Error) => {
        if (!/Not authorized/.test(error.message)) throw error;
      })
      .finally(() => client.endAsync());
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

  /** Makes a persistent session that reads a topic at QoS 1, as Telegraf does, and leaves it. */
  async leaveSession(clientId: string, topic: string): Promise<void> {
    const client = this.resume(clientId);
    await client.subscribeAsync(topic, { qos: 1 });
    await client.endAsync();
  }

  /** Takes a session over. @returns the `count` messages that wait in it, in their order. */
  async takeSession(clientId: string, count: number): Promise<string[]> {
    const client = this.resume(clientId);
    const received: string[] = [];
    client.on("message", (_, payload) => received.push(payload.toString()));
    await until(
      () =>
        `${count} messages wait for ${clientId}, of which ${received.length} came:\n${this.output}`,
      () => received.length >= count,
    ).finally(() => client.endAsync());
    return received;
  }

  /** Whether the broker has a session of this client id; one is made where it has none. */
  async resumes(clientId: string): Promise<boolean> {
    const client = this.resume(clientId);
    const present = await new Promise<boolean>((resolve, reject) => {
      client.once("error", reject);
      client.once("connect", ({ sessionPresent }) => resolve(sessionPresent));
    });
    await client.endAsync();
    return present;
  }

  private resume(clientId: string): MqttClient {
    const credentials = { username: "telegraf", password: this.passwords.telegraf };
    return mqtt.connect(this.url, { ...credentials, clientId, clean: false, reconnectPeriod: 0 });
  }

  /** Waits as long as the broker may take to write what it has acknowledged. */
  async queueOnDisk(): Promise<void> {
    await sleep(writtenSeconds(profiles.dev) * 1000);
  }

  async stop(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.endAsync(true)));
    await this.running?.stop();
    this.folder.remove();
  }

  private prepare(): void {
    mkdirSync(this.at("data"));
    if (brokerUser !== undefined) chownSync(this.at("data"), brokerUser, brokerUser);
    mkdirSync(this.at("bin"));
    execFileSync(program("busybox"), ["--install", "-s", this.at("bin")]);
    mkdirSync(this.at("sessions"));
    mkdirSync(this.at("clock"));
    mkdirSync(this.at("bridges"));
  }

  /** Writes its files, for its next start. */
  configure(
    model: Model,
    { websocket = false, tls, gateways = {}, bridge = {}, image }: BrokerChoices = {},
  ): void {
    const paths: Places = {
      config: this.at("mosquitto.conf"),
      trial: this.at("trial.conf"),
      sessionClients: this.at("sessions"),
      clockClients: this.at("clock"),
      bridges: this.at("bridges"),
      plugin: program("mosquitto_persist_sqlite.so"),
      passwords: this.at("passwords"),
      acl: this.at("acl"),
      certificate: this.at("certificate"),
      key: this.at("key"),
      data: this.at("data"),
    };
    const options: BrokerOptions = {
      profile: profiles.dev,
      anonymous: false,
      websocket,
      tls: tls !== undefined,
      bridged: Object.keys(bridge).length > 0,
      paths,
      listen: { address: "127.0.0.1", ports: this.ports },
    };
    const read = sessions("test", model);
    const { migration: migrationPort, mqtt: port } = this.ports;
    const start = startScript(profiles.dev, read, {
      site: "test",
      ...(image && { image }),
      at: paths,
      migrationPort,
      reserve,
      keepalives: keepalivesOf(bridge),
    });
    writeFileSync(this.at("start.sh"), start);
    writeFileSync(this.at("session.sh"), sessionScript(profiles.dev, read, paths));
    const clients = (user: "sessions" | "clock", client: string) =>
      writeFileSync(this.at(`${user}/${client}`), clientOptions(user, this.passwords[user], port));
    clients("sessions", "mosquitto_sub");
    clients("sessions", "mosquitto_pub");
    clients("clock", "mosquitto_pub");
    writeFileSync(paths.config, mosquittoConf(options));
    for (const [name, peer] of Object.entries(bridge)) {
      const ca = this.at(`bridges/${name}.crt`);
      if (peer.ca !== undefined) writeFileSync(ca, peer.ca);
      writeFileSync(this.at(`bridges/${name}.conf`), bridgeConf("test", name, peer, ca));
    }
    writeFileSync(paths.trial, trialConf(profiles.dev, paths));
    writeFileSync(paths.acl, mosquittoAcl(model, false, { gateways, bridge }));
    for (const name of Object.keys(gateways)) this.passwords[name] ??= newPassword();
    const lines = [...usersOf(model, bridge), ...Object.keys(gateways)].map((user) =>
      passwordLine(user, this.passwords[user] ?? "", randomBytes(12)),
    );
    writeFileSync(paths.passwords, lines.join(""));
    if (tls) writeFileSync(paths.certificate, tls.certificate);
    if (tls) writeFileSync(paths.key, tls.key);
  }
}
