import mqtt, { type MqttClient } from "mqtt";
import { buildMessages } from "../../../configs/message";
import { first, type Measurement } from "../../../configs/model";
import type { Machine } from "./machine";

/**
 * A battery's gateway: it publishes messages with a time of their own, and knows which ones the
 * broker has acknowledged. No two messages have the same time.
 */
export class Gateway {
  /** When each message was acknowledged, by the message's own time; both in ms. */
  readonly acknowledged = new Map<number, number>();
  private lastTime = 0;
  private sent = 0;
  private timer: NodeJS.Timeout | undefined;
  private waiting: Promise<unknown>[] = [];
  private client: MqttClient | undefined;

  constructor(private readonly machine: Machine) {}

  /** Publishes `rate` messages a second from now on, of all measurements in turns. */
  async start(rate: number): Promise<void> {
    const client = await mqtt.connectAsync(`mqtt://${this.machine.address}:1883`, {
      username: "gateway",
      password: this.machine.password("gateway"),
      protocolVersion: 5,
      reconnectPeriod: 100,
    });
    client.on("error", () => undefined);
    this.client = client;
    const began = performance.now();
    let count = 0;
    this.timer = setInterval(() => {
      for (; count < ((performance.now() - began) / 1000) * rate; count++) this.publish();
    }, 10);
  }

  /** Publishes one message. @returns its time. */
  publish(): number {
    const { client } = this;
    const { measurements } = this.machine.model;
    const measurement = measurements[this.sent++ % measurements.length] as Measurement;
    const time = Math.max(Date.now(), this.lastTime + 1);
    this.lastTime = time;
    const acknowledging = client?.publishAsync(...message(measurement, time), { qos: 1 }).then(
      () => {
        if (client === this.client) this.acknowledged.set(time, Date.now());
      },
      () => undefined,
    );
    this.waiting.push(Promise.resolve(acknowledging));
    return time;
  }

  /** Stops, once all that was sent is acknowledged. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await Promise.all(this.waiting);
    this.waiting = [];
    await this.client?.endAsync();
    this.client = undefined;
  }

  /** Stops at once: an acknowledgement that comes later does not count. */
  cutOff(): void {
    clearInterval(this.timer);
    const { client } = this;
    this.client = undefined;
    this.waiting = [];
    client?.end(true);
  }
}

function message(measurement: Measurement, time: number): [topic: string, payload: string] {
  const { topic, payload } = first(
    buildMessages(measurement, {
      time,
      tag: () => "u1",
      level: "u1",
      fields: measurement.fields.map((field) => [
        field,
        field.type === "string" ? "on" : time % 100,
      ]),
    }),
  );
  return [topic, payload];
}
