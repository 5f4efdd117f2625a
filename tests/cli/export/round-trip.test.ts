import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { loadModel } from "../../../configs/model";
import { Checkout } from "../../support/checkout";
import { Influx } from "../../support/influxdb";
import { influxdbMissing, temporaryFolder, until } from "../../support/programs";

const title = influxdbMissing ? `(skipped: ${influxdbMissing})` : "on the real database";
const onReal = influxdbMissing ? describe.skip : describe;

const texts = [
  "",
  " ",
  "a,b;c\td",
  'quote " and "" two',
  "back \\ slash \\\\ two, \\n none",
  "line\nbreak",
  "carriage\r\nreturn\r",
  "\n",
  "ünï 😀 漢字 \u0000\u0001",
  "# row 1: no remark",
  "null",
  "true",
  "1.0",
  "'single'",
  "end\\",
  "\ufeffmark",
  "line\n\ufeffmark\r\n\r\nend",
];
const tags = ["a b,c=d", 'quo"te', "back\\slash", "two\\\\x", "ü 😀", "# row", "-1", "x\ry", "1"];
const whole = ["9223372036854775807", "-9223372036854775808", "9007199254740993", "0", "-1"];
const unsigned = ["18446744073709551615", "0", "9007199254740993"];
const floats = [
  "0.1",
  "1e300",
  "5e-324",
  "-0",
  "1.7976931348623157e308",
  "123456789.12345679",
  "1",
];

const escapedTag = (text: string) => text.replaceAll(/[\\,= ]/g, "\\$&");
const escapedText = (text: string) => text.replaceAll(/["\\]/g, "\\$&");
const pick = <T>(list: readonly T[], i: number): T => {
  const found = list[i % list.length];
  if (found === undefined) throw new Error("an empty list");
  return found;
};

/** A row every 3 h and a ns, with some fields left out. */
const varied = (count: number, begin: bigint) =>
  Array.from({ length: count }, (_, i) => {
    const fields = [
      i % 3 !== 1 && `f=${pick(floats, i)}`,
      i % 4 !== 1 && `i=${pick(whole, i)}i`,
      i % 5 !== 1 && `u=${pick(unsigned, i)}u`,
      i % 2 === 0 && `b=${i % 4 === 0}`,
      i % 7 !== 6 && `s="${escapedText(pick(texts, i))}"`,
      "always=1",
    ].filter(Boolean);
    const rack = i % 3 === 0 ? "" : `,rack=r${i % 2}`;
    const time = begin + BigInt(i) * 10_800_000_000_001n;
    return `every,unit=${escapedTag(pick(tags, i))}${rack} ${fields.join(",")} ${time}`;
  }).join("\n");

onReal(`an export ${title}`, () => {
  const folder = temporaryFolder();
  const at = (name: string) => join(folder.path, name);
  const stops: (() => Promise<void>)[] = [];
  let checkout: Checkout;
  let influx: Influx;
  let other: Influx;
  const types = { f: "float64", i: "int64", u: "uint64", b: "bool", s: "utf8", always: "float64" };
  const table = (name: string) => ({
    db: "bess",
    table: name,
    tags: ["unit", "rack"],
    fields: Object.entries(types).map(([field, type]) => ({ name: field, type })),
  });

  const environment = (database: Influx) => {
    const bin = at(`bin-${database.port}`);
    if (!existsSync(bin)) database.standIn(bin);
    return { PATH: [bin, process.env.PATH].join(delimiter), CI: "true" };
  };
  const bess = (database: Influx, ...args: string[]) =>
    checkout.bessAs(environment(database), ...args);
  const spawnBess = (out: string, ...args: string[]) =>
    spawn(process.execPath, ["cli/bess.js", "export", "--stack", "x", "--out", at(out), ...args], {
      cwd: checkout.at("."),
      env: { ...checkout.person, ...environment(influx) },
      stdio: "ignore",
      detached: true,
    });
  const exported = (out: string, ...args: string[]) =>
    bess(influx, "export", "--stack", "x", "--out", at(out), ...args);
  const imported = (...args: string[]) => bess(other, "import", "--stack", "x", ...args);
  const files = (out: string, ending: string) =>
    readdirSync(at(out))
      .filter((name) => name.endsWith(ending))
      .sort()
      .map((name) => join(at(out), name));
  const answer = (database: Influx, name: string) =>
    database.call("/api/v3/query_sql", {
      db: "bess",
      q: `SELECT CAST(time AS BIGINT) AS t, unit, rack, f, i, u, b, s, always FROM "${name}" ORDER BY t, unit`,
      format: "jsonl",
    });

  /** The other database, empty. */
  const renewed = async () => {
    await other.remove();
    other = await Influx.start();
    await other.declare(loadModel("configs/telemetry.yaml"));
    await other.call("/api/v3/configure/table", table("every"));
  };

  const begin = BigInt(Date.UTC(2026, 2, 22)) * 1_000_000n;

  beforeAll(async () => {
    checkout = new Checkout();
    const site = "config:\n  bess-telemetry:site: { name: x, retention: 3650d }\n";
    writeFileSync(checkout.at("Pulumi.x.yaml"), site);
    influx = await Influx.start();
    other = await Influx.start();
    await influx.declare(loadModel("configs/telemetry.yaml"));
    await influx.call("/api/v3/configure/table", table("every"));
    await influx.write(varied(120, begin));
  });
  afterAll(async () => {
    for (const stop of stops) await stop();
    await influx.remove();
    await other.remove();
    checkout.remove();
    folder.remove();
  });

  test.each([
    ["line-protocol", ".lp", "UTC"],
    ["csv", ".csv", "UTC"],
    ["csv", ".csv", "Europe/Berlin"],
  ])(
    "of all types as %s (%s, %s) comes back to the digit",
    async (format, ending, zone) => {
      const out = `${format}-${zone.replace("/", "-")}`;
      const span = ["--from", "2026-03-22", "--to", "2026-04-07", "--zone", zone];
      const made = await exported(out, "--measurement", "every", "--format", format, ...span);
      expect(made).toMatchObject({ code: 0 });
      expect(made.stdout).toMatch(/^12\d|^1[01]\d/);
      await renewed();
      const back = await imported(...files(out, ending));
      expect(`${back.code}: ${back.stderr}`).toMatch(/^0: (\d+ %.*\n)*$/);
      const from = (text: string) => text.split("\n").filter((line) => line !== "");
      const wanted = from(await answer(influx, "every")).filter((line) => {
        const time = BigInt(/"t":(\d+)/.exec(line)?.[1] ?? 0);
        // A day of Berlin begins an hour before that of UTC.
        return zone === "UTC" || time >= begin - 3600_000_000_000n;
      });
      expect(from(await answer(other, "every"))).toEqual(wanted);
      expect(wanted).toHaveLength(120);
    },
    120_000,
  );

  const span = ["--measurement", "every", "--from", "2026-03-22", "--to", "2026-04-07"];

  test("as Parquet has the rows, types and units, as another program reads them", async () => {
    expect(await exported("parquet", ...span, "--format", "parquet")).toMatchObject({ code: 0 });
    const reading = `
      const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import("hyparquet");
      const rows = [];
      let metadata;
      for (const name of process.argv.slice(1)) {
        const file = await asyncBufferFromFile(name);
        metadata = await parquetMetadataAsync(file);
        rows.push(...(await parquetReadObjects({ file, parsers: { timestampFromNanoseconds: (t) => t } })));
      }
      console.log(JSON.stringify({
        about: JSON.parse(metadata.key_value_metadata[0].value),
        types: metadata.schema.slice(1).map(({ type, converted_type, logical_type }) =>
          [type, converted_type, logical_type?.type].filter(Boolean).join(" ")),
        rows: rows.map((row) => Object.values(row)),
      }, (_, value) => typeof value === "bigint" ? String(value) : value));`;
    const { stdout } = spawnSync(
      process.execPath,
      ["--input-type=module", "-e", reading, ...files("parquet", ".parquet")],
      { encoding: "utf8" },
    );
    const read = JSON.parse(stdout) as { about: unknown; types: string[]; rows: unknown[][] };
    expect(read.types).toEqual([
      "INT64 TIMESTAMP",
      "BYTE_ARRAY UTF8",
      "BYTE_ARRAY UTF8",
      "DOUBLE",
      "BOOLEAN",
      "DOUBLE",
      "INT64",
      "BYTE_ARRAY UTF8",
      "INT64 UINT_64",
    ]);
    expect(read.about).toMatchObject({
      measurement: "every",
      columns: [{ name: "rack" }, {}, {}, {}, {}, {}, {}, {}],
    });
    const rows = (await answer(influx, "every")).split("\n").filter((line) => line !== "");
    const digits = (line: string, name: string) =>
      new RegExp(`"${name}":(-?\\d+)[,}]`).exec(line)?.[1] ?? null;
    expect(read.rows.map(([t, , , , , , i, s, u]) => [t, i, s, u])).toEqual(
      rows.map((line) => [
        digits(line, "t"),
        digits(line, "i"),
        // hyparquet leaves out a mark at a text's beginning, as TextDecoder does.
        (JSON.parse(line) as { s?: string }).s?.replace(/^\ufeff/, "") ?? null,
        digits(line, "u"),
      ]),
    );
  }, 120_000);

  test("goes on where it was killed, and writes a day again whose rows have changed", async () => {
    const whole = await exported("whole", ...span);
    expect(whole.stdout).toMatch(/^120 rows in 15 files/);
    const child = spawnBess("killed", ...span);
    await until("some files are complete", () => {
      const manifest = join(at("killed"), "every.csv.manifest.json");
      return existsSync(manifest) && readFileSync(manifest, "utf8").split('"bytes"').length > 4;
    });
    process.kill(-(child.pid ?? 0), "SIGKILL");
    const kept = files("killed", ".csv").length;
    const rest = await exported("killed", ...span);
    expect(rest).toMatchObject({ code: 0 });
    expect(rest.stdout).toMatch(/; \d+ days were complete already\n$/);
    expect(kept).toBeLessThan(15);
    const contents = (out: string) => files(out, ".csv").map((file) => readFileSync(file, "utf8"));
    expect(contents("killed")).toEqual(contents("whole"));
    expect(files("killed", ".part")).toEqual([]);

    await influx.write(`every,unit=late always=2 ${begin + 1n}`);
    const again = await exported("killed", ...span);
    expect(again.stdout).toMatch(/^9 rows in 1 files .* 15 days were complete already\n$/);
  }, 120_000);

  test("that meets a full disk says so, and keeps what is complete", async () => {
    mkdirSync(at("full"));
    // A stand-in for a full disk: the kernel's own, which refuses each byte.
    symlinkSync("/dev/full", join(at("full"), "every-2026-03-24.csv.part"));
    const { code, stderr } = await exported("full", ...span);
    expect(code).toBe(1);
    expect(stderr).toContain(
      "every-2026-03-24.csv is refused:\n  - the disk is full: what is complete stays",
    );
    expect(files("full", ".csv")).toHaveLength(2);
    expect(await exported("full", ...span)).toMatchObject({ code: 0 });
    expect(files("full", ".csv")).toHaveLength(15);
  }, 120_000);

  test("of other settings into the same folder is refused", async () => {
    const { code, stderr } = await exported("whole", ...span, "--zone", "Europe/Berlin");
    expect(code).toBe(1);
    expect(stderr).toContain(`zone is "Europe/Berlin", and the export in ${at("whole")} has "UTC"`);
  }, 60_000);

  test("by the hour has the mean, lowest, highest and last of each", async () => {
    const lines = [10, 20, 60].map(
      (soc, i) =>
        `battery,id=b1,group_id=g soc=${soc},voltage=1 ${1_750_000_000 + i * 60}000000000`,
    );
    await influx.write(lines.join("\n"));
    const args = ["--measurement", "battery", "--from", "2025-06-15", "--to", "2025-06-16"];
    expect(await exported("hourly", ...args, "--every", "1h", "--header-units")).toMatchObject({
      code: 0,
    });
    expect(files("hourly", ".csv").map((file) => readFileSync(file, "utf8"))).toEqual([
      "time,id,group_id,soc_mean [%],soc_min [%],soc_max [%],current_mean [A],current_min [A]," +
        "current_max [A],voltage_mean [V],voltage_min [V],voltage_max [V],rows\n" +
        "2025-06-15T15:00:00Z,b1,g,30,10,60,,,,1,1,1,3\n",
    ]);
  }, 60_000);

  describe("an import", () => {
    const csv = (name: string, text: string) => {
      writeFileSync(at(name), text);
      return at(name);
    };
    const asked = async (sql: string) =>
      (await other.call("/api/v3/query_sql", { db: "bess", q: sql, format: "json" })).trim();
    beforeAll(renewed);

    test("of units, names and numbers of another program converts them, and does nothing twice", async () => {
      const file = csv(
        "battery-1.csv",
        "time;id;Ladung [‰];voltage [mV];Bemerkung\n" +
          "2025-03-30 01:59:59;b1;505,5;700100;x\n2025-03-30 03:00:00;b1;506;700200;\n",
      );
      const args = [file, "--map", "Ladung [‰]=soc", "--ignore", "Bemerkung", "--decimal", ","];
      const made = await imported(...args, "--zone", "Europe/Berlin");
      expect(made).toMatchObject({ code: 0, stderr: "" });
      expect(made.stdout).toMatch(/^2 rows read, 2 written, 0 there already/);
      expect(await asked("SELECT time, id, soc, voltage FROM battery ORDER BY time")).toBe(
        '[{"time":"2025-03-30T00:59:59","id":"b1","soc":50.55,"voltage":700.1},' +
          '{"time":"2025-03-30T01:00:00","id":"b1","soc":50.6,"voltage":700.2}]',
      );
      const again = await imported(...args, "--zone", "Europe/Berlin");
      expect(again.stdout).toMatch(/^2 rows read, 0 written, 2 there already/);
    }, 60_000);

    test("refuses bad rows before it writes one, or keeps them", async () => {
      const file = csv(
        "battery-2.csv",
        "time,id,soc\n2025-05-01T00:00:00Z,b2,1\nyesterday,b2,2\n2025-05-01T00:00:02Z,,3\n" +
          "2025-05-01T00:00:03Z,b2,full\n2025-05-01T00:00:04Z,b2,\n2025-05-01T00:00:05Z,b2,6\n",
      );
      const refused = await imported(file);
      expect(refused).toMatchObject({ code: 1, stdout: "" });
      expect(refused.stderr.split("\n").slice(1, -1)).toEqual([
        `  - row 2 of ${file}: time is "yesterday": write it as iso8601`,
        `  - row 3 of ${file}: the tag id is missing: it tells whose values these are`,
        `  - row 4 of ${file}: soc is "full": write a number`,
        `  - row 5 of ${file}: no field has a value`,
        "  - nothing was written; --skip-bad FILE keeps such rows in a file, and imports the others",
      ]);
      expect(await asked("SELECT count(*) AS n FROM battery WHERE id = 'b2'")).toBe('[{"n":0}]');
      const passed = await imported(file, "--skip-bad", at("bad.csv"));
      expect(passed.code).toBe(0);
      expect(passed.stdout).toMatch(/^2 rows read, 2 written/);
      expect(readFileSync(at("bad.csv"), "utf8")).toContain("time,id,soc\n# row 2: time is");
      expect(await asked("SELECT count(*) AS n FROM battery WHERE id = 'b2'")).toBe('[{"n":2}]');
    }, 60_000);

    test("of line protocol refuses what the site has no place for", async () => {
      const file = csv(
        "x.lp",
        "nothing f=1 1750000000000000000\nbattery,id=b3 soc=true 1750000000000000000\n" +
          "battery,id=b3 charge=1 1750000000000000000\nbattery,id=b3 soc=1\n",
      );
      const { code, stderr } = await imported(file);
      expect(code).toBe(1);
      expect(stderr).toContain("there is no table nothing: the site has bess, battery, pcs");
      expect(stderr).toContain("soc is written as bool, and is float64 in the table");
      expect(stderr).toContain("battery has no field charge: it has soc, current, voltage");
      expect(stderr).toContain(`row 4 of ${file}: it has no time`);
    }, 60_000);

    test("of rows that the site would not keep is refused", async () => {
      const file = csv("battery-3.csv", "time,id,soc\n2001-01-01T00:00:00Z,b9,1\n");
      const { code, stderr } = await imported(file);
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /1 rows are of before 20\d\d-\d\d-\d\d, and the site would not keep them/,
      );
    }, 60_000);

    test("takes over the database of the former setup, scaled by the model", async () => {
      // A server of its own: a site has as many databases as one takes.
      const old = await Influx.start();
      stops.push(() => old.remove());
      // As its Telegraf has stored it: raw values, and tags of Telegraf's own.
      const former = Array.from({ length: 2000 }, (_, i) => {
        const tags = `battery,id=${i % 2},group_id=1,host=telegraf,topic=battery/${i % 2}/status`;
        return `${tags} soc=${i % 100},current=${i - 1000},voltage=${700_000 + i} ${1_751_328_000 + i * 60}000000000`;
      });
      await old.write(former.join("\n"), "iot-lab");
      await old.write(
        'bess,id=1,host=t ac_current_in=1500,operation_mode="charging" 1751328000000000000',
        "iot-lab",
      );
      const token = csv("token", old.token);
      const args = ["--database", "iot-lab", "--url", old.url, "--token-file", token];
      const made = await imported(...args);
      expect(made).toMatchObject({ code: 0 });
      expect(made.stdout).toMatch(/^2001 rows read, 2001 written/);
      expect(made.stdout).toContain("counts and sums of 3 days equal those of the database");
      expect(
        await asked(
          "SELECT count(*) AS n, sum(soc) AS soc, min(current) AS low, max(voltage) AS high FROM battery " +
            "WHERE group_id = '1' AND time >= '2025-07-01'",
        ),
      ).toBe('[{"n":2000,"soc":99000.0,"low":-1.0,"high":701.999}]');
      expect(await asked("SELECT ac_current_in AS i, operation_mode AS m FROM bess")).toBe(
        '[{"i":1.5,"m":"charging"}]',
      );
      const again = await imported(...args);
      expect(again.stdout).toMatch(/^2001 rows read, 0 written, 2001 there already/);
      const denied = await imported(...args.slice(0, -1), csv("wrong", "apiv3_wrong"));
      expect(denied.code).toBe(1);
      expect(denied.stderr).toContain(`${old.url} answers 401`);
    }, 120_000);
  });
});
