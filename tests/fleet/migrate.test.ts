import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { type Schema, schema, schemaScript } from "../../configs/influxdb";
import type { MigrationChoices } from "../../configs/migration";
import { type Model, modelSchema } from "../../configs/model";
import { retentionOf } from "../../configs/retention";
import { compareTables } from "../../configs/tables";
import { Migration } from "../../fleet";
import { Influx } from "../support/influxdb";
import { influxdbMissing as missing } from "../support/programs";

const onReal = missing ? describe.skip : describe;
if (missing) test.skip(`the real database: ${missing}`, () => undefined);

interface Measurement {
  name: string;
  topic: string;
  tags: Record<string, unknown>[];
  fields: Record<string, unknown>[];
}

/** The default model after a change of its table `battery`. */
function changed(change: (battery: Measurement) => void = () => undefined): Schema {
  const read = parse(readFileSync("configs/telemetry.yaml", "utf8")) as {
    measurements: Measurement[];
  };
  const battery = read.measurements.find(({ name }) => name === "battery");
  if (!battery) throw new Error("the default model has no table battery");
  change(battery);
  const model: Model = modelSchema.parse(read);
  return schema(model, retentionOf({ profile: "pi" }));
}

const field = (battery: Measurement, name: string, change: object) => {
  battery.fields = battery.fields.map((one) =>
    one.name === name ? { name, path: name, meaning: "Changed.", ...change } : one,
  );
};

const none: MigrationChoices = { rename: {}, tags: {}, defaults: {} };
/** Of rows that are there: more than two days of them. */
const minutes = 3000;

interface Sums {
  rows: number;
  voltage: number;
  soc: number;
}

onReal("a table of the real database", () => {
  let database: Influx;
  const now = Math.floor(Date.now() / 60_000) * 60;

  /** Rows of two batteries, one a minute, with values that a double holds exactly. */
  const rows = (first: number, count: number, more = "") =>
    Array.from({ length: count }, (_, i) => {
      const time = `${now - (first - i) * 60}000000000`;
      return ["b 1", "b,2"]
        .map(
          (id, unit) =>
            `battery,id=${id.replace(/[ ,]/, "\\$&")},group_id=g1 ` +
            `soc=${50 + (i % 40)},voltage=${700 + (i % 100) + unit / 4}${more} ${time}\n`,
        )
        .join("");
    }).join("");

  const sums = async (table = "battery"): Promise<Sums> => {
    const [found] = await database.query<Sums>(
      `SELECT count(*) AS rows, sum(voltage) AS voltage, sum(soc) AS soc FROM "${table}"`,
    );
    if (!found) throw new Error("no answer");
    return found;
  };

  const declare = (wanted: Schema) => database.script("bash", schemaScript(wanted, database.api));
  const migration = (wanted: Schema) => new Migration(database.script, wanted, database.place);

  beforeEach(async () => {
    database = await Influx.start();
    await declare(changed());
  }, 60_000);
  afterEach(() => database.remove());

  test("gets new columns without a row, and keeps its rows", async () => {
    const wanted = changed((battery) =>
      battery.fields.push({ name: "soh", type: "float", meaning: "Health." }),
    );
    await database.write(rows(10, 10));
    const before = await sums();
    await declare(wanted);
    expect(compareTables(await migration(wanted).look(), wanted, "kiel-1")).toEqual({
      made: [],
      warnings: [],
      refused: [],
    });
    expect(await database.query("SELECT soh FROM battery WHERE soh IS NOT NULL")).toEqual([]);
    expect(await sums()).toEqual(before);
  });

  test("of another type keeps every row, also those that come meanwhile", async () => {
    const wanted = changed((battery) => field(battery, "voltage", { type: "string" }));
    await database.write(rows(minutes, minutes));
    const before = await sums();
    expect(before.rows).toBe(2 * minutes);
    const { refused } = compareTables(await migration(wanted).look(), wanted, "kiel-1");
    expect(refused).toEqual([expect.stringMatching(/^bess\.battery\.voltage is float .*migrate/)]);

    const plan = await migration(wanted).plan(none);
    expect(await migration(wanted).unconverted(plan)).toEqual([]);
    // Telegraf goes on in the old shape, also with rows of blocks that are copied already.
    const written = migration(wanted).keep(plan);
    await database.write(rows(0, 10));
    await database.write(rows(minutes + 5, 5));
    await written;
    await database.write(rows(minutes + 10, 5));
    const old = await sums();
    expect(old.rows).toBe(2 * (minutes + 20));

    const reports = await migration(wanted).swap(plan);
    expect(reports.map(({ rows: counts }) => counts)).toEqual([[old.rows, old.rows]]);
    expect(await sums("battery-before-1")).toEqual(old);
    expect(compareTables(await migration(wanted).look(), wanted, "kiel-1").refused).toEqual([]);
    // As `up` does: columns of the former type are still in the tables of the rollups.
    await declare(wanted);
    // Telegraf comes back in the new shape.
    const fill = migration(wanted).fill(plan);
    await database.write(`battery,id=b3 soc=50,voltage="on" ${now}000000000`);
    const [report] = await fill;
    expect(report).toMatchObject({ copied: old.rows, kept: 0, same: 0, empty: 0 });
    await database.write(`battery,id=b3 soc=51,voltage="off" ${now + 1}000000000`);
    const [counted] = await database.query<{ rows: number; sum: number; soc: number }>(
      "SELECT count(*) AS rows, sum(TRY_CAST(voltage AS DOUBLE)) AS sum, sum(CAST(soc AS DOUBLE)) AS soc FROM battery",
    );
    expect(counted).toEqual({ rows: old.rows + 2, sum: old.voltage, soc: old.soc + 101 });
    expect(
      await database.query(`SELECT voltage, id FROM battery ORDER BY time, id LIMIT 2`),
    ).toEqual([
      { id: "b 1", voltage: "700" },
      { id: "b,2", voltage: "700.25" },
    ]);

    // What was kept stays until it is told to go; another run has nothing to do.
    const again = await migration(wanted).plan(none);
    expect(again).toEqual({
      swapped: [],
      missing: [],
      filled: [],
      unfilled: [],
      kept: [{ db: "bess", table: "battery-before-1" }],
    });
    await migration(wanted).drop(again);
    expect((await migration(wanted).plan(none)).kept).toEqual([]);
    expect(await database.query("SELECT count(*) AS rows FROM battery")).toEqual([
      { rows: old.rows + 2 },
    ]);
  }, 180_000);

  test("gets a tag by a constant, and another one from a field", async () => {
    const wanted = changed((battery) => {
      battery.tags.push({ name: "rack", path: "rack", meaning: "Rack." });
      battery.tags.push({ name: "level", path: "level", meaning: "Level." });
    });
    await expect(migration(wanted).plan(none)).rejects.toThrow(
      "bess.battery gets the tag rack: say what rows of before get, by --tag rack=VALUE or " +
        "--tag-from rack=COLUMN; --tag rack= leaves them without it",
    );
    await database.write(rows(minutes, minutes));
    const before = await sums();
    const tags = { rack: { constant: "r, 1" }, level: { from: "soc" } };
    const plan = await migration(wanted).plan({ ...none, tags });
    await migration(wanted).keep(plan);
    await migration(wanted).swap(plan);
    await migration(wanted).fill(plan);
    expect(await sums()).toEqual(before);
    const [found] = await database.query(
      "SELECT count(*) AS rows FROM battery WHERE rack = 'r, 1' AND level = CAST(CAST(soc AS BIGINT) AS VARCHAR)",
    );
    expect(found).toEqual({ rows: before.rows });
  }, 180_000);

  test("is renamed with its rows, beside the rows that come under the new name", async () => {
    const wanted = changed((battery) => (battery.name = "batteries"));
    await database.write(rows(minutes, minutes));
    const before = await sums();
    await declare(wanted);
    await database.write(`batteries,id=b3 soc=50,voltage=1 ${now}000000000`);
    const rename = { battery: "batteries" };
    const plan = await migration(wanted).plan({ ...none, rename });
    expect([plan.swapped, plan.missing]).toEqual([[], []]);
    await migration(wanted).keep(plan);
    await migration(wanted).swap(plan);
    await migration(wanted).fill(plan);
    expect(await sums("batteries")).toEqual({
      rows: before.rows + 1,
      voltage: before.voltage + 1,
      soc: before.soc + 50,
    });
    expect(await sums()).toEqual(before);
  }, 180_000);

  test("that is full of columns gets room for a new one", async () => {
    await database.write(rows(60, 60));
    const former = Array.from({ length: 494 }, (_, i) => `f${i}=1`).join();
    await database.write(`battery,id=b3 ${former} ${now}000000000`);
    const wanted = changed((battery) =>
      battery.fields.push({ name: "soh", type: "float", meaning: "Health." }),
    );
    const { refused } = compareTables(await migration(wanted).look(), wanted, "kiel-1");
    expect(refused).toEqual([expect.stringContaining("501, where InfluxDB takes 500 a table")]);
    const before = await sums();
    const plan = await migration(wanted).plan(none);
    await migration(wanted).keep(plan);
    await migration(wanted).swap(plan);
    const [report] = await migration(wanted).fill(plan);
    // One row has no value that the model still has.
    expect(report?.empty).toBe(1);
    expect(await sums()).toEqual({ ...before, rows: before.rows - 1 });
  }, 180_000);

  test("is whole after the migration was killed in each of its steps, and the database too", async () => {
    const wanted = changed((battery) => {
      field(battery, "voltage", { type: "int" });
      battery.tags.push({ name: "rack", path: "rack", meaning: "Rack." });
    });
    await database.write(rows(minutes, minutes));
    await database.write(`battery,id=b9 soc=1,voltage=700.5 ${now}000000000`);
    const choices = { ...none, tags: { rack: { constant: "r1" } } };
    const plan = await migration(wanted).plan(choices);
    const [bad] = await migration(wanted).unconverted(plan);
    expect(bad?.values).toEqual(
      expect.arrayContaining([expect.objectContaining({ value: "700.5", count: 1 })]),
    );
    const old = await sums();
    const whole =
      bad?.values.reduce((sum, { value, count }) => sum + Number(value) * count, 0) ?? 0;

    // Each step is cut off once its first rows are written, by the end of the database.
    for (const step of ["keep", "fill"] as const) {
      const now = await migration(wanted).plan(step === "keep" ? choices : none);
      if (step === "fill") await migration(wanted).swap(now);
      const cut = migration(wanted)[step](now, () => void database.kill());
      await expect(cut).rejects.toThrow(/InfluxDB/);
      await database.start();
      // The next step needs the rules no more: they are noted.
      const again = await migration(wanted).plan(none);
      await migration(wanted)[step](again);
    }
    expect(await sums("battery-before-1")).toEqual(old);
    const [found] = await database.query<{ rows: number; sum: number; soc: number }>(
      "SELECT count(*) AS rows, sum(voltage) AS sum, sum(soc) AS soc FROM battery WHERE rack = 'r1'",
    );
    expect(found).toEqual({ rows: old.rows, sum: old.voltage - whole, soc: old.soc });
  }, 240_000);
});
