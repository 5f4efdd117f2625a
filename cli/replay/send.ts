import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type IConnackPacket, type MqttClient } from "mqtt";
import { InputError } from "../../configs/validation";
import type { Row } from "./messages";

/** Where the messages go. */
export interface Broker {
  url: string;
  username: string;
  /** Without one the client logs in as nobody, which a broker may allow. */
  password?: string | undefined;
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
  sent: number;
  acknowledged: number;
  /** Rows acknowledged although nobody had subscribed to their topic. */
  unheard: number;
  /** First row to be sent, and after a failure the first that was not acknowledged. */
  resumeAt?: number;
  /** Why not all rows were sent, or not all acknowledged. */
  failure?: string;
}

/** MQTT 5: the broker took a message that nobody had subscribed to. */
const noSubscribers = 16;

/** Longest time that a Node timer can hold, in ms. */
const longestTimer = 2 ** 31 - 1;

/** A failed connection to an address with several IPs has no message of its own, only a code. */
const failureReason = (error: Error): string =>
  error.message || (error as NodeJS.ErrnoException).code || error.name;

/**
 * How many unacknowledged messages a broker takes, which MQTT 5 lets it say: more end the
 * connection.
 */
const receiveMaximum = (packet: IConnackPacket): number =>
  packet.properties?.receiveMaximum ?? 65535;

/**
 * Connects by MQTT 5, which reports a refused message.
 * @returns the client, and how many unacknowledged messages the broker takes.
 * @throws InputError if the broker is not reached, or refuses the login.
 */
export async function open({
  url,
  username,
  password,
}: Broker): Promise<{ client: MqttClient; most: number }> {
  const client = connect(url, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    keepalive: 15,
    ...(password !== undefined && { username, password }),
  });
  try {
    const packet = await new Promise<IConnackPacket>((resolve, reject) => {
      client.on("connect", resolve).on("error", reject);
      client.on("close", () => reject(new Error("the connection was closed before the login")));
    });
    return { client, most: receiveMaximum(packet) };
  } catch (error) {
    client.end(true);
    const login = password === undefined ? "without a password" : `as user ${username}`;
    throw new InputError("the connection", [
      `--url is ${url}: the broker takes no connection ${login}: ${failureReason(error as Error)}`,
    ]);
  }
}

/** One replay over one connection. */
class Replay {
  /** Rows that the broker has not acknowledged, in the order of the file: refused ones stay. */
  private readonly open = new Set<number>();
  /** Rows that the broker has neither acknowledged nor refused. */
  private unanswered = 0;
  private readonly stop = new AbortController();
  private wake: () => void = () => undefined;
  /** The first row's time, and the moment of the monotonic clock that stands for it. */
  private origin: { clock: number; time: number } | undefined;

  constructor(
    private readonly client: MqttClient,
    private readonly pace: Pace,
    private readonly progress: Progress,
  ) {}

  /** Ends the replay; what is in flight is still waited for. The first reason stands. */
  readonly fail = (reason: string): void => {
    this.progress.failure ??= reason;
    this.stop.abort();
    this.wake();
  };

  /** Sends the rows, and waits until each is answered or the connection is gone. */
  async run(rows: AsyncIterable<Row[]>): Promise<void> {
    let next = this.progress.resumeAt;
    try {
      for await (const batch of rows) {
        for (const row of batch) {
          await this.turn(row);
          if (this.stop.signal.aborted) break;
          next = row.number + 1;
          this.publish(row);
        }
        if (this.stop.signal.aborted) break;
      }
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.fail(error.message);
    }
    await this.until(() => this.unanswered === 0);
    const [first = next] = this.open;
    delete this.progress.resumeAt;
    if (this.progress.failure !== undefined && first !== undefined) this.progress.resumeAt = first;
  }

  /** Resolves when a row's time has come and the broker has room for it, or after a failure. */
  private async turn({ message }: Row): Promise<void> {
    const { speed, inflight } = this.pace;
    if (speed !== Infinity) {
      this.origin ??= { clock: performance.now(), time: message.time };
      await this.due(this.origin.clock + (message.time - this.origin.time) / speed);
    }
    if (this.unanswered >= inflight) await this.until(() => this.unanswered < inflight);
  }

  private publish({ number, message }: Row): void {
    this.progress.sent += 1;
    this.unanswered += 1;
    this.open.add(number);
    this.client.publish(message.topic, message.payload, { qos: 1 }, (error) => {
      this.unanswered -= 1;
      if (error) {
        this.fail(`row ${number} to ${message.topic} was refused: ${failureReason(error)}`);
      } else {
        this.open.delete(number);
        this.progress.acknowledged += 1;
      }
      this.wake();
    });
  }

  /** Resolves at a moment of the monotonic clock, or at a failure; in steps that a timer holds. */
  private async due(moment: number): Promise<void> {
    const { signal } = this.stop;
    for (
      let left = moment - performance.now();
      left > 0 && !signal.aborted;
      left = moment - performance.now()
    ) {
      await sleep(Math.min(left, longestTimer), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Resolves when the broker's answers make the condition hold, or without connection. */
  private async until(condition: () => boolean): Promise<void> {
    while (!condition() && this.client.connected)
      await new Promise<void>((resolve) => (this.wake = resolve));
  }
}

/**
 * Publishes rows at QoS 1 in their order and waits for every acknowledgement. A lost connection, a
 * refused message, a bad row and the signal end it: `progress` then has the reason, and the row to
 * resume at. It does not reconnect, because a message in flight would then be sent twice and out of
 * order.
 */
export async function send(
  client: MqttClient,
  rows: AsyncIterable<Row[]>,
  pace: Pace,
  progress: Progress,
  interrupt: AbortSignal,
): Promise<void> {
  const replay = new Replay(client, pace, progress);
  const lost = () => replay.fail("the connection to the broker was lost");
  client.on("error", (error) =>
    replay.fail(`the connection to the broker failed: ${failureReason(error)}`),
  );
  client.on("close", lost);
  client.on("packetreceive", (packet) => {
    if (packet.cmd === "puback" && packet.reasonCode === noSubscribers) progress.unheard += 1;
  });
  interrupt.addEventListener("abort", () => replay.fail("interrupted"));
  try {
    await replay.run(rows);
  } finally {
    client.off("close", lost);
    await client.endAsync(!client.connected);
  }
}
