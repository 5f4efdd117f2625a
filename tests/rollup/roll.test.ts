import fc from "fast-check";
import { loadModel, type Measurement } from "../../configs/model";
import {
  chunkSeconds,
  type Columns,
  fold,
  holdSeconds,
  mostStates,
  otherState,
  rolledOf,
  type Tier,
  tierNames,
  tiers,
  tierTables,
  unfold,
  windowOf,
} from "../../configs/rollups";
import { CsvReader } from "../../rollup/csv";
import { ExactSum } from "../../configs/exact-sum";
import { segmentsOf } from "../../rollup/reader";
import { type Bucket, MergedBuckets, RowBuckets, StateRoll, type Value } from "../../rollup/roll";
import { byWindow, joined } from "../../rollup/spans";
import { exactSum, type Expected, keyOf, mergedOf, minutesOf, type Row } from "./expected";

const model = loadModel("configs/telemetry.yaml");
const measurement = (name: string): Measurement => {
  const found = model.measurements.find((m) => m.name === name);
  if (!found) throw new Error(`no measurement ${name}`);
  return found;
};
const pcs = measurement("pcs");
const bess = measurement("bess");

const shuffled = <T>(items: readonly T[]) =>
  fc.shuffledSubarray([...items], { minLength: items.length, maxLength: items.length });

const double = fc
  .tuple(fc.integer({ min: -(2 ** 52), max: 2 ** 52 }), fc.integer({ min: -60, max: 60 }))
  .map(([mantissa, exponent]) => mantissa * 2 ** exponent);

describe("an exact sum", () => {
  test("is what whole numbers give, in any order", () => {
    fc.assert(
      fc.property(
        fc
          .array(double, { maxLength: 40 })
          .chain((numbers) => fc.tuple(fc.constant(numbers), shuffled(numbers))),
        ([numbers, other]) => {
          const of = (some: number[]) => {
            const sum = new ExactSum();
            some.forEach((x) => sum.add(x));
            return sum.value;
          };
          expect(of(numbers)).toBe(exactSum(numbers));
          expect(of(other)).toBe(of(numbers));
        },
      ),
    );
  });

  test.each([
    [[1e100, 1, -1e100], 1],
    [[0.1, 0.2, 0.3, -0.6], 2.7755575615628914e-17],
    [[1, 2 ** -53, 2 ** -106], 1 + 2 ** -52],
    [[], 0],
    [[-0, -0], 0],
  ])("of %j is %d", (numbers, total) => {
    const sum = new ExactSum();
    numbers.forEach((x) => sum.add(x));
    expect(sum.value).toBe(total);
  });
});

const start = Date.UTC(2026, 9, 25, 0) / 1000;

/** Rows of one unit at whole seconds of ten minutes, and some before them; some values are missing. */
const rowsOf = (m: Measurement): fc.Arbitrary<Pick<Row, "time" | "values">[]> =>
  fc.uniqueArray(
    fc.record({
      time: fc.integer({ min: start - 20, max: start + 599 }),
      values: fc
        .record(
          Object.fromEntries(
            m.fields.map(({ name, type }) => [
              name,
              type === "string"
                ? fc.constantFrom("on", "off", "")
                : fc.integer({ min: -9e5, max: 9e5 }).map((x) => x / 1000),
            ]),
          ),
          { requiredKeys: [] },
        )
        .map(
          (values) =>
            Object.fromEntries(
              Object.entries(values).flatMap(([name, value]) =>
                value === undefined ? [] : [[name, value]],
              ),
            ) as Row["values"],
        ),
    }),
    { selector: ({ time }) => time, maxLength: 60 },
  );

/** What the code makes of one unit's rows. */
function bucketsOf(
  m: Measurement,
  rows: readonly Pick<Row, "time" | "values">[],
  end = start + 600,
): Bucket[] {
  const made = new RowBuckets(rolledOf(m), 60, { start, end }, holdSeconds(m));
  for (const { time, values } of rows)
    made.add(
      (time - start) * 1e9,
      m.fields.map(({ name }): Value | undefined => {
        const value = values[name];
        return typeof value === "boolean" ? String(value) : value;
      }),
    );
  return made.buckets;
}

const asExpected = (m: Measurement, buckets: readonly Bucket[]): Expected =>
  new Map(
    buckets.map(({ at, values, states }) => {
      const columns: Record<string, number | string> = {};
      rolledOf(m).forEach(({ name }, i) => {
        for (const [aggregate, value] of Object.entries(values[i] ?? {}))
          if (value !== undefined) columns[`${name}_${aggregate}`] = value;
      });
      for (const [field, times] of states)
        for (const [state, seconds] of times) columns[`state ${field} ${state}`] = seconds;
      return [keyOf({}, at), columns];
    }),
  );

/** What is expected of the minutes from the start on; an empty text is no state. */
function expectedOf(m: Measurement, rows: readonly Pick<Row, "time" | "values">[]): Expected {
  const all = minutesOf(
    m,
    rows.map((row) => ({ tags: {}, ...row })),
  );
  const within = [...all].filter(([key]) => {
    const at = Number(key.split(" ").at(-1));
    return at >= start && at < start + 600;
  });
  return new Map(within);
}

describe("the minutes of rows", () => {
  test.each([pcs, bess])("are what $name's rows give, in any order", (m) => {
    const states = m.fields.filter(({ type }) => type === "string").map(({ name }) => name);
    fc.assert(
      fc.property(
        rowsOf(m).chain((rows) => fc.tuple(fc.constant(rows), shuffled(rows))),
        ([rows, other]) => {
          // Only texts that are not empty are states.
          const plain = rows.map((row) => ({
            ...row,
            values: Object.fromEntries(
              Object.entries(row.values).filter(
                ([name, value]) => !states.includes(name) || value !== "",
              ),
            ),
          }));
          const kept = plain.filter(({ values }) => Object.keys(values).length > 0);
          expect(asExpected(m, bucketsOf(m, kept))).toEqual(expectedOf(m, kept));
          expect(bucketsOf(m, other)).toEqual(bucketsOf(m, rows));
        },
      ),
    );
  });

  test("make the same hours whatever parts they are merged in", () => {
    fc.assert(
      fc.property(
        rowsOf(pcs).chain((rows) => {
          const minutes = bucketsOf(pcs, rows);
          return fc.tuple(fc.constant(minutes), shuffled(minutes));
        }),
        ([minutes, other]) => {
          const hours = (some: readonly Bucket[]) => {
            const merged = new MergedBuckets(rolledOf(pcs), 3600);
            for (const { at, values } of some) merged.merge(at, values);
            return merged.buckets;
          };
          expect(hours(other)).toEqual(hours(minutes));
          expect(asExpected(pcs, hours(minutes))).toEqual(mergedOf(asExpected(pcs, minutes), 3600));
        },
      ),
    );
  });

  test("end a state after three intervals, and at the next row", () => {
    const rows = [
      { time: start - 4, values: { operation_mode: "on" } },
      { time: start + 30, values: { operation_mode: "off" } },
      { time: start + 33, values: { operation_mode: "on" } },
    ];
    const [bucket] = bucketsOf(bess, rows);
    expect(bucket?.states.get("operation_mode")).toEqual(
      new Map([
        ["on", 16],
        ["off", 3],
      ]),
    );
  });

  test("name 32 states at most, those that lasted longest", () => {
    const roll = new StateRoll();
    for (let i = 1; i <= 40; i += 1) roll.add(`s${i}`, i);
    const { times } = roll;
    expect(times.size).toBe(mostStates + 1);
    expect(times.get(otherState)).toBe(1 + 2 + 3 + 4 + 5 + 6 + 7 + 8);
  });
});

describe("the layout", () => {
  const tier = fc.constantFrom<Tier>(...tierNames);
  const moment = fc.integer({ min: 0, max: 4e9 });

  test("folds each bucket into its window's first block, and back", () => {
    fc.assert(
      fc.property(tier, moment, (name, at) => {
        const { seconds } = tiers[name];
        const begin = Math.floor(at / seconds) * seconds;
        const { start: first, end } = windowOf(name, begin);
        expect(first).toBeLessThanOrEqual(begin);
        expect(end).toBeGreaterThan(begin);
        const time = fold(name, begin);
        expect(Math.floor(time / 600)).toBe(first / 600);
        expect(unfold(name, time)).toBe(begin);
      }),
    );
  });

  test("keeps the order of time", () => {
    fc.assert(
      fc.property(tier, moment, moment, (name, a, b) => {
        expect(Math.sign(fold(name, a) - fold(name, b)) * Math.sign(a - b)).toBeGreaterThanOrEqual(
          0,
        );
      }),
    );
  });

  test("has whole windows in the coarser tier's", () => {
    fc.assert(
      fc.property(moment, (at) => {
        expect(windowOf("hour", at).start % 21_600).toBe(0);
        const month = windowOf("day", at);
        expect(windowOf("hour", month.start).start).toBe(month.start);
        expect(windowOf("hour", month.end).start).toBe(month.end);
        const { start, end } = windowOf("hour", at);
        expect((end - start) / 86_400).toBeLessThanOrEqual(8);
        expect(21_600 % chunkSeconds({ interval: "10s" })).toBe(0);
      }),
    );
  });

  const wide = (count: number, from = 0): Measurement => ({
    ...pcs,
    fields: Array.from({ length: count }, (_, i) => ({
      ...pcs.fields[0],
      name: `f${i + from}`,
      quantity: "other",
    })) as Measurement["fields"],
  });
  const columnsOf = (m: Measurement, existing?: Columns): Columns =>
    new Map(
      tierTables(m, existing).map(({ table, rolled }) => [
        table,
        new Map(
          rolled.flatMap(({ name, type }) =>
            ["count", "sum", "min", "max", "last"].map(
              (a) =>
                [`${name}_${a}`, a === "count" ? "int" : a === "sum" ? "float" : type] as const,
            ),
          ),
        ),
      ]),
    );

  test("splits what would pass 500 columns, and moves nothing when a field is added", () => {
    const before = tierTables(wide(250));
    expect(before.map(({ table, rolled }) => [table, rolled.length])).toEqual([
      ["pcs", 99],
      ["pcs-2", 99],
      ["pcs-3", 52],
    ]);
    const more = { ...wide(250), fields: [...wide(1, 900).fields, ...wide(250).fields] };
    const after = tierTables(more, columnsOf(wide(250)));
    const place = (tables: typeof before, name: string) =>
      tables.find(({ rolled }) => rolled.some((each) => each.name === name))?.table;
    for (const name of ["f0", "f98", "f99", "f249"])
      expect(place(after, name)).toBe(place(before, name));
    expect(place(after, "f900")).toBe("pcs-3");
  });

  test("gives a field whose type has changed other columns", () => {
    const changed = {
      ...pcs,
      fields: pcs.fields.map((f, i) => (i === 0 ? { ...f, type: "int" as const } : f)),
    };
    const tables = tierTables(changed, columnsOf(pcs));
    expect(
      tables.map(({ table, rolled }) => [
        table,
        rolled.map(({ name }) => name).includes("dc_voltage"),
      ]),
    ).toEqual([
      ["pcs", false],
      ["pcs-2", true],
    ]);
  });
});

describe("a range", () => {
  const second = 1_000_000_000n;
  const intervals = fc.constantFrom(60, 120, 300, 600, 1800, 3600, 7200, 86_400, 604_800, 45);

  test("is covered once, without a seam, by tiers only where they are complete", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1_700_000_000n * second, max: 1_800_000_000n * second }),
        fc.bigInt({ min: 1n, max: 40_000_000n * second }),
        intervals,
        fc.integer({ min: 1_700_000_000, max: 1_900_000_000 }),
        (from, length, interval, until) => {
          const complete = (tier: Tier) =>
            windowOf(tier, Math.floor(until / 21_600) * 21_600).start;
          const segments = segmentsOf(from, from + length, interval, complete);
          let at = from;
          for (const { source, start: begin, end } of segments) {
            expect(begin).toBe(at);
            expect(end).toBeGreaterThan(begin);
            at = end;
            if (source === "raw") continue;
            const bucket = BigInt(tiers[source].seconds) * second;
            expect([begin % bucket, end % bucket, interval % tiers[source].seconds]).toEqual([
              0n,
              0n,
              0,
            ]);
            expect(end <= BigInt(complete(source)) * second).toBe(true);
          }
          expect(at).toBe(from + length);
          expect(segments.length).toBeLessThanOrEqual(7);
        },
      ),
    );
  });

  test("is joined with others, and cut at windows", () => {
    expect(
      joined([
        { start: 5, end: 9 },
        { start: 0, end: 5 },
        { start: 20, end: 30 },
      ]),
    ).toEqual([
      { start: 0, end: 9 },
      { start: 20, end: 30 },
    ]);
    expect(byWindow({ start: 21_000, end: 43_300 })).toEqual([
      { start: 21_000, end: 21_600 },
      { start: 21_600, end: 43_200 },
      { start: 43_200, end: 43_300 },
    ]);
  });
});

describe("CSV", () => {
  const field = fc.string({ unit: fc.constantFrom("a", ",", '"', "\n", "ä"), maxLength: 6 });
  const quoted = (text: string) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  test("is read the same in whatever pieces it comes", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(field, { minLength: 2, maxLength: 4 })),
        fc.array(fc.nat(20)),
        (rows, cuts) => {
          let rest = rows.map((row) => `${row.map(quoted).join(",")}\n`).join("");
          const reader = new CsvReader();
          const read: string[][] = [];
          for (const cut of cuts) {
            read.push(...reader.read(rest.slice(0, cut)));
            rest = rest.slice(cut);
          }
          read.push(...reader.read(rest));
          expect(read).toEqual(rows);
        },
      ),
    );
  });
});
