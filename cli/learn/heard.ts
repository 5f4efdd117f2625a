import type { Recorded } from "../recording";

/** A payload: its JSON, or its text if it is none. */
export interface Payload {
  value: unknown;
  /** ns since 1970. */
  time: bigint | undefined;
}

/** What was heard on one topic. */
export interface Heard {
  topic: string;
  levels: string[];
  count: number;
  payloads: Payload[];
}

/** Payloads that are kept of a topic. */
const mostPayloads = 60;
/** Topics that are told apart. */
const mostTopics = 20_000;

/** Keys of an object that carries one value, and those that may stand beside it. */
const valueKeys = ["value", "val", "v"];
const besideValue = /^(min|max|units?|q|quality|t|ts|time|timestamp|type|name|id)$/i;

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isScalar = (value: unknown): boolean => typeof value !== "object" || value === null;

/** The key by which an object carries one value. */
function wrapper(value: unknown): string | undefined {
  if (!isObject(value)) return undefined;
  const keys = Object.keys(value);
  const [key] = valueKeys.filter((name) => name in value);
  if (key === undefined || isObject(value[key])) return undefined;
  return keys.every((name) => name === key || besideValue.test(name)) ? key : undefined;
}

/** What a topic's payloads are: a value as it stands, an object with one, or more. */
export function formOf({ payloads }: Heard): "none" | "bare" | "rows" | { key: string } {
  const some = payloads.map(({ value }) => value).filter((value) => value !== "");
  if (some.length === 0) return "none";
  const key = some.map(wrapper).find((name) => name !== undefined);
  if (key !== undefined && some.every((value) => wrapper(value) === key)) return { key };
  return some.some((value) => !isScalar(value)) ? "rows" : "bare";
}

/** Collects messages by their topics, with a sample of each. */
export class Topics {
  /** Messages on topics beyond the most that are told apart. */
  beyond = 0;
  private readonly byTopic = new Map<string, Heard>();

  add({ topic, payload, time }: Recorded): void {
    const known = this.byTopic.get(topic);
    if (!known && this.byTopic.size >= mostTopics) {
      this.beyond += 1;
      return;
    }
    const heard = known ?? { topic, levels: topic.split("/"), count: 0, payloads: [] };
    this.byTopic.set(topic, heard);
    heard.count += 1;
    if (heard.payloads.length < mostPayloads) heard.payloads.push({ value: parsed(payload), time });
  }

  get all(): Heard[] {
    return [...this.byTopic.values()].sort((a, b) => (a.topic < b.topic ? -1 : 1));
  }
}

function parsed(payload: string): unknown {
  const text = payload.trim();
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
