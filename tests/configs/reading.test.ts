import { modelSchema } from "../../configs/model";
import { readerOf } from "../../configs/reading";
import {
  type Case,
  caseModel,
  cases,
  casesAreHere,
  type Dropped,
  findings,
  type Row,
} from "../support/cases";
import { refusalOf } from "../support/refusal";

/** What needs a broker: it holds messages back, or keeps them. */
const brokerCases = ["20", "21", "36"];

/** Reads the messages of a case as if they arrived now. */
function readCase(given: Case, start: number) {
  const model = caseModel(
    given,
    given.messages.some(({ model: n }) => n !== undefined) ? 1 : undefined,
  );
  const read = readerOf(model, "90d");
  const rows: Row[] = [];
  const drops: Dropped[] = [];
  for (const { topic, payload, at } of given.messages) {
    const arrival = BigInt(start + at) * 1_000_000n;
    const result = read(topic, payload, arrival);
    rows.push(...result.points.map((point) => ({ ...point, time: point.time ?? arrival })));
    drops.push(...result.drops.map(({ field, count }) => ({ topic, field, count })));
    if (result.subscriptions.length === 0) drops.push({ topic, field: "", count: 1 });
  }
  return { rows, drops };
}

(casesAreHere ? describe : describe.skip)("a message of a real gateway is read, in case", () => {
  const known = casesAreHere ? cases() : [];
  const start = Date.UTC(2026, 10, 27, 12);
  const plain = known.filter(
    ({ name }) => !brokerCases.includes(name.slice(0, 2)) && !name.startsWith("26"),
  );

  test.each(plain)("$name", (given) => {
    const { rows, drops } = readCase(given, start);
    expect(findings(given, rows, drops, ({ at }) => start + at)).toEqual([]);
  });

  test("26-more-than-500-columns: 490 cells are read, and a model of 520 is refused", () => {
    const given = known.find(({ name }) => name.startsWith("26"));
    if (!given) throw new Error("the case is gone");
    const refusal = refusalOf(() => caseModel(given, 2)).message;
    expect(refusal).toContain("500");
    expect(refusal).toContain("520");
    const first = { ...given, messages: given.messages.slice(0, 1) };
    expect(
      findings(
        { ...first, expected: { ...given.expected, dropped: [] } },
        readCase(first, start).rows,
        [],
        () => start,
      ),
    ).toEqual([]);
  });
});

describe("a whole number is stored of", () => {
  const model = modelSchema.parse({
    name: "whole",
    title: "Whole",
    measurements: [
      {
        name: "meter",
        title: "Meter",
        meaning: "A meter.",
        topic: "meter/+",
        interval: "1s",
        tags: [{ name: "id", segment: 1, meaning: "Meter." }],
        fields: [
          { name: "energy", type: "int", unit: "Wh", sent: "kWh", meaning: "Energy." },
          { name: "count", type: "int", meaning: "Count." },
        ],
      },
    ],
  });
  const stored = (payload: string) =>
    readerOf(model)("meter/1", payload, 0n).points.map(({ fields }) => fields);

  test.each([
    ["kWh with a fraction", '{"energy":1.5}', [{ energy: 1500n }]],
    [
      "kWh with the noise of a multiplication",
      '{"energy":0.28999999999999998}',
      [{ energy: 290n }],
    ],
    ["a negative one", '{"energy":-2.3}', [{ energy: -2300n }]],
    [
      "one of 64 bits, to its last digit",
      '{"count":9223372036854775807}',
      [{ count: 9223372036854775807n }],
    ],
    ["none that a fraction of a Wh remains of", '{"energy":1.00005}', []],
    ["none where nothing is converted", '{"count":1.5}', []],
  ])("%s", (_, payload, expected) => expect(stored(payload)).toEqual(expected));
});

describe("a part of a level is", () => {
  /** The tag that a place of the topic's second level gives. */
  const tagOf = (part: number | string, level: string) => {
    const model = modelSchema.parse({
      name: "parts",
      title: "Parts",
      measurements: [
        {
          name: "unit",
          title: "Unit",
          meaning: "A unit.",
          topic: "gw/+",
          interval: "1s",
          tags: [{ name: "id", segment: 1, split: "_", part, optional: true, meaning: "Unit." }],
          fields: [{ name: "value", path: "$", type: "float", meaning: "Value." }],
        },
      ],
    });
    return readerOf(model)(`gw/${level}`, "1", 0n).points[0]?.tags.id;
  };

  test.each([
    [1, "battery_1_voltage", "1"],
    [-1, "battery_1_voltage", "voltage"],
    ["0..1", "battery_1_state_of_charge", "battery_1"],
    ["2..", "battery_1_state_of_charge", "state_of_charge"],
    ["..-2", "battery_1_voltage", "battery_1"],
    ["0..1", "battery", undefined],
    [2, "battery_1", undefined],
  ])("%p of %s", (part, level, expected) => expect(tagOf(part, level)).toBe(expected));
});

describe("an event's time", () => {
  /** Reads one message of a model with this time, as if it arrived then. */
  const readAt = (time: object, payload: object, arrival: string, retention?: string) => {
    const model = modelSchema.parse({
      name: "times",
      title: "Times",
      measurements: [
        {
          name: "unit",
          title: "Unit",
          meaning: "A unit.",
          topic: "u/+",
          interval: "1s",
          time,
          tags: [{ name: "id", segment: 1, meaning: "Unit." }],
          fields: [{ name: "soc", type: "float", meaning: "State of charge." }],
        },
      ],
    });
    const now = BigInt(Date.parse(arrival)) * 1_000_000n;
    const { points, drops } = readerOf(model, retention)(
      "u/1",
      JSON.stringify({ ...payload, soc: 1 }),
      now,
    );
    const at = points.map(({ time: ns }) =>
      ns === undefined ? "arrival" : new Date(Number(ns / 1_000_000n)).toISOString(),
    );
    return [...at, ...drops.map(({ reason }) => reason)];
  };
  const berlin = { path: "t", format: "DD.MM.YYYY HH:mm:ss", zone: "Europe/Berlin" };

  test.each([
    ["in winter", "13.11.2026 13:05:07", "2026-11-13T12:05:08Z", "2026-11-13T12:05:07.000Z"],
    ["in summer", "13.07.2026 14:05:07", "2026-07-13T12:05:08Z", "2026-07-13T12:05:07.000Z"],
    [
      "the first time at the end of summer",
      "25.10.2026 02:30:00",
      "2026-10-25T00:31:00Z",
      "2026-10-25T00:30:00.000Z",
    ],
    ["the second time", "25.10.2026 02:30:00", "2026-10-25T01:31:00Z", "2026-10-25T01:30:00.000Z"],
    [
      "that summer leaves out",
      "29.03.2026 02:30:00",
      "2026-03-29T01:31:00Z",
      "2026-03-29T01:30:00.000Z",
    ],
  ])("of a zone is read %s", (_, t, arrival, expected) =>
    expect(readAt(berlin, { t }, arrival)).toEqual([expected]),
  );

  const iso = { path: "t", format: "iso8601" };
  const now = "2026-11-27T12:00:00Z";
  const outside = "time outside the believed";

  test.each<
    [what: string, time: object, t: string, retention: string | undefined, result: string[]]
  >([
    ["within the retention", iso, "2026-08-30T12:00:00Z", "90d", ["2026-08-30T12:00:00.000Z"]],
    ["older than the retention: dropped", iso, "2026-08-28T12:00:00Z", "90d", [outside]],
    [
      "older, stored at its arrival",
      { ...iso, outside: "arrival" },
      "1970-01-01T00:29:54Z",
      "90d",
      ["arrival", outside],
    ],
    [
      "of any age without a retention",
      iso,
      "1970-01-02T00:00:00Z",
      undefined,
      ["1970-01-02T00:00:00.000Z"],
    ],
    [
      "within the lead",
      { ...iso, lead: "10m" },
      "2026-11-27T12:09:00Z",
      "90d",
      ["2026-11-27T12:09:00.000Z"],
    ],
    ["ahead of the lead", { ...iso, lead: "10m" }, "2026-11-27T12:11:00Z", "90d", [outside]],
  ])("is believed %s", (_, time, t, retention, result) =>
    expect(readAt(time, { t }, now, retention)).toEqual(result),
  );

  test("that is missing is counted, unless it is optional", () => {
    expect(readAt(iso, {}, now)).toEqual(["arrival", "no time"]);
    expect(readAt({ ...iso, optional: true }, {}, now)).toEqual(["arrival"]);
  });
});

describe("of another maker's message is stored", () => {
  const battery = {
    name: "battery",
    title: "Battery",
    meaning: "A battery.",
    topic: "u/+",
    interval: "1s",
    tags: [{ name: "id", segment: 1, meaning: "Unit." }],
  };
  const soc = { name: "soc", type: "float", meaning: "State of charge." };
  const volt = { name: "volt", type: "float", meaning: "Voltage." };

  /** Rows as their tags and fields, and why values were dropped. */
  const readOf = (form: object, payload: string) => {
    const model = modelSchema.parse({
      name: "makers",
      title: "Makers",
      measurements: [{ ...battery, fields: [soc, volt], ...form }],
    });
    const { points, drops } = readerOf(model, "90d")(
      "u/1",
      payload,
      BigInt(Date.now()) * 1_000_000n,
    );
    return [
      ...points.map(({ tags, fields }) => ({ ...tags, ...fields })),
      ...drops.map(({ reason, field }) => `${field}: ${reason}`),
    ];
  };
  const columns = {
    each: "t",
    time: { path: "@", format: "unix", optional: true },
    fields: [
      { ...soc, path: "^.soc.#" },
      { ...volt, path: "^.volt.#" },
    ],
  };
  const absent = { fields: [{ ...soc, absent: [65535, "n/a"] }, volt] };
  const power = { ...soc, type: "int", exponent: "sf" };
  const good = { each: "$", good: [{ path: "q", is: [192, "Good", null] }] };
  const kinds = {
    each: "$",
    where: [{ path: "kind", is: "battery" }],
    tags: [{ name: "id", path: "id", meaning: "Unit." }],
  };
  const firmware = (key: string) => ({
    topic: "u/+",
    where: [{ path: key }],
    fields: { soc: key },
  });
  const alarms = { fields: [{ ...soc, type: "bool", path: "alarms", has: "high" }] };
  const lines = { text: { lines: true }, each: "$" };
  const csv = {
    text: { split: ";" },
    fields: [
      { ...soc, path: "0" },
      { ...volt, path: "1" },
    ],
  };
  const table = { text: { lines: true, split: ",", header: true }, each: "$" };

  test.each<[what: string, form: object, payload: string, expected: unknown[]]>([
    ["no reading, by a number", absent, '{"soc":65535,"volt":1}', [{ id: "1", volt: 1 }]],
    ["no reading, by a text", absent, '{"soc":" n/a ","volt":1}', [{ id: "1", volt: 1 }]],
    ["the number beside it", absent, '{"soc":65534}', [{ id: "1", soc: 65534 }]],
    [
      "a register's sign",
      { fields: [{ ...soc, signed: 16, scale: 0.1 }] },
      '{"soc":65412}',
      [{ id: "1", soc: -12.4 }],
    ],
    ["a power of ten", { fields: [power] }, '{"soc":12,"sf":2}', [{ id: "1", soc: 1200n }]],
    ["a negative one", { fields: [power] }, '{"soc":120,"sf":-1}', [{ id: "1", soc: 12n }]],
    ["nothing without it", { fields: [power] }, '{"soc":12}', ["soc: no exponent"]],
    [
      "nothing where SunSpec has none",
      { fields: [power] },
      '{"soc":12,"sf":-32768}',
      ["soc: no exponent"],
    ],
    [
      "columns, each row at its time",
      columns,
      '{"t":[null,1795161600,1795161601],"soc":[9,50,51],"volt":[9,null,1]}',
      [
        { id: "1", soc: 50 },
        { id: "1", soc: 51, volt: 1 },
      ],
    ],
    [
      "the elements of a kind",
      kinds,
      '[{"kind":"battery","id":"a","soc":1},{"kind":"meter","id":"b","soc":2}]',
      [{ id: "a", soc: 1 }],
    ],
    [
      "a value of good quality",
      good,
      '[{"q":"Bad","soc":1},{"q":192,"volt":2}]',
      [{ id: "1", volt: 2 }, "soc: bad quality"],
    ],
    ["one without a word of it", good, '[{"soc":1}]', [{ id: "1", soc: 1 }]],
    [
      "either firmware's key",
      { topic: undefined, sources: [firmware("SoC"), firmware("Soc")] },
      '{"Soc":5,"volt":1}',
      [{ id: "1", soc: 5, volt: 1 }],
    ],
    ["an alarm of a list", alarms, '{"alarms":["low","high"]}', [{ id: "1", soc: true }]],
    ["none of an empty list", alarms, '{"alarms":[]}', [{ id: "1", soc: false }]],
    ["one of a text", alarms, '{"alarms":"low, high"}', [{ id: "1", soc: true }]],
    ["the parts of a text", csv, "55.5; 732.1\r\n", [{ id: "1", soc: 55.5, volt: 732.1 }]],
    ["no part that is empty", csv, ";732.1", [{ id: "1", volt: 732.1 }]],
    [
      "the keys of a text",
      { text: { split: "&", pairs: "=" } },
      "soc=5&volt=x",
      [{ id: "1", soc: 5 }, "volt: not a number"],
    ],
    [
      "each line, but for a broken one",
      lines,
      '{"soc":5}\n{"soc":\n{"volt":6}\n',
      [{ id: "1", soc: 5, volt: 6 }, ": not JSON"],
    ],
    [
      "a table below its header",
      { ...table, tags: [{ name: "id", path: "unit", meaning: "Unit." }] },
      "unit,soc,volt\na,5,\nb,6,7",
      [
        { id: "a", soc: 5 },
        { id: "b", soc: 6, volt: 7 },
      ],
    ],
    [
      "one series for a padded id",
      { tags: [{ name: "id", path: "sn", meaning: "Unit." }] },
      '{"sn":" A7\\u0000\\u0000","soc":5}',
      [{ id: "A7", soc: 5 }],
    ],
    [
      "a number before a no-break space",
      { fields: [{ ...soc, number: { decimal: ",", suffix: "%" } }] },
      '{"soc":"87,5\u00a0%"}',
      [{ id: "1", soc: 87.5 }],
    ],
  ])("%s", (_, form, payload, expected) => expect(readOf(form, payload)).toEqual(expected));
});
