import { place, valueAt } from "../../configs/message";
import type { Measurement, Model } from "../../configs/model";
import { type Drop, readerOf, reasons, recordedPayload } from "../../configs/reading";
import { readRecorded } from "../recording";
import {
  bad,
  type Choices,
  chooseMeasurement,
  formOf,
  type Message,
  type Note,
  PassedOver,
  payloadTags,
  topicOf,
} from "./messages";

/** Whether a line is a recorded message. */
export const isRecorded = ({ text }: { text: string }): boolean => readRecorded(text) !== undefined;

const milliseconds = (nanoseconds: bigint): number => Number(nanoseconds / 1000n) / 1000;

const now = (): bigint => BigInt(Date.now()) * 1_000_000n;

/** Why the site would store nothing of a message, or not at its time. */
const told = ({ table, field, reason }: Drop): string =>
  `${table}${field === "" ? "" : `.${field}`}: ${reason}`;

/**
 * Makes the messages of an NDJSON file. A line is a payload; or it is a recorded message
 * `{"topic": …, "payload": …}`, which goes to its own topic. A tag from `choices` fills in for one
 * that a line lacks. What a message is, the site's own reading of it says.
 */
export class NdjsonMessages {
  /** Makes the message of a line. @throws InputError with what is wrong with one that is a payload. */
  readonly make: (line: { text: string }) => Message | PassedOver;
  private readonly read: ReturnType<typeof readerOf>;
  private timeless = false;

  /**
   * @param recording whether the lines are recorded messages, and all others are foreign.
   * @throws InputError if lines are payloads, and their measurement is not clear.
   */
  constructor(
    model: Model,
    private readonly choices: Choices,
    recording: boolean,
    private readonly note: Note,
  ) {
    const { measurement: name, unit } = choices;
    if (recording) {
      const chosen = name === undefined ? model.measurements : [chooseMeasurement(model, name)];
      this.read = readerOf({ ...model, measurements: chosen });
      if (unit !== undefined)
        note(`--unit ${unit} has no effect: each line goes to the topic that it was recorded with`);
      this.make = ({ text }) => this.ofRecorded(text);
    } else {
      const measurement = chooseMeasurement(model, name);
      const topic = topicOf(measurement, choices, note);
      this.read = readerOf({ ...model, measurements: [measurement] });
      this.make = ({ text }) => this.ofPayload(measurement, topic, text);
    }
  }

  private ofPayload(measurement: Measurement, topic: string, text: string): Message {
    const payload = this.tagged([measurement], text);
    const { points, drops } = this.read(topic, payload, now());
    const [point] = points;
    const lost = drops.filter(({ field }) => point === undefined || field === "time");
    if (lost.length > 0 || !point)
      return bad(
        ...lost.map((drop) =>
          drop.reason === reasons.identity
            ? `${told(drop)}: write it in the line, or give it for all with --tag ${drop.field}=VALUE`
            : `${told(drop)}${drop.example === "" ? "" : `: ${drop.example}`}`,
        ),
      );
    if (point.time !== undefined) return { topic, payload, time: milliseconds(point.time) };
    if (!this.timeless)
      this.note("the rows have no time of their own: they are stored at the time of the replay");
    this.timeless = true;
    return { topic, payload, time: 0 };
  }

  /** A recording is of a whole broker: what is none of the model's, or is broken, is foreign. */
  private ofRecorded(text: string): Message | PassedOver {
    const line = readRecorded(text);
    if (!line) return new PassedOver("not a recorded message");
    const { topic, retained, time } = line;
    const first = this.read(topic, line.payload, time ?? now());
    if (first.subscriptions.length === 0)
      return new PassedOver(`no measurement has the topic ${topic}`);
    const payload = this.tagged(
      first.subscriptions.flatMap(({ measurements }) => measurements),
      line.payload,
    );
    const { points, drops } =
      payload === line.payload ? first : this.read(topic, payload, time ?? now());
    const [point] = points;
    if (!point) return new PassedOver(`${topic}: ${drops.map(told).join("; ")}`);
    if (points.every((each) => each.time !== undefined))
      return { topic, payload, time: milliseconds(time ?? point.time ?? 0n) };
    if (retained) return new PassedOver(`${topic}: retained, and of unknown age`);
    if (time === undefined)
      return new PassedOver(`${topic}: no time of its own, and none of its recording`);
    return { topic, payload: recordedPayload(time, payload), time: milliseconds(time) };
  }

  /** A payload with the tags from the command line that it lacks. */
  private tagged(measurements: Measurement[], payload: string): string {
    const given = Object.entries(this.choices.tags);
    if (given.length === 0) return payload;
    try {
      const object = JSON.parse(payload) as Record<string, unknown> | null;
      if (typeof object !== "object" || object === null || Array.isArray(object)) return payload;
      const lacking = measurements
        .flatMap((measurement) => payloadTags(formOf(measurement)))
        .filter(
          ({ name, path }) =>
            given.some(([tag]) => tag === name) && valueAt(object, path) === undefined,
        );
      for (const { name, path } of lacking) place(object, path, this.choices.tags[name]);
      return lacking.length === 0 ? payload : JSON.stringify(object);
    } catch {
      return payload;
    }
  }
}
