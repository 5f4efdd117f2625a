import { first, type Measurement, type Model, sourcesOf, type Source } from "../../configs/model";
import { fillTopic } from "../../configs/message";
import { InputError } from "../../configs/validation";

/** A row of the file as it is published. */
export interface Message {
  topic: string;
  payload: string;
  /** When it is due: the time of its recording, else the event's own, in ms since 1970. */
  time: number;
}

/**
 * A message and the row of the file that it is, counted from 1 without the header and without empty
 * lines.
 */
export interface Row {
  number: number;
  message: Message;
}

/** A row that is no message of this model, and why. */
export class PassedOver {
  constructor(readonly reason: string) {}
}

/** The marks that numbers of a CSV file can have before their fraction. */
export const decimals = [".", ","] as const;
export type Decimal = (typeof decimals)[number];

/** What the command line tells about the messages. */
export interface Choices {
  /** The only measurement that rows are read as. */
  measurement?: string | undefined;
  /** What every `+` level of a topic is filled with. Default: 1. */
  unit?: string | undefined;
  /** Values of tags that the file lacks, by the tag's name. */
  tags: Record<string, string>;
  /** JSON paths of a CSV file's columns that have another name. */
  map: Record<string, string>;
  /** Columns of a CSV file that are left out; `*` is every one that is not declared. */
  ignore: string[];
  /** What a CSV file's numbers have before their fraction. Default: what its cells show. */
  decimal?: Decimal | undefined;
}

/** Told what is no error. */
export type Note = (text: string) => void;

export const refuse = (source: string, ...findings: string[]): never => {
  throw new InputError(source, findings);
};

/** Refuses a row; who reads the file knows which it is. */
export const bad = (...findings: string[]): never => refuse("the row", ...findings);

const names = (of: { name: string }[]): string => of.map((item) => item.name).join(", ");

/**
 * The measurement that rows without a topic of their own are read as.
 * @throws InputError if it is not declared, or if the model has several and none is chosen.
 */
export function chooseMeasurement(model: Model, chosen?: string): Measurement {
  const { measurements } = model;
  const found =
    measurements.length === 1 && chosen === undefined
      ? measurements[0]
      : measurements.find((m) => m.name === chosen);
  return (
    found ??
    refuse(
      "the command line",
      `--measurement is ${chosen ?? "missing"}: the model ${model.name} has ${names(measurements)}`,
    )
  );
}

/** A tag that is in the payload, and where. */
export interface PayloadTag {
  name: string;
  path: string;
  /** Whether a message without it is dropped. */
  required: boolean;
}

/** The tags of a form that are in the payload. */
export const payloadTags = ({ tags }: Source): PayloadTag[] =>
  tags.flatMap(({ tag: { name, optional, default: fallback }, place }) =>
    place?.path === undefined
      ? []
      : [{ name, path: place.path, required: !optional && fallback === undefined }],
  );

/**
 * The topic that rows of the measurement are published to.
 * @throws InputError if the command line gives a tag that the measurement does not have.
 */
export function topicOf(measurement: Measurement, { tags, unit }: Choices, note: Note): string {
  const unknown = Object.keys(tags).filter(
    (name) => !measurement.tags.some((tag) => tag.name === name),
  );
  if (unknown.length > 0)
    refuse(
      "the command line",
      ...unknown.map(
        (name) =>
          `--tag ${name}=${tags[name]} is no tag of ${measurement.name}: ` +
          `it has ${names(measurement.tags)}`,
      ),
    );
  let used = false;
  const topic = fillTopic(measurement, (tag) => {
    const own = tag && tags[tag.name];
    used ||= own === undefined;
    return own ?? unit ?? "1";
  });
  if (unit !== undefined && !used) note(`--unit ${unit} has no effect: the topic is ${topic}`);
  return topic;
}

/** The form that a file's rows are published in. */
export const formOf = (measurement: Measurement): Source => first(sourcesOf(measurement));
