import {
  first,
  pathOf,
  sourcesOf,
  topicMatches,
  topicsOf,
  type Field,
  type Measurement,
  type Model,
} from "../../configs/model";
import type { Time } from "../../configs/payload";
import { eventTime } from "../../configs/reading";
import { InputError } from "../../configs/validation";
import { fillTopic, place, valueAt, type Json } from "../../configs/message";

/** A row of the file as it is published. */
export interface Message {
  topic: string;
  /** JSON. */
  payload: string;
  /** The event's own time, in ms since 1970. */
  time: number;
}

/** What the command line tells about the messages. */
export interface Choices {
  /** The only measurement that rows are read as. */
  measurement?: string | undefined;
  /** What every `+` level of a topic is filled with. */
  unit: string;
  /** Values of tags that the file lacks, by the tag's name. */
  tags: Record<string, string>;
}

type Tag = Measurement["tags"][number];

/** Reads one value of a file; undefined where it is none of this kind. */
type Reader = (text: string) => unknown;

const numeric = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

const readNumber: Reader = (text) =>
  numeric.test(text.trim()) && Number.isFinite(Number(text)) ? Number(text) : undefined;

const readers: Record<Field["type"], { read: Reader; allowed: string }> = {
  float: { read: readNumber, allowed: "write a number" },
  int: {
    read: (text) => {
      const value = readNumber(text);
      return Number.isInteger(value) ? value : undefined;
    },
    allowed: "write a whole number",
  },
  bool: {
    read: (text) =>
      ({ true: true, false: false, "1": true, "0": false })[text.trim().toLowerCase()],
    allowed: "write true, false, 1 or 0",
  },
  string: { read: (text) => text, allowed: "write a text" },
};

const timeAllowed: Partial<Record<string, string>> = {
  iso8601: "write a time such as 2023-04-13T00:00:00Z; one without a zone is UTC",
  unix: "write seconds since 1970",
  unix_ms: "write milliseconds since 1970",
  unix_us: "write microseconds since 1970",
  unix_ns: "write nanoseconds since 1970",
};

const refuse = (source: string, ...findings: string[]): never => {
  throw new InputError(source, findings);
};

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

/** The time of a measurement's first form, which a file's rows are published in. */
function timeIn(measurement: Measurement): Time & { path: string } {
  const { time, each, names } = first(sourcesOf(measurement));
  const plain = each.length === 0 && names === undefined;
  return time && typeof time.path === "string" && plain
    ? { ...time, path: time.path }
    : refuse(
        "the model",
        `${measurement.name} has no plain JSON payload with a time, which rows could be published as`,
      );
}

const allowedTime = ({ format }: Time): string => timeAllowed[format] ?? `write it as ${format}`;

/** The paths of a payload's time and values, and of its tags, that a file can have as columns. */
const pathsOf = (measurement: Measurement): string[] => [
  timeIn(measurement).path,
  ...measurement.tags.flatMap((tag) => tag.path ?? []),
  ...measurement.fields.map(pathOf),
];

/** Tags given on the command line, refused where the model has no such tag. */
function givenTags(
  measurement: Measurement,
  { tags }: Choices,
): (name: string) => string | undefined {
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
  return (name) => tags[name];
}

/** The topic that rows of the measurement are published to. */
function topicOf(measurement: Measurement, choices: Choices): string {
  const given = givenTags(measurement, choices);
  return fillTopic(measurement, (tag) => (tag && given(tag.name)) ?? choices.unit);
}

const inPayload = (measurement: Measurement) =>
  measurement.tags.filter((tag): tag is Tag & { path: string } => tag.path !== undefined);

/** Whether a message without the tag would be dropped. */
const isNeeded = (tag: Tag) => !tag.optional && tag.default === undefined;

/**
 * What is wrong with a header, found before a row is sent.
 * A field that the file lacks is no finding: a message need not carry every field.
 */
function headerFindings(measurement: Measurement, header: string[], choices: Choices): string[] {
  const given = givenTags(measurement, choices);
  const allowed = pathsOf(measurement);
  const fields = measurement.fields.map(pathOf);
  const findings = header.flatMap((column, i) => {
    if (!allowed.includes(column))
      return [
        `column ${i + 1} is "${column}", which ${measurement.name} does not declare; ` +
          `allowed: ${allowed.join(", ")}`,
      ];
    return header.indexOf(column) < i
      ? [`column ${i + 1} is "${column}" again: write each column once`]
      : [];
  });
  if (!header.includes(timeIn(measurement).path))
    findings.push(
      `column "${timeIn(measurement).path}" is missing: it is the time of ${measurement.name}`,
    );
  for (const tag of inPayload(measurement)) {
    const { name, path } = tag;
    const [inFile, onLine] = [header.includes(path), given(name) !== undefined];
    if (inFile && onLine)
      findings.push(`column "${path}" is the tag ${name} already: leave --tag ${name} away`);
    if (!inFile && !onLine && isNeeded(tag))
      findings.push(`column "${path}" is missing: give it for all rows with --tag ${name}=VALUE`);
  }
  if (!fields.some((path) => header.includes(path)))
    findings.push(`no column holds a field: ${measurement.name} has ${fields.join(", ")}`);
  return findings;
}

/** The event's time of a payload, in ms since 1970, or a refusal. */
function timeOf(measurement: Measurement, value: unknown, source: string): number {
  const time = timeIn(measurement);
  const now = BigInt(Date.now()) * 1_000_000n;
  const read = value === undefined ? undefined : eventTime([String(value)], time, now);
  return read === undefined
    ? refuse(source, `${time.path} is ${JSON.stringify(value) ?? "missing"}: ${allowedTime(time)}`)
    : Number(read / 1000n) / 1000;
}

/** The fields of a measurement that a CSV file with this header leaves empty, by their paths. */
export const absentFields = (measurement: Measurement, header: string[]): string[] =>
  measurement.fields.map(pathOf).filter((path) => !header.includes(path));

interface Column {
  path: string;
  read: Reader;
  allowed: string;
}

/** How the cells of each column are read: a time stays a text only where its format is one. */
function columnsOf(measurement: Measurement, header: string[]): Column[] {
  return header.map((path) => {
    const field = measurement.fields.find((f) => pathOf(f) === path);
    if (field) return { path, ...readers[field.type] };
    const time = timeIn(measurement);
    if (path === time.path)
      return {
        path,
        read: time.format === "iso8601" ? readers.string.read : readNumber,
        allowed: allowedTime(time),
      };
    return { path, ...readers.string };
  });
}

/**
 * Makes the messages of a CSV file, whose header names JSON paths.
 * The returned function makes one of a row's cells; an empty cell is left away. `source` names the
 * row in a refusal.
 * @throws InputError with everything that is wrong with the header, or with a row.
 */
export function csvMessages(
  measurement: Measurement,
  header: string[],
  choices: Choices,
): (cells: string[], source: string) => Message {
  const findings = headerFindings(measurement, header, choices);
  if (findings.length > 0) refuse("the header", ...findings);
  const topic = topicOf(measurement, choices);
  const columns = columnsOf(measurement, header);
  const constant = inPayload(measurement).filter((tag) => choices.tags[tag.name] !== undefined);
  return (cells, source) => {
    const payload: Json = {};
    columns.forEach(({ path, read, allowed }, i) => {
      const cell = cells[i];
      if (cell === undefined || cell === "") return;
      const value = read(cell);
      if (value === undefined) refuse(source, `${path} is ${JSON.stringify(cell)}: ${allowed}`);
      place(payload, path, value);
    });
    for (const tag of constant) place(payload, tag.path, choices.tags[tag.name]);
    return {
      topic,
      time: timeOf(measurement, valueAt(payload, timeIn(measurement).path), source),
      payload: JSON.stringify(payload),
    };
  };
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function readObject(text: string, source: string, what: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return refuse(source, `${what} is no JSON: ${(error as Error).message}`);
  }
  return isObject(value)
    ? value
    : refuse(source, `${what} is ${JSON.stringify(value).slice(0, 80)}: write a JSON object`);
}

/**
 * A recorded line, as `mosquitto_sub -F %j` or `-F %J` writes it; undefined if the line is a payload
 * itself.
 */
function recorded(line: Json, source: string): { topic: string; payload: Json } | undefined {
  const { topic, payload } = line;
  if (typeof topic !== "string" || payload === undefined) return undefined;
  if (isObject(payload)) return { topic, payload };
  return typeof payload === "string"
    ? { topic, payload: readObject(payload, source, "payload") }
    : refuse(source, `payload is ${JSON.stringify(payload)}: write a JSON object`);
}

/** What a payload of the measurement lacks so that it could not be stored. */
function payloadFindings(measurement: Measurement, payload: Json): string[] {
  const missing = inPayload(measurement).filter(
    (tag) => isNeeded(tag) && valueAt(payload, tag.path) === undefined,
  );
  const fields = measurement.fields.map(pathOf);
  return [
    ...missing.map(
      (tag) =>
        `${tag.path} is missing: write it in the line, ` +
        `or give it for all with --tag ${tag.name}=VALUE`,
    ),
    ...(fields.some((path) => valueAt(payload, path) !== undefined)
      ? []
      : [`no field is in the line: ${measurement.name} has ${fields.join(", ")}`]),
  ];
}

/**
 * Makes the messages of NDJSON lines. A line is a payload, or a recorded message
 * `{"topic": …, "payload": …}`, which goes to its own topic. A tag from `choices` fills in for one
 * that a line lacks.
 * @throws InputError naming what is wrong with a line, by `source`.
 */
export function ndjsonMessages(
  model: Model,
  choices: Choices,
): (line: string, source: string) => Message {
  const read = (
    measurement: Measurement,
    topic: string,
    payload: Json,
    source: string,
  ): Message => {
    for (const tag of inPayload(measurement)) {
      const given = choices.tags[tag.name];
      if (given !== undefined && valueAt(payload, tag.path) === undefined)
        place(payload, tag.path, given);
    }
    const findings = payloadFindings(measurement, payload);
    if (findings.length > 0) refuse(source, ...findings);
    return {
      topic,
      time: timeOf(measurement, valueAt(payload, timeIn(measurement).path), source),
      payload: JSON.stringify(payload),
    };
  };
  const measurementOf = (topic: string, source: string): Measurement => {
    const candidates =
      choices.measurement === undefined
        ? model.measurements
        : [chooseMeasurement(model, choices.measurement)];
    const found = candidates.find((m) =>
      topicsOf(m).some((pattern) => topicMatches(pattern, topic)),
    );
    return (
      found ??
      refuse(
        source,
        `topic is "${topic}": the model ${model.name} has ` +
          candidates.flatMap(topicsOf).join(", "),
      )
    );
  };
  return (line, source) => {
    const object = readObject(line, source, "the line");
    const message = recorded(object, source);
    if (message)
      return read(measurementOf(message.topic, source), message.topic, message.payload, source);
    const measurement = chooseMeasurement(model, choices.measurement);
    return read(measurement, topicOf(measurement, choices), object, source);
  };
}
