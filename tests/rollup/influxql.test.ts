import { loadModel } from "../../configs/model";
import { rolledOf } from "../../configs/rollups";
import { dashboards, queriesOf } from "../../dashboards";
import { parseQuery } from "../../rollup/influxql";

const model = loadModel("configs/telemetry.yaml");
const now = 1_800_000_000;
const parse = (text: string) => parseQuery(text, model, now);
const range = "time >= 1790000000000ms and time <= 1790086400000ms";
const by = 'GROUP BY time(1h), "id", "group_id" fill(null)';

describe("a query", () => {
  test("is read with its range, its units and its interval", () => {
    expect(
      parse(
        `SELECT mean("soc") AS "soc", min(soc) FROM "battery" WHERE ${range} AND "id" =~ /^(a|b\\/c)$/ ${by}`,
      ),
    ).toEqual({
      measurement: model.measurements[1],
      columns: [
        { name: "soc", value: { aggregate: "mean", of: 0 } },
        { name: "min", value: { aggregate: "min", of: 0 } },
      ],
      conditions: [{ tag: "id", operator: "=~", value: "^(a|b/c)$" }],
      start: 1_790_000_000_000_000_000n,
      end: 1_790_086_400_000_000_001n,
      interval: 3600,
      tags: ["id", "group_id"],
      filled: true,
    });
  });

  test.each([
    ["time > now() - 7d AND time < now()", 1_799_395_200_000_000_001n, 1_800_000_000_000_000_000n],
    [
      "time >= '2026-10-25T00:00:00Z' and time < '2026-10-26'",
      1_792_886_400_000_000_000n,
      1_792_972_800_000_000_000n,
    ],
    ["time >= 5 AND time < 1h", 5n, 3_600_000_000_000n],
  ])("has the range of %s", (where, start, end) => {
    expect(parse(`SELECT mean(soc) FROM battery WHERE ${where} GROUP BY time(1m)`)).toMatchObject({
      start,
      end,
    });
  });

  test("of a derived power is one of what is rolled up, with its sign", () => {
    const query = (sign: string) =>
      `SELECT mean("power") AS "power", min(power) AS low FROM (SELECT "dc_voltage" * "dc_current"${sign} AS "power" FROM "pcs" WHERE ${range} AND "id" =~ /^x$/ GROUP BY "id", "group_id") WHERE ${range} ${by}`;
    const pcs = model.measurements[2];
    const of = pcs ? rolledOf(pcs).findIndex(({ name }) => name === "_power_dc") : -1;
    expect(parse(query(""))).toMatchObject({
      columns: [{ value: { aggregate: "mean", of } }, { value: { aggregate: "min", of } }],
      conditions: [{ tag: "id", value: "^x$" }],
    });
    const turned = (aggregate: string) => ({
      value: { operator: "*", left: { aggregate, of }, right: { number: -1 } },
    });
    expect(parse(query(" * -1"))?.columns).toMatchObject([turned("mean"), turned("max")]);
  });

  test.each([
    ["an aggregate that no rollup has", `SELECT median(soc) FROM battery WHERE ${range} ${by}`],
    ["a first value", `SELECT first(soc) FROM battery WHERE ${range} ${by}`],
    ["rows", `SELECT soc FROM battery WHERE ${range}`],
    ["no interval", `SELECT mean(soc) FROM battery WHERE ${range} GROUP BY id`],
    [
      "an interval with an offset",
      `SELECT mean(soc) FROM battery WHERE ${range} GROUP BY time(1h, 5m)`,
    ],
    ["another fill", `SELECT mean(soc) FROM battery WHERE ${range} GROUP BY time(1h) fill(0)`],
    ["no upper end", `SELECT mean(soc) FROM battery WHERE time > now() - 7d GROUP BY time(1h)`],
    [
      "either of two conditions",
      `SELECT mean(soc) FROM battery WHERE ${range} OR id = 'a' GROUP BY time(1h)`,
    ],
    [
      "a condition on a field",
      `SELECT mean(soc) FROM battery WHERE ${range} AND soc > 5 GROUP BY time(1h)`,
    ],
    ["two of one name", `SELECT mean(soc), mean(voltage) FROM battery WHERE ${range} ${by}`],
    ["arithmetic without a name", `SELECT mean(soc) * 2 FROM battery WHERE ${range} ${by}`],
    ["a division", `SELECT mean(soc) / 2 AS x FROM battery WHERE ${range} ${by}`],
    [
      "the last of several units",
      `SELECT last(soc) FROM battery WHERE ${range} GROUP BY time(1h), id`,
    ],
    ["a text's mean", `SELECT mean(operation_mode) FROM bess WHERE ${range} GROUP BY time(1h), id`],
    ["an unknown field", `SELECT mean(nix) FROM battery WHERE ${range} ${by}`],
    ["an unknown table", `SELECT mean(soc) FROM nix WHERE ${range} ${by}`],
    ["a derived power's column", `SELECT mean("_power_dc") FROM pcs WHERE ${range} ${by}`],
    [
      "a zone",
      `SELECT mean(soc) FROM battery WHERE ${range} GROUP BY time(1d) tz('Europe/Berlin')`,
    ],
    ["a limit", `SELECT mean(soc) FROM battery WHERE ${range} GROUP BY time(1d) LIMIT 1`],
    [
      "two statements",
      `SELECT mean(soc) FROM battery WHERE ${range} GROUP BY time(1d); SHOW DATABASES`,
    ],
    ["no query", "SHOW TAG VALUES FROM battery WITH KEY = id"],
    ["nothing", ""],
    ["an open text", "SELECT 'a"],
    ["half an interval", `SELECT mean(soc) FROM battery WHERE ${range} GROUP BY time(1500ms)`],
    [
      "a power that is not rolled up",
      `SELECT mean(power) FROM (SELECT dc_voltage * ac_a_current AS power FROM pcs WHERE ${range} GROUP BY id, group_id) WHERE ${range} ${by}`,
    ],
  ])("with %s is left to InfluxDB", (_, text) => {
    expect(parse(text)).toBeUndefined();
  });

  test("of each dashboard's series is read", () => {
    const asked = dashboards(model)
      .flatMap(queriesOf)
      .filter(({ query }) => query.includes("time($__interval)") && query.includes('"id"'));
    expect(asked.length).toBeGreaterThan(15);
    for (const { query } of asked) {
      const text = query
        .replaceAll("$timeFilter", range)
        .replaceAll("$__interval", "1h")
        .replaceAll(/\/\^\$\w+\$\//g, "/^.*$/");
      expect([text, parse(text)]).toEqual([text, expect.anything()]);
    }
  });
});
