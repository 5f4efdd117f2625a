import { setTimeout as sleep } from "node:timers/promises";
import type { MqttClient } from "mqtt";
import type { Message } from "./rows";

/** What became of a replay. */
export interface Outcome {
  read: number;
  acknowledged: number;
  /** First row, counted from 1, that the broker did not acknowledge, and why. */
  refused?: { row: number; reason: string };
}

/** How a replay goes. */
export interface Pace {
  /** Most messages that may wait for the broker's word at once. */
  inflight: number;
  /** Times real time; Infinity is as fast as the broker acknowledges. */
  speed: number;
  /** Called after every acknowledged message. */
  progress(outcome: Outcome): void;
}

/** Publishes messages in order at QoS 1. It stops at the first that the broker refuses, after those in flight. */
export async function publishAll(client: MqttClient, messages: AsyncIterable<Message>, pace: Pace): Promise<Outcome> {
  const outcome: Outcome = { read: 0, acknowledged: 0 };
  const waiting = new Set<Promise<void>>();
  const started = Date.now();
  let first: number | undefined;
  for await (const message of messages) {
    first ??= message.time;
    if (message.time !== undefined && first !== undefined) await due(started, message.time - first, pace.speed);
    while (waiting.size >= pace.inflight) await Promise.race(waiting);
    if (outcome.refused) break;
    outcome.read += 1;
    const row = outcome.read;
    const sent: Promise<void> = publish(client, message)
      .then((refusal) => {
        if (refusal === undefined) outcome.acknowledged += 1;
        else if (!outcome.refused || row < outcome.refused.row) outcome.refused = { row, reason: refusal };
        pace.progress(outcome);
      })
      .finally(() => waiting.delete(sent));
    waiting.add(sent);
  }
  await Promise.all(waiting);
  return outcome;
}

/** The broker's reason against a message, or undefined once it has taken it. */
async function publish(client: MqttClient, message: Message): Promise<string | undefined> {
  try {
    const word = (await client.publishAsync(message.topic, message.payload, { qos: 1 })) as { reasonCode?: number } | undefined;
    return word?.reasonCode && word.reasonCode >= 128 ? `reason code ${word.reasonCode}` : undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

async function due(started: number, offset: number, speed: number): Promise<void> {
  if (speed === Infinity) return;
  const wait = started + offset / speed - Date.now();
  if (wait > 0) await sleep(wait);
}
