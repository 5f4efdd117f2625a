import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type MqttClient } from "mqtt";
import type { Model } from "../configs/model";
import { normal, type Order } from "../configs/simulator";
import { advance, type FaultOrder, startSimulation, withFault } from "./units";
import { messagesOf } from "./payload";

/** The simulator's config file. */
export interface SimulatorConfig {
  /** URL of the broker, such as `mqtt://mosquitto:1883`. */
  url: string;
  username: string;
  /** File that holds the password. */
  passwordFile: string;
  /** A validated telemetry model. */
  model: Model;
  /** Number of simulated units. */
  units: number;
  /** Time between two messages of one unit, in ms. */
  intervalMs: number;
  /** Seed of all noise. */
  seed: number;
  /** Fault that the site's configuration asks for. */
  fault?: FaultOrder | undefined;
}

/** What the simulator tells its process, and by what the process ends it. */
export interface SimulatorHooks {
  /** Ends the simulation. */
  signal: AbortSignal;
  /** Called when the broker has acknowledged a message, at most once per interval. */
  alive(): void;
  /** What is asked for meanwhile; undefined: what the config file says. */
  order?(): Order | undefined;
  log(line: string): void;
}

/** Most unacknowledged messages; further ones are skipped, which limits memory in a long outage. */
const maxPending = 10_000;

/** Longest wait for the last acknowledgements at the end, in ms. */
const flushTimeout = 2000;

/** Time between two log lines with counts, in ms. */
const reportInterval = 60_000;

/** Publishes messages, and counts those that are acknowledged or skipped. */
class Outbox {
  private readonly counts = { published: 0, acknowledged: 0, skipped: 0 };
  private aliveDue = true;

  constructor(
    private readonly client: MqttClient,
    private readonly alive: () => void,
  ) {}

  /** Number of messages that the broker has not acknowledged yet. */
  get pending(): number {
    return this.counts.published - this.counts.acknowledged;
  }

  /** Starts an interval: its first acknowledgement is reported as a sign of life. */
  nextInterval(): void {
    this.aliveDue = true;
  }

  publish(topic: string, payload: string): void {
    if (this.pending >= maxPending) {
      this.counts.skipped += 1;
      return;
    }
    this.counts.published += 1;
    this.client.publish(topic, payload, { qos: 1 }, (error) => {
      if (!error) this.acknowledged();
    });
  }

  report(): string {
    const { published, acknowledged, skipped } = this.counts;
    return `${published} published, ${acknowledged} acknowledged by the broker, ${skipped} skipped`;
  }

  private acknowledged(): void {
    this.counts.acknowledged += 1;
    if (!this.aliveDue) return;
    this.aliveDue = false;
    this.alive();
  }
}

/** Logs each outage once, however often the client retries. */
function logOutages(client: MqttClient, log: SimulatorHooks["log"]): void {
  let logged = false;
  client.on("connect", () => (logged = false));
  client.on("error", (error) => {
    if (!logged)
      log(
        `broker not reached, trying on: ${error.message || (error as NodeJS.ErrnoException).code}`,
      );
    logged = true;
  });
}

/** The fault at a time, in ms since 1970: of an order that has not ended, else of the config file. */
export function faultAt(
  order: Order | undefined,
  configured: FaultOrder | undefined,
  now: number,
): FaultOrder | undefined {
  if (!order || (order.until !== null && order.until <= now)) return configured;
  const { scenario, unit } = order;
  return scenario === normal ? undefined : { scenario, unit };
}

const faultText = (fault: FaultOrder | undefined): string =>
  fault ? `unit ${fault.unit}: ${fault.scenario}` : "no fault";

/** Resolves after `ms`, or at once when the signal is aborted. */
const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);

/**
 * Calls `tick` every `intervalMs` with the seconds since the last call, until the signal aborts.
 * It goes by the monotonic clock, so that delays do not add up.
 */
async function everyInterval(
  intervalMs: number,
  signal: AbortSignal,
  tick: (seconds: number) => void,
): Promise<void> {
  const start = performance.now();
  for (let last = -1; !signal.aborted;) {
    const due = Math.max(last + 1, Math.floor((performance.now() - start) / intervalMs));
    await pause(start + due * intervalMs - performance.now(), signal);
    if (signal.aborted) return;
    tick(((due - last) * intervalMs) / 1000);
    last = due;
  }
}

/** Waits for the last acknowledgements, and disconnects. */
async function disconnect(client: MqttClient, outbox: Outbox): Promise<void> {
  const deadline = performance.now() + flushTimeout;
  while (client.connected && outbox.pending > 0 && performance.now() < deadline) await sleep(20);
  await client.endAsync(!client.connected || outbox.pending > 0);
}

/** Publishes simulated units at QoS 1 until the signal is aborted; it reconnects by itself. */
export async function simulate(
  config: SimulatorConfig,
  password: string,
  { signal, alive, order, log }: SimulatorHooks,
): Promise<void> {
  const { model, units, intervalMs, seed } = config;
  const client = connect(config.url, {
    protocolVersion: 4,
    username: config.username,
    password,
    reconnectOnConnackError: true,
  });
  const outbox = new Outbox(client, alive);
  logOutages(client, log);
  log(
    `${units} units of ${model.name} every ${intervalMs} ms to ${config.url} as ${config.username}`,
  );
  const reporter = setInterval(() => log(outbox.report()), reportInterval);
  let simulated = startSimulation(model, units, seed);
  let told = faultText(undefined);
  await everyInterval(intervalMs, signal, (seconds) => {
    const now = Date.now();
    const fault = faultAt(order?.(), config.fault, now);
    if (faultText(fault) !== told) log((told = faultText(fault)));
    simulated = advance(withFault(simulated, fault), seconds);
    outbox.nextInterval();
    for (const unit of simulated) {
      for (const [topic, payload] of messagesOf(model, unit, now)) outbox.publish(topic, payload);
    }
  });
  clearInterval(reporter);
  await disconnect(client, outbox);
  log(`stopped: ${outbox.report()}`);
}
