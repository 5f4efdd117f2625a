import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type ErrorWithReasonCode, type IConnackPacket, type MqttClient } from "mqtt";
import { InputError } from "../../configs/refuse";
import type { Row } from "./source";

/** Where the messages go. */
export interface Broker {
  url: string;
  username: string;
  /** Without one the client logs in as nobody, which a broker may allow. */
  password?: string;
}

/** How fast the messages go. */
export interface Pace {
  /** Times real time by the rows' own times; Infinity is as fast as the broker acknowledges. */
  speed: number;
  /** Most messages that wait for their acknowledgement at any time. */
  inflight: number;
}

/** What became of the rows. It is kept up to date while they are sent. */
export interface Progress {
  read: number;
  acknowledged: number;
  /** Rows acknowledged although nobody had subscribed to their topic. */
  unheard: number;
  /** First row that was not acknowledged. */
  resumeAt?: number;
  /** Why not all rows were sent, or not all acknowledged. */
  failure?: string;
}

/** Progress before anything is read. */
export const noProgress = (): Progress => ({ read: 0, acknowledged: 0, unheard: 0 });

/** MQTT 5: the broker took a message that nobody had subscribed to. */
const noSubscribers = 16;

/** What most broker libraries cannot tell: nothing listens there, or the login is wrong. */
const reasonOf = (error: Error): string => error.message || (error as NodeJS.ErrnoException).code || error.name;

/** MQTT 5 lets a broker name the most unacknowledged messages that it takes; sending more ends the connection. */
const receiveMaximum = (packet: IConnackPacket): number => packet.properties?.receiveMaximum ?? 65535;

/**
 * Connects by MQTT 5, so that a refused message is told and not swallowed.
 * @returns the client and how many unacknowledged messages the broker takes.
 * @throws InputError if the broker is not reached, or refuses the login.
 */
export async function open({ url, username, password }: Broker): Promise<{ client: MqttClient; most: number }> {
  const client = connect(url, { protocolVersion: 5, reconnectPeriod: 0, keepalive: 15, ...(password !== undefined && { username, password }) });
  try {
    const [packet] = (await once(client, "connect")) as [IConnackPacket];
    return { client, most: receiveMaximum(packet) };
  } catch (error) {
    client.end(true);
    const login = password === undefined ? "no password" : `user ${username}`;
    throw new InputError(`--url ${url}`, [`the broker does not take a connection with ${login}: ${reasonOf(error as Error)}`]);
  }
}

/** One replay over one connection: at most `inflight` messages wait for the broker at any time. */
class Replay {
  /** Rows without an acknowledgement, in the order of the file. */
  private readonly waiting = new Set<number>();
  private readonly stop = new AbortController();
  private wake: () => void = () => undefined;

  constructor(
    private readonly client: MqttClient,
    private readonly pace: Pace,
    private readonly progress: Progress,
    interrupt: AbortSignal,
  ) {
    client.on("error", (error) => this.fail(`the connection failed: ${reasonOf(error)}`));
    client.on("close", () => this.fail("the broker closed the connection"));
    client.on("packetreceive", (packet) => {
      if (packet.cmd === "puback" && packet.reasonCode === noSubscribers) progress.unheard += 1;
    });
    interrupt.addEventListener("abort", () => this.fail("interrupted"));
  }

  async run(rows: AsyncIterable<Row>): Promise<void> {
    try {
      await this.sendAll(rows);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.fail(error.message);
    }
    await this.until(() => this.waiting.size === 0);
    const [first] = this.waiting;
    this.progress.resumeAt = first ?? this.progress.resumeAt;
  }

  private async sendAll(rows: AsyncIterable<Row>): Promise<void> {
    const began = Date.now();
    let origin: number | undefined;
    for await (const row of rows) {
      origin ??= row.message.time;
      this.progress.resumeAt = row.number;
      await this.due(began + (row.message.time - origin) / this.pace.speed);
      await this.until(() => this.waiting.size < this.pace.inflight);
      if (this.stop.signal.aborted) return;
      this.publish(row);
    }
    this.progress.resumeAt = undefined;
  }

  private publish({ number, message }: Row): void {
    this.progress.read += 1;
    this.waiting.add(number);
    this.client.publish(message.topic, message.payload, { qos: 1 }, (error) => {
      if (error) {
        this.fail(`row ${number} to ${message.topic} was refused: ${reasonOf(error)}${codeOf(error)}`);
      } else {
        this.waiting.delete(number);
        this.progress.acknowledged += 1;
      }
      this.wake();
    });
  }
}
