import { filesOfTable, queryFileLimit, rollupTables, schema } from "../../configs/influxdb";
import { loadModel, mostColumns } from "../../configs/model";
import { type RetentionChoice, retentionFindings, retentionOf } from "../../configs/retention";
import { tiers } from "../../configs/rollups";

describe("what is kept", () => {
  test.each<[what: string, choice: RetentionChoice, kept: string]>([
    ["by profile", { profile: "pi" }, "90d 365d 3650d 3650d"],
    ["of rows alone", { profile: "pi", retention: "30d" }, "30d 365d 3650d 3650d"],
    [
      "of rows for years",
      { profile: "server", retention: "20000d" },
      Array(4).fill("20000d").join(" "),
    ],
    ["of one tier", { profile: "dev", retention: { minute: "730d" } }, "30d 730d 3650d 3650d"],
    [
      "of all",
      { profile: "dev", retention: { raw: "1d", minute: "10d", hour: "40d", day: "40d" } },
      "1d 10d 40d 40d",
    ],
  ])("%s", (_, choice, kept) => {
    expect(Object.values(retentionOf(choice)).join(" ")).toBe(kept);
    expect(retentionFindings(choice)).toEqual([]);
  });

  test("is refused of each tier that is shorter than the finer one", () => {
    const retention = { raw: "90d", minute: "2160h", hour: "30d", day: "10d" };
    expect(retentionFindings({ profile: "pi", retention })).toEqual([
      { tier: "hour", message: "keep it as long as retention.minute at least, which is 2160h" },
      { tier: "day", message: "keep it as long as retention.hour at least, which is 30d" },
    ]);
  });
});

test("a tier is refused that has gone before the next is made of it", () => {
  const retention = { raw: "1d", minute: "9d", hour: "40d" };
  expect(retentionFindings({ profile: "pi", retention })).toEqual([
    { tier: "minute", message: expect.stringMatching(/^keep it for 10d at least/) },
  ]);
});

describe("the rollups' tables", () => {
  const models = ["configs/telemetry.yaml", "configs/models/m5bat.yaml"].map((file) =>
    loadModel(file),
  );

  test.each(models)(
    "of $name are in five databases, and have no more columns than these take",
    (model) => {
      const made = schema(model, retentionOf({ profile: "pi" }));
      expect(made.databases.map(({ db }) => db)).toEqual([
        "bess",
        ...Object.values(tiers).map(({ database }) => database),
        "pipeline",
      ]);
      for (const { tags, fields } of rollupTables(model))
        expect(1 + tags.length + fields.length).toBeLessThanOrEqual(mostColumns);
      expect(new Set(made.tables.map(({ db, table }) => `${db}.${table}`)).size).toBe(
        made.tables.length,
      );
    },
  );

  test("have so few files that ten years can be asked", () => {
    const retention = retentionOf({ profile: "dev", retention: "1d" });
    const files = filesOfTable(retention);
    expect(files).toEqual({ raw: 144, minute: 1460, hour: 480, day: 120 });
    expect(queryFileLimit(retention)).toBeGreaterThanOrEqual(files.hour);
  });
});
