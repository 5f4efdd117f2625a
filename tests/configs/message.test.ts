import fc from "fast-check";
import { buildMessages, place, valueAt } from "../../configs/message";
import { type Measurement, modelSchema } from "../../configs/model";
import { readerOf, type Stored } from "../../configs/reading";

/** One field of each way to be read, and what is stored of it. */
const kinds: [field: { name: string; [key: string]: unknown }, values: fc.Arbitrary<Stored>][] = [
  [{ name: "float", type: "float" }, fc.double({ min: -1e6, max: 1e6, noNaN: true })],
  [
    { name: "kelvin", path: "a.b\\.c.0", type: "float", unit: "°C", sent: "K", scale: 0.1 },
    fc.integer({ min: -400, max: 1000 }).map((n) => n / 10),
  ],
  [
    { name: "factor", path: "f k", type: "float", unit: "W", scale: -0.7, offset: 3 },
    fc.integer({ min: -1000, max: 1000 }),
  ],
  [
    { name: "comma", type: "float", unit: "V", number: { decimal: ",", group: ".", suffix: " V" } },
    fc.integer({ min: -1e6, max: 1e6 }).map((n) => n / 100),
  ],
  [{ name: "int", type: "int" }, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })],
  [
    { name: "steps", type: "int", unit: "Wh", sent: "kWh" },
    fc.bigInt({ min: 0n, max: 999n }).map((n) => n * 1000n),
  ],
  [{ name: "hex", type: "int", number: { base: 16 } }, fc.bigInt({ min: 0n, max: 65535n })],
  [
    { name: "signed", type: "int", signed: 16 },
    fc.bigInt({ min: -(2n ** 15n), max: 2n ** 15n - 1n }),
  ],
  [{ name: "has", type: "bool", has: "high" }, fc.boolean()],
  [{ name: "bool", type: "bool" }, fc.boolean()],
  [{ name: "door", type: "bool", values: { closed: true, open: false } }, fc.boolean()],
  [{ name: "bit_0", path: "status", type: "bool", bit: 0 }, fc.boolean()],
  [{ name: "bit_63", path: "status", type: "bool", bit: 63 }, fc.boolean()],
  [
    { name: "text", type: "string" },
    fc.constantFrom("on", 'Süd "1"', "3.50", "true", "null", "[1]", " a", "{", "x\\"),
  ],
  [
    { name: "mode", type: "string", values: { "0": "standby", "1": "charging" } },
    fc.constantFrom("standby", "charging", "else"),
  ],
];
const fields = kinds.map(([field]) => ({ ...field, meaning: "Field." }));

const tag = (name: string, place: object) => ({ name, ...place, meaning: "Tag." });
const listOf = (form: object) => ({ tags: [tag("id", { segment: 1 })], topic: "u/+", ...form });

/** Forms of messages, each with its topics, its lists, its names and its tags. */
const forms: Record<string, object> = {
  "one object": listOf({ tags: [tag("id", { path: "head.id" })], topic: "u/all" }),
  "device first": { topic: "/+/from here/state", tags: [tag("id", { segment: 1 })] },
  "an optional tag": listOf({
    tags: [tag("id", { segment: 1 }), tag("group", { path: "g", optional: true })],
  }),
  "a tag that is only a default": listOf({
    tags: [tag("id", { segment: 1 }), tag("site", { default: "kiel" })],
  }),
  "parts of one level": {
    topic: "u/+",
    tags: [
      tag("id", { segment: 1, split: "-", part: 1 }),
      tag("kind", { segment: 1, split: "-", part: -1 }),
    ],
  },
  "a topic of any depth": {
    topic: "u/#",
    tags: [tag("id", { segment: 1 }), tag("last", { segment: -1 })],
  },
  "a value per topic": { topic: "u/+/+", tags: [tag("id", { segment: 1 })], names: { segment: 2 } },
  "a value per topic of any depth": {
    topic: "N/+/#",
    tags: [tag("id", { segment: 1 })],
    names: { segment: "#" },
    value: "value",
  },
  "a name that ends the topic": {
    topic: "u/#",
    tags: [tag("id", { segment: 1 })],
    names: { segment: -1, split: "_", part: 0 },
  },
  "a unit and a name in one level": {
    topic: "u/+",
    tags: [tag("id", { segment: 1, split: "_", part: "..-2" })],
    names: { segment: 1, split: "_", part: -1 },
    value: "v",
  },
  "a name in the payload": {
    topic: "u/+",
    tags: [tag("id", { segment: 1 })],
    names: { path: "n" },
    value: "v",
  },
  "a list of names": {
    topic: "scada",
    each: "values",
    names: { path: "id", split: "|", part: -1 },
    value: "v",
    tags: [tag("id", { path: "id", split: "|", part: 1 })],
  },
  "an object of names": listOf({ each: "$", names: { key: true } }),
  "a list of units": { topic: "u", each: "units", tags: [tag("id", { path: "id" })] },
  "a list without ids": {
    topic: "u/+",
    each: "$",
    tags: [tag("id", { segment: 1 }), tag("number", { index: 1 })],
  },
  "an object of units": { topic: "u", each: "units.all", tags: [tag("id", { key: true })] },
  "lists in lists": {
    topic: "u",
    each: ["racks", "modules"],
    tags: [
      tag("id", { key: true, of: 0 }),
      tag("number", { index: 0 }),
      tag("maker", { path: "^.^.maker" }),
      tag("room", { path: "^.room" }),
    ],
  },
  "a field around the list": {
    topic: "u/+",
    each: "list",
    tags: [tag("id", { segment: 1 })],
    fields: fields.map((field) =>
      field.name === "float" ? { ...field, path: "$.around" } : field,
    ),
  },
  "a topic for each of some, bare": {
    tags: [tag("id", { segment: 1 })],
    sources: [
      { topic: "u/+/f", fields: { float: "$" } },
      { topic: "u/+/t", fields: { text: { path: "$" } } },
      { topic: "u/+/s", fields: { bit_0: "$", bit_63: "$" } },
      { topic: "u/+/k", fields: { kelvin: { path: "$", scale: 1 } } },
      { topic: "u/+/rest" },
    ],
  },
};

const times: Record<string, object | undefined> = {
  arrival: undefined,
  ...Object.fromEntries(
    [
      "iso8601",
      "http",
      "unix",
      "unix_ms",
      "unix_us",
      "unix_ns",
      "DD.MM.YYYY HH:mm:ss.SSS",
      "MMM D, YY hh:mm:ss A Z",
    ].map((format) => [format, { path: "$.t", format, zone: "Europe/Berlin" }]),
  ),
  "two keys": { path: ["$.d", "$.c"], format: "YYYYMMDD HHmmss", zone: "America/New_York" },
  "two keys of ISO": { path: ["$.d", "$.c"], format: "iso8601" },
};

/** Forms whose payload is no object, which has no room for a time. */
const bare = [
  "an object of names",
  "a list without ids",
  "a value per topic",
  "a name that ends the topic",
  "a topic for each of some, bare",
];

const modelOf = (form: object, time: object | undefined) =>
  modelSchema.parse({
    name: "m",
    title: "M",
    measurements: [
      {
        name: "table",
        title: "T",
        meaning: "M.",
        interval: "1s",
        fields,
        ...form,
        ...(time && { time }),
      },
    ],
  });

const word = fc.stringMatching(/^[A-Za-z0-9]{1,8}$/);
const texts: Record<string, fc.Arbitrary<string>> = {
  number: fc.integer({ min: 1, max: 9 }).map(String),
  site: fc.constant("kiel"),
};
const rowOf = ({ tags }: Measurement) =>
  fc.record({
    tags: fc.record(Object.fromEntries(tags.map(({ name }) => [name, texts[name] ?? word])), {
      requiredKeys: tags.filter(({ optional }) => !optional).map(({ name }) => name),
    }),
    // Whole seconds, and no hour that a zone repeats.
    time: fc
      .integer({ min: Date.UTC(2026, 5, 1) / 1000, max: Date.UTC(2026, 8, 1) / 1000 })
      .map((n) => n * 1000),
    fields: fc
      .record(Object.fromEntries(kinds.map(([{ name }, values]) => [name, values])), {
        requiredKeys: [],
      })
      .filter((some) => Object.keys(some).length > 0),
  });

const pairs = Object.entries(forms).flatMap(([name, form]) =>
  Object.entries(times)
    .filter(([, time]) => time === undefined || !bare.includes(name))
    .map(([kind, time]): [string, string, Measurement[]] => [
      name,
      kind,
      modelOf(form, time).measurements,
    ]),
);

const arrival = BigInt(Date.UTC(2026, 6, 1)) * 1_000_000n;

test.each(pairs)(
  "%s, with the time %s: what is built is read as the same row",
  (_, _kind, measurements) => {
    const [measurement] = measurements;
    if (!measurement) throw new Error("there is no measurement");
    const read = readerOf({ name: "m", title: "M", measurements });
    fc.assert(
      fc.property(rowOf(measurement), ({ tags, time, fields: values }) => {
        const messages = buildMessages(measurement, {
          time,
          tag: ({ name }) => tags[name],
          level: "level",
          fields: measurement.fields.flatMap((field) => {
            const value = values[field.name];
            return value === undefined ? [] : [[field, value] as const];
          }),
        });
        const results = messages.map(({ topic, payload }) => read(topic, payload, arrival));
        expect(results.flatMap(({ drops }) => drops)).toEqual([]);
        const points = results.flatMap((result) => result.points);
        const stored = Object.assign({}, ...points.map((point) => point.fields)) as Record<
          string,
          Stored
        >;
        const expected = Object.entries(values).map(([name, value]) => [
          name,
          typeof value === "number" ? expect.closeTo(value, 6) : value,
        ]);
        // Bits that were not asked for are sent with the others of their number.
        const asked = Object.entries(stored).filter(
          ([name]) => name in values || !name.startsWith("bit"),
        );
        expect(Object.fromEntries(asked)).toEqual(Object.fromEntries(expected));
        for (const point of points)
          expect(point).toMatchObject({
            tags,
            time: measurement.time ? BigInt(time) * 1_000_000n : undefined,
          });
      }),
      { numRuns: 20, seed: 1 },
    );
  },
);

test("a value is found where it was put, whatever is in its keys", () => {
  const object = {};
  place(object, "head.serial\\.number", "42");
  expect(object).toEqual({ head: { "serial.number": "42" } });
  expect(valueAt(object, "head.serial\\.number")).toBe("42");
});

const soc = { name: "soc", type: "float", meaning: "Field." };
const mode = { name: "mode", type: "string", meaning: "Field." };
const segment = [tag("id", { segment: 1 })];

test.each<[string, object]>([
  [
    "parts of a text",
    {
      text: { split: ";" },
      tags: segment,
      fields: [
        { ...soc, path: "2" },
        { ...mode, path: "0" },
      ],
    },
  ],
  ["keys in a text", { text: { split: ",", pairs: "=" }, tags: [tag("id", { path: "id" })] }],
  [
    "lines below a header",
    {
      text: { lines: true, split: ";", header: true },
      each: "$",
      tags: [tag("id", { path: "id" })],
    },
  ],
  ["lines of JSON", { text: { lines: true }, each: "$", tags: [tag("id", { path: "id" })] }],
  [
    "columns",
    {
      each: "t",
      tags: segment,
      fields: [
        { ...soc, path: "^.soc.#" },
        { ...mode, path: "^.mode.#" },
      ],
      time: { path: "@", format: "unix" },
    },
  ],
  [
    "a row of a kind, and of a quality",
    {
      each: "devices",
      where: [{ path: "kind", is: ["battery", "pack"] }],
      good: [{ path: "q", is: [null, "Good"] }],
      tags: [tag("id", { path: "id" })],
    },
  ],
  ["a power of ten", { tags: segment, fields: [{ ...soc, exponent: "sf" }, mode] }],
  ["an id that is always the same", { tags: [tag("id", { fixed: "7" })] }],
])("%s: what is built is read as the same row", (_, form) => {
  const model = modelSchema.parse({
    name: "m",
    title: "M",
    measurements: [
      {
        name: "table",
        title: "T",
        meaning: "M.",
        topic: "u/+",
        interval: "1s",
        fields: [soc, mode],
        ...form,
      },
    ],
  });
  const [measurement] = model.measurements;
  if (!measurement) throw new Error("there is no measurement");
  const values: Record<string, Stored> = { soc: 55.5, mode: "idle" };
  const messages = buildMessages(measurement, {
    time: Date.UTC(2026, 6, 1),
    tag: () => "7",
    level: "level",
    fields: measurement.fields.map((field) => [field, values[field.name] ?? ""] as const),
  });
  const read = messages.map(({ topic, payload }) => readerOf(model)(topic, payload, arrival));
  expect(read.flatMap(({ drops }) => drops)).toEqual([]);
  expect(read.flatMap(({ points }) => points)).toMatchObject([
    { tags: { id: "7" }, fields: values },
  ]);
});
