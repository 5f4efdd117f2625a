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
