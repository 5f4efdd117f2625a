import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { modelSchema } from "../../configs/model";
import { readerOf } from "../../configs/reading";
import { Pipeline } from "../support/pipeline";
import { rowOf } from "../support/recorder";
import { until } from "../support/programs";

/** One field of each kind, and of each way to read it. */
const fields = [
  { name: "float", type: "float" },
  {
    name: "scaled",
    path: "scaled",
    type: "float",
    scale: 0.1,
    offset: -100,
    unit: "°C",
    sent: "K",
  },
  { name: "comma", type: "float", number: { decimal: ",", group: ".", suffix: "V" } },
  { name: "int", type: "int" },
  { name: "steps", type: "int", scale: 0.1, unit: "Wh", sent: "kWh" },
  { name: "hex", type: "int", number: { base: 16 } },
  { name: "bool", type: "bool", values: { closed: true, open: false } },
  { name: "bit", type: "bool", path: "status", bit: 3 },
  { name: "text", type: "string" },
  { name: "mode", type: "string", values: { "0": "standby", "1": "charging" } },
  { name: "inner", path: "inner.a\\.b.0", type: "float" },
  { name: "raw", type: "float", signed: 16, scale: 0.1, exponent: "sf", absent: [8, "nan", "on"] },
  { name: "counter", type: "int", exponent: "sf", signed: 8, absent: [0] },
  { name: "flag", path: "flags", type: "bool", has: "on" },
].map((field) => ({ ...field, meaning: "Field." }));

const measurement = { title: "T", meaning: "M.", interval: "1s", fields };
const tags = [
  { name: "n", segment: 1, meaning: "Number of the message." },
  { name: "id", path: "id", optional: true, meaning: "Id." },
];

const model = modelSchema.parse({
  name: "fuzz",
  title: "Fuzz",
  measurements: [
    {
      ...measurement,
      name: "flat",
      tags,
      sources: [
        { topic: "iso/+", time: { path: "t", format: "iso8601" } },
        { topic: "unix/+", time: { path: "t", format: "unix", lead: "10m", outside: "arrival" } },
        { topic: "ms/+", time: { path: "t", format: "unix_ms" } },
        {
          topic: "dots/+",
          time: { path: "t", format: "DD.MM.YYYY HH:mm:ss", zone: "Europe/Berlin" },
        },
        {
          topic: "two/+",
          time: { path: ["d", "c"], format: "YYYYMMDD HHmmss", zone: "America/New_York" },
        },
        { topic: "http/+", time: { path: "t", format: "http" } },
        {
          topic: "bare/+",
          fields: { float: "$", text: "$", bool: "$" },
          time: { path: "t", format: "unix", optional: true },
        },
        {
          topic: "where/+",
          where: [{ path: "mode", is: ["standby", 1, true, null] }],
          good: [{ path: "bool", is: [true, null] }, { path: "text" }],
          time: { path: "t", format: "iso8601" },
        },
        { topic: "pairs/+", text: { split: ",", pairs: "=" }, time: { path: "t", format: "unix" } },
        {
          topic: "parts/+",
          text: { split: "," },
          time: { path: "3", format: "unix", optional: true },
          fields: { float: "0", text: "1", bool: "2", raw: "4" },
        },
      ],
    },
    {
      ...measurement,
      name: "rows",
      time: { path: "$.t", format: "iso8601" },
      tags: [
        { name: "n", segment: 1, meaning: "N." },
        { name: "id", path: "id", split: "_", part: -1, meaning: "Id." },
        { name: "rest", path: "id", split: "_", part: "1..", optional: true, meaning: "Rest." },
      ],
      sources: [
        { topic: "list/+", each: "list" },
        { topic: "object/+", each: "list", tags: { id: { key: true } } },
        {
          topic: "columns/+",
          each: "id",
          tags: { id: { index: 0 } },
          fields: { float: "^.float.#", text: "@", inner: "^.#.0" },
        },
        { topic: "lines/+", text: { lines: true }, each: "$" },
        { topic: "table/+", text: { lines: true, split: ",", header: true }, each: "$" },
        {
          topic: "fixed/+",
          each: "list",
          where: [{ key: true }],
          tags: { id: { fixed: "unit_1" }, rest: { key: true } },
        },
        { topic: "nested/+", each: ["list", "list"], tags: { id: { index: 1, of: 0 } } },
        {
          topic: "names/+",
          each: "list",
          names: { path: "name" },
          value: "value",
          tags: { id: { index: 0 } },
        },
      ],
    },
  ],
});

/** Texts that gateways send, and that nobody should. */
const words = fc.constantFrom(
  "",
  " ",
  "52.1",
  "-52,1",
  "1.234.567,5",
  "12.34,5 V",
  "1.234,5 V",
  "1e3",
  "1E-3",
  ".5",
  "5.",
  "+7",
  "007",
  "0x1F",
  "1F",
  "NaN",
  "nan",
  "inf",
  "-Infinity",
  "1e400",
  "9223372036854775807",
  "9223372036854775808",
  "18446744073709551615",
  "on",
  "OFF",
  "True",
  "closed",
  "1.0",
  "0.0",
  "standby",
  "null",
  "٥٢",
  "1_000",
  "Süd",
  "a b",
  "[1,2]",
  '{"a.b":[3]}',
  '{"a.b":["4"]}',
  "{",
  "\u0000",
  "\ufeff1",
  "🔋",
  '"',
  "\\",
  "a\nb",
  "SN1\u0000\u0000",
  "\u00a052.1\u202f",
  "on, off",
  "65412",
  "x".repeat(10_000),
  "ü".repeat(5001),
);
const times = fc.constantFrom(
  "2026-11-13T12:05:07Z",
  "2026-11-13 12:05",
  "20261113T120507,5+0100",
  "2026-10-25T02:30:00",
  "2026-02-30T00:00:00Z",
  "2026-11-13",
  "2026-11-13T24:00:00Z",
  "2026-11-13T12:05:60Z",
  "2026-11-13T12:05:07.123456789123Z",
  "2026-11-13T12:05:07+01:00[Europe/Berlin]",
  "2026-11-13T12:05:07Z+0100",
  "1600-01-01T00:00:00Z",
  "2026-11-13T12:05:07 UTC",
  "13.11.2026 12:05:07",
  "25.10.2026 02:30:00",
  "29.03.2026 02:30:00",
  "1.2.2026 3:04:05",
  "13.11.2026 12:05:07.25",
  "Fri, 13 Nov 2026 12:05:07 GMT",
  "Fri, 13 Nox 2026 12:05:07 GMT",
  "1794571507",
  "1794571507.25",
  "1.794571507e9",
  "-1",
  "1e30",
  "half past noon",
);
const numbers = fc.oneof(
  fc.integer({ min: -2000, max: 2000 }),
  fc.double({ min: -1e20, max: 1e20, noNaN: true }).filter((value) => !Object.is(value, -0)),
  fc.constantFrom(1794571507, 1794571507.25, 1794571507250, 20261113, 120507, 90509, 0, 1, 8, 15),
);
const scalar = fc.oneof(words, times, numbers, fc.boolean(), fc.constant(null));
const value = fc.oneof(
  { weight: 6, arbitrary: scalar },
  { weight: 1, arbitrary: fc.array(scalar, { maxLength: 3 }) },
  {
    weight: 1,
    arbitrary: fc.dictionary(
      fc.constantFrom("a", "a.b", "value"),
      fc.array(scalar, { maxLength: 2 }),
      { maxKeys: 2 },
    ),
  },
);
const keys = [
  "t",
  "d",
  "c",
  "id",
  "float",
  "scaled",
  "comma",
  "int",
  "steps",
  "hex",
  "bool",
  "status",
  "text",
  "mode",
  "inner",
  "raw",
  "counter",
  "sf",
  "flags",
  "name",
  "value",
];
const element = fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 8 });
const object = fc.record(
  {
    t: fc.oneof(times, numbers),
    d: fc.constantFrom(20261113, "20261113", "20260308", 20261101),
    c: fc.constantFrom(90509, "090509", 23000, 13000, "250000"),
    list: fc.oneof(
      fc.array(fc.oneof(element, fc.record({ list: fc.array(element, { maxLength: 3 }) })), {
        maxLength: 4,
      }),
      fc.dictionary(fc.constantFrom("u_1", "u_2", "", "x"), element, { maxKeys: 3 }),
      value,
    ),
  },
  { requiredKeys: [] },
);
const payload = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(object, element).map(([a, b]) => JSON.stringify({ ...b, ...a })),
  },
  { weight: 1, arbitrary: element.map((made) => JSON.stringify(JSON.stringify(made))) },
  { weight: 1, arbitrary: scalar.map((made) => JSON.stringify(made)) },
  { weight: 1, arbitrary: words },
  {
    weight: 1,
    arbitrary: fc
      .tuple(object, fc.integer({ min: 0, max: 40 }))
      .map(([made, at]) => JSON.stringify(made).slice(0, -1 - at)),
  },
  // Texts with several values.
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.constantFrom(",", "\n", "=", ",\n"),
        fc.array(
          fc.oneof(
            words,
            times,
            numbers.map(String),
            fc.constantFrom(...keys),
            fc.tuple(fc.constantFrom(...keys), words).map((pair) => pair.join("=")),
            element.map((made) => JSON.stringify(made)),
          ),
          { maxLength: 8 },
        ),
      )
      .map(([sign, parts]) => parts.join(sign)),
  },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.array(scalar.map(String), { maxLength: 4 }), { maxLength: 3 })
      .map((lines) => ["id,float,text,raw", ...lines.map((line) => line.join(","))].join("\n")),
  },
  // Numbers as C and Python print them.
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom("float", "int", "text", "id", "t"),
        fc.constantFrom(
          "NaN",
          "-inf",
          "1e400",
          "007",
          "+5",
          ".5",
          "0x10",
          "-0",
          "1.50",
          "1e3",
          "12345678901234567890",
        ),
      )
      .map(([key, word]) => `{"${key}":${word},"scaled":3, "bool":true}`),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 30 }) },
);
const topics = [
  ...new Set(model.measurements.flatMap((m) => (m.sources ?? []).flatMap(({ topic }) => topic))),
];

/** Messages of one run: enough that each form meets each kind of value. */
const count = 4000;

test("the program in Telegraf reads as the command line does, whatever comes", async () => {
  const pipeline = await Pipeline.start(model, "3650d");
  try {
    const made = fc.sample(fc.tuple(fc.constantFrom(...topics), payload), {
      numRuns: count,
      seed: 1,
    });
    const messages = made.map(([pattern, text], i) => ({
      topic: pattern.replace("+", `m${i}`),
      payload: text,
    }));
    const client = await pipeline.broker.connect("gateway");
    const start = BigInt(Date.now()) * 1_000_000n;
    await Promise.all(
      messages.map(({ topic, payload: text }) => client.publishAsync(topic, text, { qos: 1 })),
    );
    await client.endAsync();
    await settled(pipeline);
    const reader = readerOf(model, "3650d");
    const ours = (n: string, from: ReturnType<typeof rowOf>[]) =>
      from
        .filter(({ tags: { n: number } }) => number === n)
        // What came at its arrival has no time that two could agree on.
        .map(({ time, ...row }) =>
          JSON.stringify(
            {
              ...row,
              time:
                time > start - 60_000_000_000n && time < start + 120_000_000_000n
                  ? "arrival"
                  : String(time),
            },
            plain,
          ),
        )
        .sort();
    const stored = pipeline.endpoint.points.map(rowOf);
    const differences = messages.flatMap(({ topic, payload: text }, i) => {
      const arrival = BigInt(Date.now()) * 1_000_000n;
      const expected = reader(topic, text, arrival).points.map((point) => ({
        ...point,
        time: point.time ?? start,
      }));
      const [left, right] = [ours(`m${i}`, stored), ours(`m${i}`, expected)];
      return JSON.stringify(left) === JSON.stringify(right)
        ? []
        : [{ topic, text, telegraf: left, here: right }];
    });
    expect(differences.slice(0, 5)).toEqual([]);
    expect(pipeline.log).not.toMatch(/fault of the program/);
  } finally {
    await pipeline.stop();
  }
}, 180_000);

/** Waits until Telegraf has written nothing for three of its flushes. */
async function settled({ endpoint }: Pipeline): Promise<void> {
  const rows = () => endpoint.table("flat").length + endpoint.table("rows").length;
  let before = -1;
  await until(
    "Telegraf has read all",
    async () => {
      const same = rows() === before && before > 0;
      before = rows();
      await sleep(3000);
      return same && rows() === before;
    },
    60,
  );
}

/** Big numbers as texts, and keys in one order. */
const plain = (_: string, part: unknown) =>
  typeof part === "bigint"
    ? String(part)
    : typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part;
