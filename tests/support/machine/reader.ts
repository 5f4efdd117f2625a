import { topicsOf } from "../../../configs/model";
import { setTimeout as sleep } from "node:timers/promises";
import mqtt, { type MqttClient } from "mqtt";
import { writtenSeconds } from "../../../configs/mosquitto";
import type { Machine } from "./machine";

/** A reader with a persistent session at the broker, like one of Telegraf's. */
export class Reader {
  /** Times of the messages that it has received. */
  readonly received = new Set<number>();
  private client: MqttClient | undefined;

  constructor(private readonly machine: Machine) {}

  /** Takes its session up, or makes it; nothing happens while it is connected. */
  async connect(): Promise<void> {
    if (this.client?.connected) return;
    await this.leave();
    const client = mqtt.connect(`mqtt://${this.machine.address}:1883`, {
      username: "telegraf",
      password: this.machine.password("telegraf"),
      clientId: "reader",
      clean: false,
      reconnectPeriod: 0,
    });
    this.client = client;
    // Before it is connected: what waited comes at once.
    client.on("message", (_, payload) => {
      const { timestamp } = JSON.parse(payload.toString()) as { timestamp: string };
      this.received.add(Date.parse(timestamp));
    });
    await new Promise((resolve, reject) => client.once("connect", resolve).once("error", reject));
    client.on("error", () => undefined);
    const topics = this.machine.model.measurements.flatMap(topicsOf);
    await client.subscribeAsync(topics, { qos: 1 });
  }

  /** Makes its session, and waits until the broker has written it. */
  async settle(): Promise<void> {
    await this.connect();
    await sleep(writtenSeconds(this.machine.profile) * 1000);
  }

  /** Leaves: what comes now waits in its session. */
  async leave(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    await client?.endAsync(true);
  }
}
