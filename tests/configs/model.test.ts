import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { loadModel, modelSchema, quantities } from "../../configs/model";
import { InputError, validate } from "../../configs/validation";
import { temporaryFolder } from "../support/programs";
import { refusalOf } from "../support/refusal";

const field = {
  name: "soc",
  path: "soc",
  type: "float",
  unit: "%",
  range: [10, 95],
  meaning: "State of charge.",
};
const tag = { name: "id", path: "id", meaning: "Identifier." };
const measurement = {
  name: "battery",
  title: "Battery",
  meaning: "One battery.",
  topic: "battery/+/status",
  interval: "1s",
  time: { path: "timestamp", format: "iso8601" },
  tags: [tag],
  fields: [field],
};
const model = { name: "fleet", title: "Fleet", measurements: [measurement] };

const of = (...measurements: object[]) => ({ ...model, measurements });
const withMeasurement = (change: object) => of({ ...measurement, ...change });
const withField = (change: object) => withMeasurement({ fields: [{ ...field, ...change }] });
const withTag = (change: object) => withMeasurement({ tags: [{ ...tag, ...change }] });
/** As many fields, each with a path of its own. */
const fieldsOf = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ ...field, name: `f${i}`, path: `f${i}` }));
const read = (input: unknown) => validate(modelSchema, input, "model.yaml");

/** The message that an input is refused with. */
const refusal = (input: unknown) => refusalOf(() => read(input)).message;

const first = "measurements[0]";
const firstField = `${first}.fields[0]`;
const firstTag = `${first}.tags[0]`;

describe("a model is refused, with the key, its value and what is allowed, for", () => {
  test.each<[what: string, input: unknown, key: string, value: string, allowed: string]>([
    ["no object", [], "the whole", "[]", "write a map of keys"],
    [
      "an unknown key",
      { ...model, titel: "Fleet" },
      "titel",
      "is no known key",
      "allowed here: name, title, measurements",
    ],
    [
      "limits within the range",
      withField({ limits: [20, 95] }),
      `${firstField}.limits`,
      "[20,95]",
      "the range 10 to 95 must lie within",
    ],
    [
      "limits in the wrong order",
      withField({ limits: [95, 5] }),
      `${firstField}.limits`,
      "[95,5]",
      "the first must be less than the second",
    ],
    [
      "limits of a text",
      withField({ type: "string", unit: "", range: undefined, limits: [1, 2] }),
      `${firstField}.limits`,
      "[1,2]",
      "only a number has it",
    ],
    [
      "a value that would be stuck beside no other",
      withField({ stuckAfter: "15m" }),
      `${firstField}.stuckAfter`,
      '"15m"',
      "no other number of the measurement shows whether its unit works",
    ],
    [
      "drift among a tag that is none",
      withField({ drift: { most: 5, among: "rack" } }),
      `${firstField}.drift`,
      '{"most":5,"among":"rack"}',
      "the measurement has the tags id",
    ],
    [
      "drift where no tag is left",
      withField({ drift: { most: 5, among: "id" } }),
      `${firstField}.drift`,
      '{"most":5,"among":"id"}',
      "no tag is left that tells units apart",
    ],
    [
      "a set point that is none",
      withField({ follow: { tolerance: 5, within: "10s" } }),
      `${firstField}.follow`,
      '{"tolerance":5,"within":"10s"}',
      "only a power_set_point or reactive_power_set_point has it",
    ],
    [
      "an alarm of a number",
      withField({ alarm: "critical" }),
      `${firstField}.alarm`,
      '"critical"',
      "only a bool or a string is an alarm",
    ],
    [
      "an alarm of a text without values",
      withField({ type: "string", unit: "", range: undefined, alarm: "critical" }),
      `${firstField}.alarm`,
      '"critical"',
      "write a severity for a bool, and values with their severities for a string",
    ],
    [
      "an unknown key of a measurement",
      withMeasurement({ topics: "a" }),
      `${first}.topics`,
      "is no known key",
      "name, title, meaning, topic, interval, time, each, names, value, where, good, text, tags, fields, sources",
    ],
    [
      "an unknown key of a field",
      withField({ units: "A" }),
      `${firstField}.units`,
      "is no known key",
      "name, path, scale, offset, sent, number, values, bit, has, absent, signed, exponent, type, unit, range, limits, maxRate, " +
        "stuckAfter, drift, spread, follow, alarm, quantity",
    ],
    [
      "an unknown key of a tag",
      withTag({ place: 1 }),
      `${firstTag}.place`,
      "is no known key",
      "name, path, segment, key, index, fixed, of, split, part, optional, default, meaning",
    ],
    [
      "an unknown key of the time",
      withMeasurement({ time: { ...measurement.time, utc: true } }),
      `${first}.time.utc`,
      "is no known key",
      "path, format, zone, optional, lead, outside",
    ],
    [
      "a missing key",
      { name: "fleet", measurements: [measurement] },
      "title",
      "not set",
      "write a text",
    ],
    [
      "a model's name",
      { ...model, name: "My Fleet" },
      "name",
      '"My Fleet"',
      "lower case letters, digits and -",
    ],
    ["no measurement", of(), "measurements", "[]", "declare at least one measurement"],
    [
      "no field",
      withMeasurement({ fields: [] }),
      `${first}.fields`,
      "[]",
      "name at least one field",
    ],
    ["no tag", withMeasurement({ tags: [] }), `${first}.tags`, "[]", "name at least one tag"],
    [
      "a measurement's name",
      withMeasurement({ name: "Battery" }),
      `${first}.name`,
      '"Battery"',
      "lower case letters, digits and _",
    ],
    [
      "a field's name",
      withField({ name: "1st" }),
      `${firstField}.name`,
      '"1st"',
      "starting with a letter",
    ],
    [
      "a reserved name",
      withField({ name: "time" }),
      `${firstField}.name`,
      '"time"',
      "time, _time, _field, _measurement are reserved",
    ],
    [
      "a type",
      withField({ type: "double" }),
      `${firstField}.type`,
      '"double"',
      "float, int, bool, string",
    ],
    ["a unit", withField({ unit: "Amp" }), `${firstField}.unit`, '"Amp"', "A, mA, kA, V"],
    [
      "a unit of a text",
      withField({ type: "string", range: undefined }),
      `${firstField}.unit`,
      '"%"',
      "only a number has a unit",
    ],
    [
      "a scale of 0",
      withField({ scale: 0 }),
      `${firstField}.scale`,
      "0",
      "write a factor other than 0",
    ],
    [
      "a scale of a text",
      withField({ scale: "0.1" }),
      `${firstField}.scale`,
      '"0.1"',
      "write a number",
    ],
    [
      "a scale of a text",
      withField({ type: "string", unit: undefined, range: undefined, scale: 0.1 }),
      `${firstField}.scale`,
      "0.1",
      "only a number can be scaled",
    ],
    [
      "a range upside down",
      withField({ range: [95, 10] }),
      `${firstField}.range`,
      "[95,10]",
      "the first must not be greater than the second",
    ],
    [
      "a path of two fields",
      withMeasurement({ fields: [field, { ...field, name: "soh" }] }),
      `${first}.fields[1].path`,
      '"soc"',
      'field "soc" has this path already',
    ],
    [
      "a path of two tags",
      withMeasurement({ tags: [tag, { ...tag, name: "unit" }] }),
      `${first}.tags[1].path`,
      '"id"',
      'tag "id" has this path already',
    ],
    ...[499, 600, 2000].map((count): [string, unknown, string, string, string] => [
      `${count} fields`,
      withMeasurement({ fields: fieldsOf(count) }),
      `${first}.fields`,
      '[{"name":"f0"',
      `${count} fields, 1 tags and the time are ${count + 2} columns; InfluxDB takes 500 a table`,
    ]),
    [
      "half a range",
      withField({ range: [95] }),
      `${firstField}.range`,
      "[95]",
      "write two numbers: [lowest, highest]",
    ],
    [
      "a range of a switch",
      withField({ type: "bool", unit: "" }),
      `${firstField}.range`,
      "[10,95]",
      "only a number has a range",
    ],
    [
      "a quantity",
      withField({ quantity: "charge" }),
      `${firstField}.quantity`,
      '"charge"',
      quantities.join(", "),
    ],
    [
      "a circuit",
      withField({ circuit: "ac" }),
      `${firstField}.circuit`,
      '"ac"',
      "dc, ac_a, ac_b, ac_c",
    ],
    [
      "a JSON path",
      withField({ path: "cells[0]" }),
      `${firstField}.path`,
      '"cells[0]"',
      "write a JSON path such as soc",
    ],
    [
      "a field without a meaning",
      withField({ meaning: "" }),
      `${firstField}.meaning`,
      '""',
      "say in a sentence what it means",
    ],
    [
      "a topic of # before its end",
      withMeasurement({ topic: "battery/#/status" }),
      `${first}.topic`,
      '"battery/#/status"',
      "# for all that follow",
    ],
    [
      "a topic of part of a level",
      withMeasurement({ topic: "battery/b+/status" }),
      `${first}.topic`,
      '"battery/b+/status"',
      "with + for a whole level",
    ],
    [
      "an interval",
      withMeasurement({ interval: "often" }),
      `${first}.interval`,
      '"often"',
      "write a duration such as 1s or 500ms",
    ],
    [
      "a time's format",
      withMeasurement({ time: { path: "t", format: "rfc" } }),
      `${first}.time.format`,
      '"rfc"',
      "iso8601, http, unix, unix_ms, unix_us, unix_ns, or a pattern such as DD.MM.YYYY HH:mm:ss",
    ],
    [
      "a tag of both path and segment",
      withTag({ segment: 1 }),
      firstTag,
      '"path":"id"',
      "give one of path, segment, key, index and fixed",
    ],
    [
      "a tag of neither path nor segment",
      withTag({ path: undefined }),
      firstTag,
      '"name":"id"',
      "give one of path, segment, key, index and fixed",
    ],
    [
      "a segment out of the topic",
      withTag({ path: undefined, segment: 3 }),
      `${firstTag}.segment`,
      "3",
      "has segments 0 to 2",
    ],
    [
      "a sign of what is no number",
      withField({ type: "bool", unit: "", range: undefined, signed: 16 }),
      `${first}.fields[0].signed`,
      "16",
      "only a number has a sign",
    ],
    [
      "a number that is in a list",
      withField({ has: "high" }),
      `${first}.fields[0].has`,
      '"high"',
      "only a bool says whether something is there",
    ],
    [
      "an element's key without a list",
      withField({ path: "^.soc.#" }),
      `${first}.fields[0].path`,
      '"^.soc.#"',
      "only an element of each has a #",
    ],
    [
      "a text that is split at nothing",
      withMeasurement({ text: { pairs: "=" } }),
      `${first}.text`,
      '{"pairs":"="}',
      "give lines, split or both",
    ],
    [
      "a condition without a place",
      withMeasurement({ where: [{ is: "battery" }] }),
      `${first}.where[0]`,
      '{"is":"battery"}',
      "give one of path, segment, key, index and fixed",
    ],
    [
      "a segment that two tags take",
      withMeasurement({
        tags: [
          { ...tag, path: undefined, segment: 1 },
          { ...tag, name: "unit", path: undefined, segment: 1 },
        ],
      }),
      `${first}.tags[1].segment`,
      "1",
      'tag "id" has this segment already',
    ],
    [
      "a table of the pipeline's own",
      withMeasurement({ name: "mem" }),
      `${first}.name`,
      '"mem"',
      "internal_*, mosquitto, mqtt_*, cpu, mem, disk, temp",
    ],
    [
      "a table that begins as the pipeline's own",
      withMeasurement({ name: "internal_bms" }),
      `${first}.name`,
      '"internal_bms"',
      "the pipeline's own tables",
    ],
    [
      "a segment before the topic's first",
      withTag({ path: undefined, segment: -4 }),
      `${firstTag}.segment`,
      "-4",
      "has segments 0 to 2",
    ],
    [
      "a field twice",
      withMeasurement({ fields: [field, field] }),
      `${first}.fields[1]`,
      '"name":"soc"',
      'field "soc" is declared twice; the first is number 1',
    ],
    [
      "a tag twice",
      withMeasurement({ tags: [tag, tag] }),
      `${first}.tags[1]`,
      '"name":"id"',
      'tag "id" is declared twice',
    ],
    [
      "a measurement twice",
      of(measurement, { ...measurement, topic: "other" }),
      "measurements[1]",
      '"name":"battery"',
      'measurement "battery" is declared twice',
    ],
    [
      "a field named as a tag",
      withField({ name: "id" }),
      `${firstField}.name`,
      '"id"',
      "a tag has this name already",
    ],
    [
      "two patterns of one table that a message could match",
      withMeasurement({ topic: ["battery/+/status", "battery/b1/+"] }),
      `${first}.topic[1]`,
      '"battery/b1/+"',
      "a message could match battery/+/status too",
    ],
  ])("%s", (_, input, key, value, allowed) => {
    const finding = refusal(input)
      .split("\n")
      .find((line) => line.startsWith(`  - ${key} `));
    expect(finding).toContain(`  - ${key} is `);
    expect(finding).toContain(value);
    expect(finding).toContain(allowed);
  });

  test("every fault at once", () => {
    expect(
      refusal({ ...withField({ unit: "Amp", type: "double" }), name: "My Fleet" }).match(
        /^ {2}- /gm,
      ),
    ).toHaveLength(3);
  });
});

describe("a model is taken with", () => {
  test("one topic of two tables", () =>
    expect(read(of(measurement, { ...measurement, name: "pcs" })).measurements).toHaveLength(2));
  test("topics that differ in length", () =>
    expect(
      read(of(measurement, { ...measurement, name: "pcs", topic: "battery/+" })).measurements,
    ).toHaveLength(2));
  test("a segment of its topic", () =>
    expect(read(withTag({ path: undefined, segment: 1 }))).toMatchObject({
      measurements: [{ tags: [{ segment: 1 }] }],
    }));
  test("as many columns as InfluxDB takes", () =>
    expect(read(withMeasurement({ fields: fieldsOf(498) })).measurements).toHaveLength(1));
  test("a range of one number, where only that is normal", () =>
    expect(read(withField({ range: [0, 0] }))).toMatchObject({
      measurements: [{ fields: [{ range: [0, 0] }] }],
    }));
  test("its defaults filled in", () => {
    expect(read(withField({ unit: undefined }))).toMatchObject({
      measurements: [{ fields: [{ unit: "", scale: 1, quantity: "other", circuit: "dc" }] }],
    });
  });
});

describe("a model's file", () => {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());
  const file = join(folder.path, "model.yaml");

  test.each(["configs/telemetry.yaml", "configs/models/m5bat.yaml"])(
    "%s is taken, and again as it was read",
    (path) => {
      const loaded = loadModel(path);
      expect(read(loaded)).toEqual(loaded);
    },
  );
  test("that is missing is named", () =>
    expect(() => loadModel(join(folder.path, "none.yaml"))).toThrow(
      /none\.yaml is refused:\n {2}- there is no such file$/,
    ));
  test("that is no YAML is refused with the line", () => {
    writeFileSync(file, "name: [fleet\n");
    expect(() => loadModel(file)).toThrow(InputError);
    expect(() => loadModel(file)).toThrow(/model\.yaml is refused:\n {2}- line 2: /);
  });
  test("in Latin-1 is refused with the line", () => {
    writeFileSync(file, Buffer.from('name: fleet\ntitle: "Speicher Jülich"\n', "latin1"));
    expect(() => loadModel(file)).toThrow(
      /model\.yaml is refused:\n {2}- line 2: the byte 0xfc is not UTF-8; save the file in/,
    );
  });
  test("that declares a key twice is refused with the line", () => {
    writeFileSync(file, "name: fleet\ntitle: A\ntitle: B\n");
    expect(() => loadModel(file)).toThrow(/model\.yaml is refused:\n {2}- line 3: "title" is dec/);
  });
  test("that breaks the schema is named", () => {
    writeFileSync(
      file,
      readFileSync("configs/telemetry.yaml", "utf8").replace("unit: A\n", "unit: Amp\n"),
    );
    expect(() => loadModel(file)).toThrow(
      `${file} is refused:\n  - measurements[0].fields[0].unit is "Amp"`,
    );
  });
});

describe("whatever a model is made of", () => {
  const refusedOrTaken = (input: unknown) => {
    try {
      expect(read(read(input))).toEqual(read(input));
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
    }
  };
  /** Any place in a valid model, and what stands there instead. */
  const places = (value: unknown, path: (string | number)[] = []): (string | number)[][] =>
    value !== null && typeof value === "object"
      ? [
          path,
          ...Object.entries(value).flatMap(([key, inner]) =>
            places(inner, [...path, Array.isArray(value) ? Number(key) : key]),
          ),
        ]
      : [path];
  const replaced = (value: unknown, [key, ...path]: (string | number)[], by: unknown): unknown => {
    if (key === undefined) return by;
    if (Array.isArray(value))
      return value.map((inner, i) => (i === key ? replaced(inner, path, by) : inner));
    return {
      ...(value as object),
      [key]: replaced((value as Record<string, unknown>)[key], path, by),
    };
  };

  test("it is taken or refused", () => {
    fc.assert(fc.property(fc.jsonValue(), refusedOrTaken), { numRuns: 500 });
  });
  test("it is taken or refused, however one place of a good one differs", () => {
    fc.assert(
      fc.property(fc.constantFrom(...places(model)), fc.jsonValue(), (path, by) =>
        refusedOrTaken(replaced(model, path, by)),
      ),
      { numRuns: 1000 },
    );
  });
  test("what is taken is taken again from its own output", () => {
    const name = fc.stringMatching(/^[a-z]\w{0,8}$/).map((text) => `x${text.toLowerCase()}`);
    const fields = fc.uniqueArray(
      fc.record({
        name,
        path: fc.stringMatching(/^[a-z]{1,5}(\.[a-z]{1,5})?$/),
        type: fc.constant("float"),
        unit: fc.constantFrom("A", "V", "°C", ""),
        scale: fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
        range: fc.tuple(fc.integer({ min: -1000, max: 0 }), fc.integer({ min: 1, max: 1000 })),
        quantity: fc.constantFrom(...quantities),
        meaning: fc.string({ minLength: 1 }),
      }),
      { minLength: 1, selector: (made) => made.name },
    );
    const differ = fields.filter(
      (made) => new Set(made.map(({ path }) => path)).size === made.length,
    );
    fc.assert(
      fc.property(differ, (made) => {
        const once = read(withMeasurement({ fields: made }));
        expect(read(JSON.parse(JSON.stringify(once)))).toEqual(once);
      }),
    );
  });
});
