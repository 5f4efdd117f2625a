import fc from "fast-check";
import type { Row, Table } from "../../../cli/export/table";
import { csvWriter, lineWriter, timeWriter } from "../../../cli/export/text";
import { Counting, differences } from "../../../cli/export/totals";
import { windows } from "../../../cli/export/run";
import { PointLines } from "../../../cli/import/line-protocol";
import { CsvRows, emptyText } from "../../../cli/replay/csv";
import { linesOf } from "../../../cli/replay/text";

const table: Table = {
  name: "a b",
  columns: [
    { name: "unit", kind: "tag", type: "utf8" },
    { name: "f=1", kind: "field", type: "float64", unit: "V" },
    { name: "i", kind: "field", type: "int64" },
    { name: "u", kind: "field", type: "uint64" },
    { name: "b", kind: "field", type: "bool" },
    { name: "s", kind: "field", type: "utf8" },
  ],
};

/** A text of every character that a format uses itself, and others. */
const text = fc
  .array(fc.constantFrom(..."ab,;= \"'\\\t\r\n#ü😀\u0000\ufeff"), { maxLength: 12 })
  .map((characters) => characters.join(""));
/** A tag as line protocol can have it. */
const tag = text
  .map((value) => value.replaceAll(/[\t\n]/g, "").replace(/\\+$/, ""))
  .filter(Boolean);
const whole = (low: bigint, high: bigint) => fc.bigInt(low, high).map(String);
const some = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const row = fc
  .tuple(
    whole(0n, 2n ** 62n),
    some(tag),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    some(whole(-(2n ** 63n), 2n ** 63n - 1n)),
    some(whole(0n, 2n ** 64n - 1n)),
    some(fc.boolean()),
    some(text),
  )
  .map((values): Row => ({ ...values }));

async function lines(content: string) {
  const found = [];
  async function* chunks() {
    yield* content.match(/[^]{1,7}/g) ?? [];
  }
  for await (const block of linesOf("", chunks())) found.push(...block);
  return found;
}

const types = ["float64", "int64", "uint64", "bool", "utf8"] as const;

test("line protocol is read as it was written", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 5 }), async (rows) => {
      const points = new PointLines();
      const read = [
        ...points.read(await lines(lineWriter(table).text(rows))),
        ...points.read([], true),
      ];
      expect(read.map(({ problems }) => problems).flat()).toEqual([]);
      expect(
        read.map(({ point }) => [
          point?.table,
          point?.time,
          point?.tags.get("unit"),
          ...["f=1", "i", "u", "b", "s"].map((name) => point?.fields.get(name)),
        ]),
      ).toEqual(
        rows.map((each) => [
          "a b",
          each[0],
          each[1],
          ...types.map((type, i) => {
            const value = each[i + 2];
            const written = Object.is(value, -0) ? "-0" : String(value);
            return value === undefined ? undefined : { type, text: written };
          }),
        ]),
      );
    }),
  );
});

test("a CSV file is read as it was written", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 5 }), async (rows) => {
      const { head, text: write } = csvWriter(table, "UTC", true);
      const csv = new CsvRows(",", true);
      const [header, ...read] = [...csv.read(await lines(head + write(rows))), ...csv.end()];
      expect(header?.cells).toEqual(["time", "unit", "f=1 [V]", "i", "u", "b", "s"]);
      expect(read.map(({ cells }) => cells?.slice(1))).toEqual(
        rows.map((each) =>
          [1, 2, 3, 4, 5, 6].map((i) => {
            const value = each[i];
            if (value === undefined) return "";
            return value === "" ? emptyText : Object.is(value, -0) ? "-0" : String(value);
          }),
        ),
      );
    }),
  );
});

test("a line that is broken takes no other with it", async () => {
  const points = new PointLines();
  const content = 'm f=1 1\nm s="open 2\n# a remark\n\nm f=3 3\nm f=x 4\nm,t= f=1 5\nm f=1 6 7\n';
  const read = [...points.read(await lines(content)), ...points.read([], true)];
  expect(read.map(({ line, point, problems }) => [line, point?.time, ...problems])).toEqual([
    [1, "1"],
    [2, undefined, "no end of a text at character 5"],
    [5, "3"],
    [6, undefined, '"x" is no value: write 1.5, 1i, 1u, true, false or "text"'],
    [7, undefined, "no value of a tag at character 5"],
    [8, undefined, "no time in ns at character 6"],
  ]);
});

test.each([
  ["UTC", "1774745999000000000", "2026-03-29T00:59:59Z"],
  ["Europe/Berlin", "1774745999000000000", "2026-03-29T01:59:59+01:00"],
  ["Europe/Berlin", "1774746000000000000", "2026-03-29T03:00:00+02:00"],
  ["Europe/Berlin", "1792890000100000000", "2026-10-25T02:00:00.100+01:00"],
  ["America/St_Johns", "1774746000000001000", "2026-03-28T22:30:00.000001-02:30"],
  ["UTC", "1", "1970-01-01T00:00:00.000000001Z"],
  ["UTC", "-1", "1969-12-31T23:59:59.999999999Z"],
])("in %s %s is %s", (zone, nanoseconds, written) =>
  expect(timeWriter(zone)(nanoseconds)).toBe(written),
);

test.each([
  [0, 100, 1, 1, [[0, 100]]],
  [
    0,
    100,
    500_000,
    1,
    [
      [0, 34],
      [34, 68],
      [68, 100],
    ],
  ],
  [
    0,
    3600,
    500_000,
    900,
    [
      [0, 1800],
      [1800, 3600],
    ],
  ],
  [0, 1, 1_000_000, 1, [[0, 1]]],
])(
  "%d s to %d s of %d rows, in intervals of %d s, are read in the parts %p",
  (from, to, rows, every, parts) => expect(windows({ from, to }, rows, every)).toEqual(parts),
);

describe("what was counted", () => {
  const columns = table.columns;
  const counted = (...rows: Row[]) => {
    const counting = new Counting(columns);
    counting.add(rows);
    return counting.totals;
  };
  const one: Row = { 0: "1", 1: "u", 2: 0.1, 3: "9223372036854775807", 5: true, 6: "ü" };
  const magnitudes = Object.fromEntries(columns.map(({ name }) => [name, 1]));

  test("has the exact sums", () => {
    expect(counted(one, one, one).columns).toEqual({
      unit: { count: 3, sum: "3" },
      "f=1": { count: 3, sum: 0.30000000000000004 },
      i: { count: 3, sum: "27670116110564327421" },
      u: { count: 0, sum: "0" },
      b: { count: 3, sum: "3" },
      s: { count: 3, sum: "6" },
    });
  });

  test.each<[string, Row, string[]]>([
    ["the same", one, []],
    [
      "another whole number",
      { ...one, 3: "9223372036854775806" },
      ["the sum of i is 9223372036854775807, and the database's 9223372036854775806"],
    ],
    ["a float within its rounding", { ...one, 2: 0.1 + 1e-12 }, []],
    ["another float", { ...one, 2: 0.1001 }, ["the sum of f=1 is 0.1, and the database's 0.1001"]],
    ["a value more", { ...one, 4: "1" }, ["0 values of u, and the database has 1"]],
    ["another text", { ...one, 6: "u" }, ["the sum of s is 2, and the database's 1"]],
  ])("is compared with %s", (_, stored, found) =>
    expect(differences(counted(one), { ...counted(stored), magnitudes })).toEqual(found),
  );

  test("is compared by its rows first", () =>
    expect(differences(counted(one), { ...counted(), magnitudes })).toEqual([
      "1 rows, and the database has 0",
    ]));
});
