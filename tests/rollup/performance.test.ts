import type { Model } from "../../configs/model";
import type { Indicators } from "../../configs/indicators";
import {
  dayAt,
  figureNames,
  performanceColumns,
  rowOf,
  startOfDay,
  statePattern,
  timeOfDay,
} from "../../configs/performance";
import { tiers } from "../../configs/rollups";
import { Database, type TableColumns } from "../../rollup/database";
import { answerFigures } from "../../rollup/figures";
import { parseFigureQuery } from "../../rollup/influxql";
import type { UnitDay } from "../../rollup/performance";
import { m5batByHand, m5batDay, m5batUnit, noM5bat } from "../support/m5bat";
import { isMade, madeFigures, madeRow, madeUnit } from "../support/made-week";
import { influxdbMissing as missing, until } from "../support/programs";
import { RolledSite } from "../support/rolled-site";

const day = 86_400;
/** M5BAT's table under another name than the made one's. */
const m5bat = { ...m5batUnit, name: "m5bat" };
const model: Model = { name: "two", title: "Two", measurements: [madeUnit, m5bat] };
const retention = { raw: "40d", minute: "365d", hour: "3650d", day: "3650d" };
/** The made week is the last one that is over. */
const start = Math.floor(Date.now() / 1000 / day) * day - 7 * day;

/** The rows of a unit's made day, from one minute on. */
function madeLines(id: string, d: number, from: number, share = 1): string[] {
  const lines: string[] = [];
  for (let minute = from; minute < 1440; minute += 1) {
    const { mode, power, ...numbers } = madeRow(d, minute);
    const fields = Object.entries({ ...numbers, power: power * share }).map(
      ([name, value]) => `${name}=${value}`,
    );
    const time = start + d * day + minute * 60;
    lines.push(`unit,id=${id} ${fields.join(",")},mode="${mode}" ${time}`);
  }
  return lines;
}

let site: RolledSite;
let running: ReturnType<RolledSite["startRollup"]>;

/** The rows that a query of figures answers, by their columns, with the tag of their series. */
async function rows(query: string): Promise<Record<string, unknown>[]> {
  const { answer } = await site.influxQl("reader", query, { epoch: "s" });
  const { results } = answer as {
    results: {
      series?: { tags?: Record<string, string>; columns: string[]; values: unknown[][] }[];
    }[];
  };
  return (results[0]?.series ?? []).flatMap(({ tags, columns, values }) =>
    values.map((row) => ({
      ...tags,
      ...Object.fromEntries(columns.map((name, i) => [name, row[i]])),
    })),
  );
}

const range = `time >= ${start}s AND time < ${start + 7 * day}s`;
const ofUnit = (select: string, id = "a") =>
  `SELECT ${select} FROM "unit-daily" WHERE ${range} AND "id" = '${id}' GROUP BY "id"`;

(missing ? describe.skip : describe)(
  `what units did by day${missing ? `: ${missing}` : ", on the real InfluxDB"}`,
  () => {
    beforeAll(async () => {
      site = await RolledSite.make(model, retention);
      for (let d = 0; d < 7; d += 1)
        await site.write(madeLines("a", d, 0).filter((_, minute) => isMade(d, minute)));
      // A second unit stops after five days, and gives half as much.
      for (let d = 0; d < 5; d += 1) await site.write(madeLines("b", d, 0, 0.5));
      if (!noM5bat) {
        let time = start + day;
        const lines: string[] = [];
        for (const { p, soc, pq, stop, silent, wait } of m5batDay()) {
          lines.push(
            `m5bat,unit=10 p_ac=${p},soc=${soc / 10},mode_pq=${pq}i,mode_stop=${stop}i,` +
              `mode_silent=${silent}i,mode_wait=${wait}i ${time}`,
          );
          time += 1;
        }
        await site.write(lines);
      }
      running = site.startRollup();
      await until(
        () => `all days are reckoned: ${running.output}`,
        async () => {
          const sql = "SELECT max(reckoned) AS reckoned FROM rollups";
          const [{ reckoned = 0 } = {}] = await site.sql("pipeline", sql);
          return Number(reckoned) >= start + 7 * day;
        },
        400,
      );
    }, 600_000);
    afterAll(async () => {
      await site?.close();
    });

    test("has the answers of the made week", async () => {
      const names = Object.keys(madeFigures);
      const [, second, , fourth, ...rest] = await rows(
        ofUnit([...names, "state_of_health"].map((name) => `"${name}"`).join(", ")),
      );
      expect(second).toEqual({
        id: "a",
        time: start + day,
        ...madeFigures,
        state_of_health: 99.9,
      });
      expect(fourth).toMatchObject({ completeness: 87.5, energy_charged: expect.closeTo(80, 9) });
      expect(rest).toHaveLength(3);
    });

    test("names the states that a pattern asks for", async () => {
      const [first] = await rows(ofUnit("/^hours_mode_/"));
      expect(first).toEqual({
        id: "a",
        time: start,
        hours_mode_charge: 8,
        hours_mode_discharge: 8,
        hours_mode_idle: 8,
      });
    });

    test("tells of a unit that is silent, and of all units together", async () => {
      const silent = await rows(ofUnit(`"availability", "energy_charged"`, "b"));
      expect(silent.map(({ availability }) => availability)).toEqual([
        100,
        100,
        100,
        100,
        100,
        // What held at midnight: three minutes.
        expect.closeTo((100 * 120) / day, 9),
        0,
      ]);
      const [first] = await rows(
        `SELECT energy_charged AS "in", round_trip_efficiency FROM "unit-site-daily" WHERE ${range}`,
      );
      expect(first).toEqual({
        time: start,
        in: expect.closeTo(120, 9),
        round_trip_efficiency: expect.closeTo(90, 9),
      });
    });

    test("sums up months", async () => {
      const from = new Date(start * 1000);
      const month = Date.UTC(from.getUTCFullYear(), from.getUTCMonth()) / 1000;
      const all = await rows(
        `SELECT "energy_charged", "state_of_health_trend" FROM "unit-monthly" ` +
          `WHERE time >= ${month}s AND time < ${start + 7 * day}s AND "id" = 'a' GROUP BY "id"`,
      );
      const total = all.reduce((sum, { energy_charged: energy }) => sum + Number(energy), 0);
      expect(total).toBeCloseTo(560, 6);
      expect(all[0]?.time).toBe(month);
      expect(all[0]?.state_of_health_trend).toBeCloseTo(-36.525, 6);
    });

    (noM5bat ? test.skip : test)(
      `has what is reckoned by hand of the day of M5BAT${noM5bat ? `: ${noM5bat}` : ""}`,
      async () => {
        const names = [...Object.keys(m5batByHand), "completeness", "equivalent_full_cycles"];
        const [told] = await rows(
          `SELECT ${names.join(", ")} FROM "m5bat-daily" WHERE ${range} GROUP BY "unit"`,
        );
        expect(told).toMatchObject({
          unit: "10",
          energy_charged: expect.closeTo(m5batByHand.energy_charged, 6),
          energy_discharged: expect.closeTo(m5batByHand.energy_discharged, 6),
          completeness: 100,
          equivalent_full_cycles: expect.closeTo(5.794, 9),
        });
      },
    );

    test("follows rows that come late", async () => {
      await site.write(madeLines("a", 3, 21 * 60));
      let completeness: unknown;
      await until(
        () => `the fourth day is complete: ${String(completeness)}\n${running.output}`,
        async () => {
          const found = await rows(ofUnit(`"completeness"`));
          ({ completeness } = found[3] ?? {});
          return completeness === 100;
        },
        120,
      );
    }, 150_000);

    test("writes nothing when the program starts again", async () => {
      const count = async () => {
        const sql = `SELECT count(*) AS n FROM "unit-performance"`;
        return (await site.sql(tiers.day.database, sql))[0]?.n;
      };
      const before = [await count(), await rows(ofUnit("/./"))];
      await site.stopRollup();
      const began = Date.now() / 1000;
      running = site.startRollup();
      await until(
        "a record",
        async () => {
          const sql = `SELECT max(time) AS time, last_value(rows ORDER BY time) AS rows FROM rollups`;
          const [{ time } = {}] = await site.sql("pipeline", sql);
          return Date.parse(`${String(time)}Z`) / 1000 >= began - 1;
        },
        60,
      );
      expect([await count(), await rows(ofUnit("/./"))]).toEqual(before);
    }, 90_000);
  },
);

describe("a day of a zone", () => {
  test.each([
    ["Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", 23],
    ["Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z", 25],
    ["Asia/Kolkata", "2026-01-01", "2025-12-31T18:30:00Z", 24],
    ["UTC", "2026-02-28", "2026-02-28T00:00:00Z", 24],
  ])("of %s, %s, begins at %s and has %d hours", (zone, name, from, hours) => {
    const begin = Date.parse(from) / 1000;
    expect(startOfDay(name, zone)).toBe(begin);
    for (const at of [begin, begin + hours * 3600 - 1])
      expect(dayAt(at, zone)).toEqual({ name, from: begin, to: begin + hours * 3600 });
  });
});

/** Stands in for InfluxDB: it has the days that it is given, and keeps what it is asked. */
class Stored extends Database {
  asked = "";

  constructor(private readonly days: readonly UnitDay[]) {
    super("http://127.0.0.1:1");
  }

  override async *rows(_: string, __: string, sql: string): AsyncGenerator<string[][]> {
    this.asked = sql;
    yield this.days.map(({ tags, day: { name, from, indicators } }) => {
      const row = rowOf(indicators);
      return [
        ...tags.map((value) => value ?? ""),
        `${timeOfDay(name)}`,
        `${from}`,
        ...performanceColumns.map(([column, type]) =>
          row[column] === undefined ? "" : `${type === "string" ? "=" : ""}${row[column]}`,
        ),
      ];
    });
  }
}

describe("a query of figures", () => {
  const zone = "Europe/Berlin";
  const dayOf = (id: string, name: string, more: Partial<Indicators>): UnitDay => ({
    tags: [id],
    day: {
      name,
      from: startOfDay(name, zone),
      indicators: {
        rows: 100,
        expected: 200,
        seconds: 1000,
        reported: 500,
        states: { mode: { "a,b": 1800, '"c"': 3600 } },
        outside: {},
        spread: {},
        ...more,
      },
    },
  });
  const days = [
    dayOf("a", "2026-03-30", { charged: 10, discharged: 9 }),
    dayOf("b", "2026-03-30", { charged: 20, discharged: 12, rows: 200 }),
    dayOf("a", "2026-03-31", { charged: 30, discharged: 27 }),
    dayOf("a", "2026-04-01", { charged: 5 }),
  ];
  const columns: TableColumns = new Map([
    ["unit-performance", new Map([["id", "tag"], ...performanceColumns])],
  ]);
  const answer = async (text: string) => {
    const database = new Stored(days);
    const query = parseFigureQuery(text, model, 0);
    if (!query) return undefined;
    const options = { database, authorization: "", columns, zone };
    const told = await answerFigures(query, options, (seconds) => seconds);
    const { results } = told as { results: { series?: object[] }[] };
    return { asked: database.asked, series: results[0]?.series };
  };
  const march = "time >= '2026-02-28T23:00:00Z' AND time < '2026-03-31T22:00:00Z'";
  const at = (name: string) => startOfDay(name, zone);

  test("answers days of the site's zone by unit", async () => {
    const told = await answer(
      `SELECT "energy_charged" AS "in", /^hours_mode_/ FROM "unit-daily" ` +
        `WHERE ${march} AND "id" =~ /^(a|b)$/ GROUP BY "id"`,
    );
    expect(told?.asked).toContain(`coalesce("id", '') ~ '^(a|b)$'`);
    const names = ["time", "in", 'hours_mode_"c"', "hours_mode_a,b"];
    expect(told?.series).toEqual([
      {
        name: "unit-daily",
        tags: { id: "a" },
        columns: names,
        values: [
          [at("2026-03-30"), 10, 1, 0.5],
          [at("2026-03-31"), 30, 1, 0.5],
        ],
      },
      {
        name: "unit-daily",
        tags: { id: "b" },
        columns: names,
        values: [[at("2026-03-30"), 20, 1, 0.5]],
      },
    ]);
  });

  test("sums up a month of all units, the latest first", async () => {
    const told = await answer(
      `SELECT energy_charged, round_trip_efficiency, completeness FROM "unit-site-monthly" ` +
        `WHERE time >= '2026-02-01' AND time < '2026-05-01' ORDER BY time DESC`,
    );
    expect(told?.series).toEqual([
      {
        name: "unit-site-monthly",
        columns: ["time", "energy_charged", "round_trip_efficiency", "completeness"],
        values: [
          [at("2026-04-01"), 5, 0, 50],
          [at("2026-03-01"), 60, 80, expect.closeTo((100 * 400) / 600, 9)],
        ],
      },
    ]);
  });

  test.each([
    ["another table", `SELECT energy_charged FROM "unit" WHERE ${march}`],
    ["no range", `SELECT energy_charged FROM "unit-daily"`],
    ["an aggregate", `SELECT sum(energy_charged) FROM "unit-daily" WHERE ${march}`],
    ["units of a site", `SELECT energy_charged FROM "unit-site-daily" WHERE ${march} GROUP BY id`],
  ])("leaves %s to InfluxDB", async (_, text) => {
    expect(await answer(text)).toBeUndefined();
  });

  test("has the names of a table's figures", () => {
    const isNamed = (name: string) => !name.startsWith("hours_mode_");
    const names = [...Object.keys(madeFigures), "state_of_health"].filter(isNamed);
    expect(new Set(figureNames(madeUnit).map(({ name }) => name))).toEqual(new Set(names));
    expect(statePattern({ name: "mode" })).toBe("^hours_mode_");
  });
});
