import type { Time } from "../../configs/payload";
import { escapedKey } from "../../configs/payload";
import { formOf, type Heard, isObject } from "./heard";
import {
  type Guess,
  guessField,
  guessTime,
  timeKey,
  identifierOf,
  median,
  type Sample,
  sentenceOf,
  wordsOf,
} from "./guess";

/** Where a text is, as a model says it. */
interface PlaceDraft {
  path?: string;
  segment?: number | "#";
  key?: true;
  index?: number;
  optional?: true;
  split?: string;
  part?: number;
}

/** A field, and what was seen of it. */
export interface FieldDraft {
  name: string;
  path?: string;
  guess: Guess;
  meaning: string;
  seen: string;
}

/** A measurement as it is proposed. */
export interface Draft {
  name: string;
  meaning: string;
  topics: string[];
  interval: string;
  time: Pick<Time, "path" | "format" | "zone"> | undefined;
  each?: string;
  names?: PlaceDraft;
  value?: string;
  tags: ({ name: string; meaning: string } & PlaceDraft)[];
  fields: FieldDraft[];
}

/** What is proposed, and the topics that nothing is proposed for. */
export interface Proposal {
  drafts: Draft[];
  unused: Heard[];
}

/** Topics that tell whether a gateway is there. */
const presence = /(^|\/)(lwt|availability|online|connected|will|birth)$/i;

/** Proposes measurements for what was heard. */
export function propose(heard: Heard[]): Proposal {
  const groups = new Map<string, Heard[]>();
  const rows: Heard[] = [];
  const unused: Heard[] = [];
  for (const topic of heard) {
    const form = formOf(topic);
    if (form === "none" || presence.test(topic.topic)) unused.push(topic);
    else if (form === "rows") rows.push(topic);
    else push(groups, form === "bare" ? "" : form.key, topic);
  }
  const drafts = [
    ...[...groups].flatMap(([key, topics]) => valueDrafts(topics, key, unused)),
    ...clustered(
      kindsOf(rows),
      ([a], [b]) => a !== undefined && b !== undefined && alike(a, b),
    ).flatMap((kinds) => rowDrafts(kinds.flat())),
  ].filter(({ fields }) => fields.length > 0);
  const names = new Set<string>();
  for (const draft of drafts) draft.name = unique(draft.name, names);
  return { drafts, unused };
}

/* Topics that carry one value each. */

/** Share of topics that have the commonest depth, where the depth is taken to be fixed. */
const fixedShare = 0.8;

function valueDrafts(topics: Heard[], key: string, unused: Heard[]): Draft[] {
  const depths = new Map<number, Heard[]>();
  for (const topic of topics) push(depths, topic.levels.length, topic);
  const [commonest = []] = [...depths.values()].sort((a, b) => b.length - a.length);
  if (commonest.length < topics.length * fixedShare && topics.length > 4) {
    const roots = new Map<string, Heard[]>();
    for (const topic of topics) push(roots, topic.levels[0] ?? "", topic);
    return [...roots.values()].flatMap((some) => deepDrafts(some, key, unused));
  }
  unused.push(...topics.filter((topic) => !commonest.includes(topic)));
  // Gateways of one kind have the same topics below their own level.
  const byRoot = new Map<string, Heard[]>();
  for (const topic of commonest) push(byRoot, topic.levels[0] ?? "", topic);
  const below = (some: Heard[]) => new Set(some.map(({ levels }) => levels.slice(1).join("/")));
  return clustered([...byRoot.values()], (a, b) => overlap(below(a), below(b)) >= 0.3).flatMap(
    (group) => flatDrafts(group.flat(), key),
  );
}

/** Topics of one depth: a level is the value's name, others tell units or kinds of them. */
function flatDrafts(topics: Heard[], key: string): Draft[] {
  const depth = topics[0]?.levels.length ?? 0;
  const valuesAt = (i: number) => [...new Set(topics.map(({ levels }) => levels[i] ?? ""))];
  const score = (i: number) =>
    valuesAt(i).length + 2 * valuesAt(i).filter((name) => isReading(name, topics, i)).length;
  const indices = Array.from({ length: depth }, (_, i) => i);
  const nameAt = indices.reduce((best, i) => (score(i) >= score(best) ? i : best), 0);
  const varying = indices.filter((i) => i !== nameAt && valuesAt(i).length > 1);
  const namesAt = (i: number, value: string) =>
    new Set(
      topics.filter(({ levels }) => levels[i] === value).map(({ levels }) => levels[nameAt] ?? ""),
    );
  const kinds = varying.map((i) => ({
    i,
    clusters: clustered(
      valuesAt(i),
      (a, b) =>
        (stem(a) === stem(b) && stem(a) !== a) || overlap(namesAt(i, a), namesAt(i, b)) >= 0.5,
    ),
  }));
  const units = kinds.filter(({ clusters }) => clusters.length === 1).map(({ i }) => i);
  const split = kinds.find(({ clusters }) => clusters.length > 1);
  const isKind =
    split !== undefined && units.length > 0 && split.clusters.every((one) => one.length === 1);
  const parts = split && !isKind ? split.clusters : [undefined];
  return parts.map((values) => {
    const own = topics.filter(
      ({ levels }) => !values || !split || values.includes(levels[split.i] ?? ""),
    );
    const pattern = ({ levels }: Heard) =>
      levels.map((level, i) => (i === nameAt || units.includes(i) ? "+" : level)).join("/");
    const tagged = [...units, ...(split && !isKind ? [split.i] : [])];
    // A gateway has an identity, if only by a level that never changes.
    const segments = tagged.length > 0 ? tagged : indices.filter((i) => i !== nameAt).slice(0, 1);
    const first = values?.[0];
    return {
      name: identifierOf(first === undefined ? literal(own, nameAt) : stem(first), "unit"),
      meaning: `Values on ${[...new Set(own.map(pattern))].join(", ")}.`,
      topics: [...new Set(own.map(pattern))],
      names: { segment: nameAt },
      tags: segments.map((i, n) => segmentTag(i, n === segments.length - 1 ? "id" : `level_${i}`)),
      ...valuePart(own, key, ({ levels }) => levels[nameAt] ?? ""),
    };
  });
}

/** Topics of any depth below a unit: all that follows is the value's name. */
function deepDrafts(topics: Heard[], key: string, unused: Heard[]): Draft[] {
  const numeric = topics.map(({ levels }) => levels.findIndex((level) => /^\d+$/.test(level)));
  const known = numeric.filter((i) => i > 0);
  const at = median(known);
  const hasUnits = known.filter((i) => i === at).length >= topics.length * 0.6;
  const depth = Math.min(...topics.map(({ levels }) => levels.length));
  const constant = (i: number) => topics.every(({ levels }) => levels[i] === topics[0]?.levels[i]);
  const shared = Array.from({ length: depth - 1 }, (_, i) => i).filter((i) => constant(i)).length;
  const from = hasUnits ? at + 1 : Math.max(1, shared);
  const own = topics.filter(
    (topic, i) => topic.levels.length > from && (!hasUnits || numeric[i] === at),
  );
  unused.push(...topics.filter((topic) => !own.includes(topic)));
  const kinds = new Map<string, Heard[]>();
  for (const topic of own)
    push(kinds, hasUnits ? topic.levels.slice(0, at).map(general).join("/") : "", topic);
  return [...kinds.values()].map((some) => {
    const levels = some[0]?.levels.slice(0, from) ?? [];
    const open = levels.map((level, i) => (hasUnits && i === at ? "+" : general(level)));
    const tags = open.flatMap((level, i) => (level === "+" ? [i] : []));
    const segments = tags.length > 0 ? tags : [from - 1];
    return {
      name: identifierOf(open.filter((level) => level !== "+").at(-1) ?? "unit", "unit"),
      meaning: `Values below ${open.join("/")}.`,
      topics: [`${open.join("/")}/#`],
      names: { segment: "#" as const },
      tags: segments.map((i, n) => segmentTag(i, n === segments.length - 1 ? "id" : `level_${i}`)),
      ...valuePart(some, key, (topic) => topic.levels.slice(from).join("/")),
    };
  });
}

const segmentTag = (segment: number, name: string) => ({
  name,
  segment,
  meaning: `Segment ${segment} of the topic.`,
});

/** What is known of values that have a topic each. */
function valuePart(
  topics: Heard[],
  key: string,
  nameOf: (topic: Heard) => string,
): Pick<Draft, "interval" | "time" | "fields"> & Partial<Draft> {
  const names = new Map<string, unknown[]>();
  const samples: Sample[] = [];
  for (const topic of topics)
    for (const { value, time } of topic.payloads) {
      const one = key === "" ? value : isObject(value) ? value[key] : undefined;
      pushAll(names, nameOf(topic), [one]);
      if (isObject(value)) samples.push({ values: leavesOf(value), time });
    }
  const paths = [...new Set(samples.flatMap(({ values }) => [...values.keys()]))];
  return {
    interval: intervalOf(topics),
    time: guessTime(paths, samples),
    ...(key !== "" && { value: key }),
    fields: fieldsOf(names, true),
  };
}

/* Topics that carry more. */

/** Topics that differ in numbers alone. */
function kindsOf(topics: Heard[]): Heard[][] {
  const kinds = new Map<string, Heard[]>();
  for (const topic of topics)
    push(kinds, [...topic.levels.map(general), ...[...topKeys(topic)].sort()].join("/"), topic);
  return [...kinds.values()];
}

/** Whether two topics have messages of one shape. */
function alike(a: Heard, b: Heard): boolean {
  if (a.levels.length !== b.levels.length) return false;
  const differ = a.levels.filter((level, i) => level !== b.levels[i]).length;
  const [keysA, keysB] = [topKeys(a), topKeys(b)];
  return differ <= 2 && overlap(keysA, keysB) >= 0.5;
}

/** Keys of the payloads, but those that every gateway has. */
const topKeys = ({ payloads }: Heard): Set<string> =>
  new Set(
    payloads
      .flatMap(({ value }) => (isObject(value) ? Object.keys(value) : ["[]"]))
      .filter((key) => !idKey.test(key) && !timeKey.test(key)),
  );

/** A list of rows in a payload, or an object of them. */
interface Rows {
  path: string;
  keyed: boolean;
  rows: { row: unknown; key: string; root: unknown; time: bigint | undefined }[];
}

function rowDrafts(topics: Heard[]): Draft[] {
  const [example] = topics;
  if (!example) return [];
  const open = example.levels.map((level, i) =>
    topics.some(({ levels }) => levels[i] !== level) || isNumbered(level) ? "+" : level,
  );
  const topic = open.join("/");
  const segments = open.flatMap((level, i) => (level === "+" ? [i] : []));
  const found = rowsIn(topics);
  const shared = { topics: [topic], interval: intervalOf(topics) };
  const around = topics.flatMap(({ payloads }) =>
    payloads.map(({ value, time }) => ({
      values: isObject(value) ? leavesOf(value, found && [found.path]) : new Map<string, unknown>(),
      time,
    })),
  );
  const aroundPaths = [...new Set(around.flatMap(({ values }) => [...values.keys()]))];
  const time = guessTime(aroundPaths, around);
  const base = literal(topics, -1);
  const outer = plainDraft({
    ...shared,
    name: base,
    samples: around,
    paths: aroundPaths,
    time,
    segments,
  });
  if (!found) return [outer];
  const inner = listDrafts(found, { ...shared, base, segments }, time, aroundPaths, around);
  // What stands around a list of names is its time, and seldom more.
  const tells = outer.fields.some(({ guess }) => guess.type !== "string");
  return inner.some(({ names }) => names) || !tells ? inner : [outer, ...inner];
}

interface Plain {
  name: string;
  topics: string[];
  interval: string;
  samples: Sample[];
  paths: string[];
  time: Draft["time"];
  segments: number[];
}

/** A measurement whose message is one row. */
function plainDraft({ name, topics, interval, samples, paths, time, segments }: Plain): Draft {
  const timePaths = time ? [time.path].flat() : [];
  const values = new Map<string, unknown[]>();
  for (const sample of samples)
    for (const [path, value] of sample.values)
      if (!timePaths.includes(path)) pushAll(values, path, [value]);
  const ids = idPaths(paths, values);
  ids.forEach((path) => values.delete(path));
  const isEverywhere = (path: string) => samples.every((sample) => sample.values.has(path));
  const tags = ids
    .map((path) => ({
      name: tagName(path),
      path,
      ...(!isEverywhere(path) && { optional: true as const }),
      meaning: `Identity, as ${path}.`,
    }))
    .sort((a, b) => Number(a.optional ?? false) - Number(b.optional ?? false));
  const varying = segments.map((i, n) => segmentTag(i, n === 0 ? "id" : `level_${i}`));
  return {
    name: identifierOf(name, "unit"),
    meaning: `Messages on ${topics.join(", ")}.`,
    topics,
    interval,
    time,
    tags: tags.length > 0 ? tags : varying.length > 0 ? varying : [segmentTag(0, "id")],
    fields: fieldsOf(values, false),
  };
}

/** Measurements whose messages are lists of rows: units, or names and values. */
function listDrafts(
  { path, keyed, rows }: Rows,
  {
    topics,
    interval,
    base,
    segments,
  }: Pick<Draft, "topics" | "interval"> & { base: string; segments: number[] },
  time: Draft["time"],
  aroundPaths: string[],
  around: Sample[],
): Draft[] {
  const samples = rows.map(({ row, time: at }) => ({
    values: isObject(row) ? leavesOf(row) : new Map([["@", row]]),
    time: at,
  }));
  const paths = [...new Set(samples.flatMap(({ values }) => [...values.keys()]))];
  const own = guessTime(paths, samples);
  const outside = time && {
    ...time,
    path: Array.isArray(time.path) ? time.path.map(fromRoot) : fromRoot(time.path),
  };
  const common = { topics, interval, each: path, time: own ?? outside };
  const around_ = new Map<string, unknown[]>();
  for (const { values } of around)
    for (const [key, value] of values) pushAll(around_, key, [value]);
  const outerTags = [
    ...idPaths(aroundPaths, around_).map((id) => ({
      name: tagName(id),
      path: fromRoot(id),
      meaning: `Identity, as ${id} around the list.`,
    })),
    ...segments.map((i) => segmentTag(i, `level_${i}`)),
  ].slice(0, 1);
  const pair = keyed ? undefined : pairOf(samples);
  if (pair) return nameDrafts(pair, samples, common, base, outerTags);
  const values = new Map<string, unknown[]>();
  const timePaths = own ? [own.path].flat() : [];
  for (const { values: leaves } of samples)
    for (const [key, value] of leaves) if (!timePaths.includes(key)) pushAll(values, key, [value]);
  const ids = keyed ? [] : idPaths(paths, values).slice(0, 1);
  ids.forEach((id) => values.delete(id));
  const [id] = ids;
  const tag = keyed
    ? { name: "id", key: true as const, meaning: "Key of the unit." }
    : id === undefined
      ? { name: "id", index: 1, meaning: "Number of the unit in the list." }
      : { name: tagName(id), path: id, meaning: `Identity of the unit, as ${id}.` };
  const last = path === "$" ? base : (wordsOf(path).at(-1) ?? base);
  return [
    {
      ...common,
      name: identifierOf(last.replace(/s$/, ""), "unit"),
      meaning: `Units in ${path} of ${topics.join(", ")}.`,
      tags: [tag, ...outerTags.filter(({ name }) => name !== tag.name)],
      fields: fieldsOf(values, false),
    },
  ];
}

/** Measurements of a list of names and values, one for each kind of unit in the names. */
function nameDrafts(
  pair: { name: string; value: string },
  samples: Sample[],
  common: Pick<Draft, "topics" | "interval" | "time"> & { each: string },
  base: string,
  outerTags: Draft["tags"],
): Draft[] {
  const named = samples.map(({ values }) => ({
    name: String(values.get(pair.name)),
    value: values.get(pair.value),
  }));
  const separator = [".", "/", "|", ":", "_"].find((sign) => {
    const parts = named.map(({ name }) => name.split(sign).length);
    return (parts[0] ?? 0) > 1 && parts.every((count) => count === parts[0]);
  });
  const part = (name: string, i: number) =>
    separator === undefined ? name : (name.split(separator).at(i) ?? "");
  const count = separator === undefined ? 1 : (named[0]?.name.split(separator).length ?? 1);
  const unitAt = Array.from({ length: count - 1 }, (_, i) => i)
    .filter((i) => new Set(named.map(({ name }) => part(name, i))).size > 1)
    .at(-1);
  const kinds = new Map<string, typeof named>();
  for (const one of named)
    push(kinds, unitAt === undefined ? "" : stem(part(one.name, unitAt)), one);
  const names = { path: pair.name, ...(separator !== undefined && { split: separator, part: -1 }) };
  return [...kinds].map(([kind, some]) => {
    const values = new Map<string, unknown[]>();
    for (const { name, value } of some)
      pushAll(values, separator === undefined ? name : part(name, -1), [value]);
    const tag = {
      name: "id",
      path: pair.name,
      ...(separator !== undefined && { split: separator, part: unitAt ?? 0 }),
      meaning: `Unit, as a part of ${pair.name}.`,
    };
    return {
      ...common,
      name: identifierOf(kind === "" ? base : kind, "unit"),
      meaning: `Names and values in ${common.each} of ${common.topics.join(", ")}.`,
      names,
      value: pair.value,
      tags:
        separator === undefined && outerTags.length > 0
          ? outerTags
          : separator === undefined
            ? [segmentTag(0, "id")]
            : [tag],
      fields: fieldsOf(values, true),
    };
  });
}

/** Keys of a name and of a value, if the rows have these and little else. */
function pairOf(samples: Sample[]): { name: string; value: string } | undefined {
  const has = (key: string) => samples.every(({ values }) => values.has(key));
  const name = [
    "id",
    "name",
    "n",
    "key",
    "tag",
    "point",
    "signal",
    "metric",
    "variable",
    "Name",
    "Id",
  ].find((key) => has(key) && samples.every(({ values }) => typeof values.get(key) === "string"));
  const value = ["v", "value", "val", "Value", "V"].find(has);
  const names = new Set(samples.map(({ values }) => values.get(name ?? "")));
  return name !== undefined && value !== undefined && names.size > 1 ? { name, value } : undefined;
}

/** The largest list of objects in the payloads, or object of them; undefined without one. */
function rowsIn(topics: Heard[]): Rows | undefined {
  const found = new Map<string, Rows>();
  const add = (path: string, keyed: boolean, rows: Rows["rows"]) => {
    const known = found.get(path) ?? { path, keyed, rows: [] };
    known.rows.push(...rows);
    found.set(path, known);
  };
  const look = (value: unknown, keys: string[], root: unknown, time: bigint | undefined) => {
    const path = keys.map(escapedKey).join(".") || "$";
    const entries = isObject(value) ? Object.entries(value) : [];
    const rowsOf = (some: [string, unknown][]) =>
      some.map(([key, row]) => ({ row, key, root, time }));
    if (Array.isArray(value) && value.length > 0 && value.every(isObject))
      add(path, false, rowsOf(value.map((row, i) => [String(i), row])));
    else if (
      entries.length > 1 &&
      entries.every(([, row]) => isObject(row)) &&
      entries.every(([key]) => stem(key) === stem(entries[0]?.[0] ?? "") && stem(key) !== key)
    )
      add(path, true, rowsOf(entries));
    else if (keys.length < 2)
      for (const [key, inner] of entries) look(opened(inner), [...keys, key], root, time);
  };
  for (const { payloads } of topics)
    for (const { value, time } of payloads) look(opened(value), [], value, time);
  return [...found.values()].sort((a, b) => b.rows.length - a.rows.length)[0];
}

/** A text as the JSON that is in it. */
function opened(value: unknown): unknown {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}

/** Most elements of a list of plain values that are proposed as fields of their own. */
const mostElements = 64;

/** Values of an object by their paths. @param without paths that are passed over. */
function leavesOf(
  value: unknown,
  without: string[] = [],
  keys: string[] = [],
): Map<string, unknown> {
  const path = keys.map(escapedKey).join(".");
  const inner = opened(value);
  if (keys.length > 0 && without.includes(path)) return new Map();
  const entries: [string, unknown][] = isObject(inner)
    ? Object.entries(inner)
    : Array.isArray(inner)
      ? inner.slice(0, mostElements).map((one, i) => [String(i), one])
      : [];
  if (!isObject(inner) && !Array.isArray(inner)) return new Map(path === "" ? [] : [[path, inner]]);
  return new Map(entries.flatMap(([key, one]) => [...leavesOf(one, without, [...keys, key])]));
}

/* What all of them share. */

const idKey =
  /(^|[._\s-])(id|sn|serial|serial_?(no|number)|uid|uuid|mac|address|addr)$|(device|unit|module|rack|group|system|battery|inverter|string)_?id$/i;

/** Paths of what tells units apart. */
const idPaths = (paths: string[], values: Map<string, unknown[]>): string[] =>
  paths.filter((path) => {
    const some = (values.get(path) ?? []).filter((value) => value !== null && value !== "");
    const plain = some.every((value) => typeof value === "string" || Number.isInteger(value));
    return idKey.test(path) && some.length > 0 && plain;
  });

const tagName = (path: string): string => identifierOf(path.split(".").at(-1) ?? path, "id");

const fromRoot = (path: string): string => (path.startsWith("$") ? path : `$.${path}`);

/** Most fields of a measurement: InfluxDB takes 500 columns a table. */
const mostFields = 480;

/** Fields of what was seen by names or paths. */
function fieldsOf(values: Map<string, unknown[]>, byName: boolean): FieldDraft[] {
  const names = new Set<string>(["id"]);
  return [...values].slice(0, mostFields).flatMap(([key, seen]) => {
    const some = seen.filter(
      (value) => value !== null && value !== undefined && value !== "" && typeof value !== "object",
    );
    if (some.length === 0) return [];
    const plain = byName ? key : key.replaceAll("\\", "");
    const name = unique(identifierOf(plain), names);
    const path = byName ? escapedName(key) : key;
    return [
      {
        name,
        ...(path !== name && { path }),
        guess: guessField(plain, some),
        meaning: sentenceOf(plain),
        seen: seenText(some),
      },
    ];
  });
}

/** A name in a list of names, as a path's text. */
const escapedName = (name: string): string => name.replaceAll(/[.\\[\]]/g, "\\$&");

function seenText(values: unknown[]): string {
  const numbers = values.filter((value) => typeof value === "number");
  if (numbers.length === values.length) {
    const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
    return low === high ? String(low) : `${low} to ${high}`;
  }
  const texts = [...new Set(values.map((value) => JSON.stringify(value)))];
  return texts.slice(0, 4).join(", ").slice(0, 60) + (texts.length > 4 ? ", …" : "");
}

/** Intervals that a gateway is likely to have, in s. */
const intervals: [seconds: number, text: string][] = [
  [0.1, "100ms"],
  [0.5, "500ms"],
  [1, "1s"],
  [2, "2s"],
  [5, "5s"],
  [10, "10s"],
  [15, "15s"],
  [30, "30s"],
  [60, "1m"],
  [300, "5m"],
  [900, "15m"],
  [3600, "1h"],
];

/** The usual time between two messages on a topic. */
function intervalOf(topics: Heard[]): string {
  const gaps = topics.flatMap(({ payloads }) =>
    payloads.slice(1).flatMap(({ time }, i) => {
      const before = payloads[i]?.time;
      return time === undefined || before === undefined ? [] : [Number(time - before) / 1e9];
    }),
  );
  const usual = gaps.length === 0 ? 10 : median(gaps.filter((gap) => gap > 0.01));
  const away = ([seconds]: [number, string]) => Math.abs(Math.log(seconds / Math.max(usual, 0.1)));
  return intervals.reduce((best, one) => (away(one) < away(best) ? one : best))[1];
}

/** Whether a level's name is that of a reading. */
const isReading = (name: string, topics: Heard[], i: number): boolean => {
  const values = topics
    .filter(({ levels }) => levels[i] === name)
    .flatMap(({ payloads }) => payloads.map(({ value }) => value));
  return guessField(name, values).quantity !== undefined;
};

/** Levels that say nothing of a unit's kind. */
const generic =
  /^(status|state|data|telemetry|values?|json|sensors?|topic|get|info|live|realtime|measurements?|readings?|\+)$/i;

/** The last level that is the same everywhere and says something. */
function literal(topics: Heard[], except: number): string {
  const levels = topics[0]?.levels ?? [];
  const same = levels.filter(
    (level, i) =>
      i !== except &&
      !isNumbered(level) &&
      level !== "" &&
      topics.every((topic) => topic.levels[i] === level),
  );
  return same.filter((level) => !generic.test(level)).at(-1) ?? "unit";
}

/** Whether a level is an id: it ends with a digit, or is a long hexadecimal number. */
const isNumbered = (level: string): boolean =>
  /\d$/.test(level) || /^(?=.*\d)[0-9a-f]{8,}$/i.test(level);

const general = (level: string): string => (isNumbered(level) ? "+" : level);

/** A text without the number at its end. */
const stem = (text: string): string => text.replace(/[-_ .#:]*\d+$/, "");

/** Share of the smaller set that the other has too. */
function overlap(a: Set<string>, b: Set<string>): number {
  const smaller = Math.min(a.size, b.size);
  return smaller === 0 ? 0 : [...a].filter((one) => b.has(one)).length / smaller;
}

/** Groups in which each is like another. */
function clustered<T>(all: readonly T[], like: (a: T, b: T) => boolean): T[][] {
  const groups: T[][] = [];
  for (const one of all) {
    const near = groups.filter((group) => group.some((other) => like(one, other)));
    const merged = [...near.flat(), one];
    for (const group of near) groups.splice(groups.indexOf(group), 1);
    groups.push(merged);
  }
  return groups;
}

function unique(name: string, taken: Set<string>): string {
  let free = name;
  for (let n = 2; taken.has(free); n += 1) free = `${name}_${n}`;
  taken.add(free);
  return free;
}

const push = <K, T>(groups: Map<K, T[]>, key: K, one: T): void => pushAll(groups, key, [one]);

function pushAll<K, T>(groups: Map<K, T[]>, key: K, some: T[]): void {
  const known = groups.get(key);
  if (known) known.push(...some);
  else groups.set(key, [...some]);
}
