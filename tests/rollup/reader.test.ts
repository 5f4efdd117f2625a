import { loadModel } from "../../configs/model";
import { Database, type TableColumns } from "../../rollup/database";
import { parseQuery } from "../../rollup/influxql";
import { Reader } from "../../rollup/reader";

const model = loadModel("configs/telemetry.yaml");
const retention = { raw: "90d", minute: "365d", hour: "3650d", day: "3650d" };
const now = Date.UTC(2026, 10, 27, 12) / 1000;

/** Stands in for InfluxDB: it keeps what it is asked, and gives one row to each question. */
class Asked extends Database {
  readonly questions: { db: string; sql: string }[] = [];

  constructor(private readonly row: (db: string) => string[]) {
    super("http://127.0.0.1:1");
  }

  override async *rows(_: string, db: string, sql: string): AsyncGenerator<string[][]> {
    this.questions.push({ db, sql });
    yield [this.row(db)];
  }
}

const columns: TableColumns = new Map([
  [
    "battery",
    new Map([
      ["id", "tag"],
      ["group_id", "tag"],
      ["soc", "float"],
      ...["count", "sum", "min", "max", "last"].map(
        (a) => [`soc_${a}`, a === "count" ? "int" : "float"] as const,
      ),
    ]),
  ],
]);

const readerOf = (database: Database) =>
  new Reader(
    database,
    {
      complete: () => Math.floor(now / 21_600) * 21_600,
      columns: { minute: columns, hour: columns, day: columns },
      raw: columns,
    },
    retention,
  );

const at = (daysAgo: number) => now - daysAgo * 86_400;
const query = (
  from: number,
  to: number,
  interval: string,
  select = "mean(soc)",
  fill = "fill(null)",
) => {
  const text =
    `SELECT ${select} FROM battery WHERE time >= ${from}s AND time < ${to}s ` +
    `GROUP BY time(${interval}), "id", "group_id" ${fill}`;
  const parsed = parseQuery(text, model, now);
  if (!parsed) throw new Error(`not read: ${text}`);
  return parsed;
};

describe("the reader", () => {
  test.each([
    ["an hour of today", at(0.1), at(0), "10s"],
    ["a short interval", at(7), at(0), "45s"],
    ["less than an hour of what is rolled up", at(1), at(0.99), "1m"],
  ])("leaves %s to InfluxDB", (_, from, to, interval) => {
    expect(readerOf(new Asked(() => [])).plan(query(from, to, interval), now)).toBeUndefined();
  });

  test("asks no tier for what its retention has taken", () => {
    const plan = readerOf(new Asked(() => [])).plan(query(at(800) + 7, at(0), "1d"), now);
    expect(plan?.segments.map(({ source }) => source)).toEqual(["hour", "day", "hour"]);
  });

  test("shows the minute where rows are asked for that are no more", async () => {
    const minute = Math.floor(at(200) / 60);
    const database = new Asked(() => ["", "k1", `${minute}`, "60", "3000"]);
    const reader = readerOf(database);
    const asked = query(minute * 60 + 20, minute * 60 + 50, "10s");
    const plan = reader.plan(asked, now);
    if (!plan) throw new Error("no plan");
    expect(plan).toMatchObject({ step: 60, segments: [{ source: "minute" }] });
    expect(await reader.answer(asked, plan, "Bearer a", (s) => s)).toEqual({
      results: [
        {
          statement_id: 0,
          series: [
            {
              name: "battery",
              tags: { group_id: "", id: "k1" },
              columns: ["time", "mean"],
              values: [20, 30, 40].map((s) => [minute * 60 + s, 50]),
            },
          ],
        },
      ],
    });
    expect(database.questions).toHaveLength(1);
  });

  test("shows the hour of two years ago, and adds nothing up that is not whole", () => {
    const reader = readerOf(new Asked(() => []));
    expect(reader.plan(query(at(700), at(699), "1m"), now)).toMatchObject({ step: 3600 });
    expect(reader.plan(query(at(700), at(699), "1m", "sum(soc)"), now)).toBeUndefined();
    expect(reader.plan(query(at(700), at(699), "1m", "max(soc) * -1 AS a"), now)).toMatchObject({
      step: 3600,
    });
  });

  test("merges the parts of a bucket, the last of which is the last", async () => {
    const hour = Math.floor(at(3) / 3600) + 1;
    const database = new Asked((db) => [
      "",
      "k1",
      `${hour}`,
      "60",
      "3000",
      "40",
      "60",
      db === "bess_hour" ? "41" : "42",
    ]);
    const reader = readerOf(database);
    const select = "mean(soc), min(soc), max(soc), last(soc)";
    const asked = query(hour * 3600 - 60, hour * 3600 + 7260, "1h", select, "fill(none)");
    const plan = reader.plan(asked, now);
    expect(plan?.segments.map(({ source }) => source)).toEqual(["minute", "hour", "minute"]);
    const answer = await reader.answer(
      asked,
      plan ?? { step: 0, segments: [] },
      "Bearer a",
      (s) => s,
    );
    expect(answer).toMatchObject({
      results: [{ series: [{ values: [[hour * 3600, 50, 40, 60, 42]] }] }],
    });
  });
});
