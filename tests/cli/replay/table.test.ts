import { join } from "node:path";
import fc from "fast-check";
import { type Choices, chooseMeasurement, PassedOver } from "../../../cli/replay/messages";
import { CsvMessages } from "../../../cli/replay/table";
import { writeTime } from "../../../configs/message";
import { loadModel, type Measurement, modelSchema } from "../../../configs/model";
import { timeSchema } from "../../../configs/payload";
import { readerOf, timeReader } from "../../../configs/reading";
import { refusalOf } from "../../support/refusal";

const root = join(__dirname, "../../..");
const fleet = loadModel(join(root, "configs/telemetry.yaml"));
const m5bat = loadModel(join(root, "configs/models/m5bat.yaml"));
const choices = (more: Partial<Choices> = {}): Choices => ({
  tags: {},
  map: {},
  ignore: [],
  ...more,
});

/** A table with a header: its messages, and what is told of it. */
function table(
  measurement: Measurement,
  header: string[],
  more: Partial<Choices> = {},
  delimiter = ";",
) {
  const notes: string[] = [];
  const note = (text: string) => notes.push(text);
  const messages = new CsvMessages(measurement, header, choices(more), {
    file: "day.csv",
    delimiter,
    note,
  });
  const row = (...cells: string[]) => {
    messages.learn([{ text: cells.join(delimiter), cells }]);
    const made = messages.make({ cells });
    if (made instanceof PassedOver) throw new Error(made.reason);
    return made;
  };
  return { row, payload: (...cells: string[]) => JSON.parse(row(...cells).payload), notes };
}

/** The findings of what `act` refuses. */
const refused = (act: () => unknown) => refusalOf(act).problems;

describe("a time", () => {
  const timeAs = (format: string) => timeSchema.parse({ path: "t", format });
  const read = (text: unknown, format: string) =>
    timeReader(timeAs(format))([String(text)], BigInt(Date.UTC(2026, 0)) * 1_000_000n);

  test.each([
    "iso8601",
    "unix",
    "unix_ms",
    "unix_us",
    "unix_ns",
    "http",
    "DD.MM.YYYY HH:mm:ss.SSS",
  ])("of format %s is read as it was written", (format) => {
    const exact = format === "http" ? 1000 : 1;
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Date.UTC(2100, 0) }), (milliseconds) => {
        const [text] = writeTime(milliseconds, timeAs(format));
        const off = Number(read(text, format)) / 1e6 - milliseconds;
        expect(Math.abs(off)).toBeLessThan(exact);
      }),
    );
  });

  test.each([
    ["2023-04-13 00:00:01", Date.UTC(2023, 3, 13, 0, 0, 1)],
    ["2023-04-13T00:00:01.5Z", Date.UTC(2023, 3, 13, 0, 0, 1, 500)],
    ["2023-04-13T02:00:01+02:00", Date.UTC(2023, 3, 13, 0, 0, 1)],
  ])("%s is UTC where it names no zone", (text, expected) =>
    expect(read(text, "iso8601")).toBe(BigInt(expected) * 1_000_000n),
  );

  test.each(["", "yesterday", "13.04.2023 00:00:00", "2023-13-41 00:00:00", undefined, null, true])(
    "%p is none",
    (value) => {
      expect(read(value, "iso8601")).toBeUndefined();
      expect(read(value, "unix")).toBeUndefined();
    },
  );
});

describe("CSV", () => {
  const unit = chooseMeasurement(m5bat);
  const battery = chooseMeasurement(fleet, "battery");
  const header = ["DateAndTime", "SOC", "Mode_PQ"];

  test("becomes a payload with numbers as numbers, in the unit's topic", () => {
    const message = table(unit, header, { unit: "10" }).row("2023-04-13 00:00:00", "501.5", "1");
    expect(message.topic).toBe("m5bat/10/evaluation");
    expect(JSON.parse(message.payload)).toEqual({
      DateAndTime: "2023-04-13 00:00:00",
      SOC: 501.5,
      Mode_PQ: 1,
    });
    expect(message.time).toBe(Date.UTC(2023, 3, 13));
  });

  test("leaves an empty cell away", () =>
    expect(table(unit, header).payload("2023-04-13 00:00:00", "", "1")).not.toHaveProperty("SOC"));

  test("keeps the digits of a tag", () =>
    expect(
      table(battery, ["timestamp", "id", "group_id", "soc"]).payload(
        "2023-04-13 00:00:00",
        "007",
        "1e3",
        "50",
      ),
    ).toMatchObject({ id: "007", group_id: "1e3", soc: 50 }));

  test("gets the tags that it lacks from the command line, in the payload or the topic", () => {
    const tags = { id: "battery-3", group_id: "bess-3" };
    const { row } = table(battery, ["timestamp", "soc"], { unit: "3", tags });
    const message = row("2023-04-13 00:00:00", "50");
    expect(message.topic).toBe("battery/3/status");
    expect(JSON.parse(message.payload)).toMatchObject(tags);
    expect(
      table(unit, header, { tags: { unit: "7" } }).row("2023-04-13 00:00:00", "5", "1").topic,
    ).toBe("m5bat/7/evaluation");
  });

  test("takes columns by another name, and leaves others out", () => {
    const own = ["Zeit", "SOC [%]", "Remark", ""];
    const map = { Zeit: "DateAndTime", "SOC [%]": "SOC" };
    const cells = ["2023-04-13 00:00:00", "50", "SOC", "7"];
    for (const ignore of [["Remark"], ["*"]]) {
      const { payload, notes } = table(unit, own, { map, ignore });
      expect(payload(...cells)).toEqual({ DateAndTime: cells[0], SOC: 50 });
      expect(notes).toContain("day.csv: column 4 has no name, and is left out");
    }
  });

  test("is refused by its header with everything that is wrong with it", () => {
    expect(
      refused(() =>
        table(battery, ["soc", "soc", "volt", "group_id"], { tags: { group_id: "bess-1" } }),
      ),
    ).toEqual([
      'column 2 is "soc" again: write each column once',
      'column 3 is "volt", which battery does not declare; allowed: timestamp, id, group_id, soc, current, voltage',
      'a column of another name: --map "volt=PATH" says what it is, and --ignore "volt" leaves it out',
      'column "timestamp" is missing: it is the time of battery',
      'column "id" is missing: give it for all rows with --tag id=VALUE',
      'column "group_id" is the tag group_id already: leave --tag group_id away',
    ]);
    expect(refused(() => table(unit, ["DateAndTime"]))).toEqual([
      expect.stringContaining("no column holds a field"),
    ]);
    expect(refused(() => table(unit, header, { tags: { site: "x" } }))).toEqual([
      "--tag site=x is no tag of unit: it has unit",
    ]);
  });

  test("is refused where the command line names what it has not", () => {
    const map = { Soc: "SOC", Mode_PQ: "Mode", SOC: "SOC" };
    expect(refused(() => table(unit, header, { map, ignore: ["Remark", "SOC"] }))).toEqual([
      '--map Soc=SOC: the file has no column "Soc"; it has DateAndTime, SOC, Mode_PQ',
      expect.stringMatching(
        /^--map Mode_PQ=Mode: unit does not declare Mode; allowed: DateAndTime, /,
      ),
      "--map SOC=SOC: the column is left out by --ignore",
      '--ignore Remark: the file has no column "Remark"; it has DateAndTime, SOC, Mode_PQ',
      expect.stringContaining("no column holds a field"),
    ]);
  });

  test("may lack fields, and has a topic without a unit: both are told", () => {
    expect(table(battery, ["timestamp", "id", "group_id", "soc"]).notes).toEqual([
      "day.csv has no column for these fields of battery, which stay empty: current, voltage",
    ]);
    expect(table(unit, header, { unit: "1", tags: { unit: "7" } }).notes).toContain(
      "--unit 1 has no effect: the topic is m5bat/7/evaluation",
    );
  });

  test.each([
    ["2023-04-13 00:00:00;501,5;1", ";", 501.5],
    ["2023-04-13 00:00:00;1,501;1", ";", 1.501],
    ["2023-04-13 00:00:00;,5;1", ";", 0.5],
    ["2023-04-13 00:00:00;-1,5e2;1", ";", -150],
    ["2023-04-13 00:00:00|0,501|1", "|", 0.501],
    ["2023-04-13 00:00:00|1.501|1", "|", 1.501],
    ["2023-04-13 00:00:00|1501|1", "|", 1501],
  ])("finds the decimal mark of %s", (text, delimiter, expected) => {
    const { payload, notes } = table(unit, header, {}, delimiter);
    expect(payload(...text.split(delimiter))).toMatchObject({ SOC: expected });
    expect(notes.includes("day.csv: its numbers have a decimal comma")).toBe(/\d?,\d/.test(text));
  });

  test.each<[string, Partial<Choices>, string]>([
    [
      "1,501",
      {},
      'SOC is "1,501": say what is before the fraction, with --decimal . or --decimal ,',
    ],
    ["1.501,5", {}, 'SOC is "1.501,5": write a number'],
    ["1.501,5", { decimal: "," }, 'SOC is "1.501,5": write a number'],
    ["1.5", { decimal: "," }, 'SOC is "1.5": write a number; the file has a decimal comma'],
    ["1,5", { decimal: "." }, 'SOC is "1,5": write a number; the file has a decimal point'],
  ])("guesses no number of %s with %j", (cell, given, finding) =>
    expect(
      refused(() => table(unit, header, given, "|").row("2023-04-13 00:00:00", cell, "1")),
    ).toEqual([finding]),
  );

  test("is refused where its numbers have both marks", () =>
    expect(
      refused(() =>
        table(unit, ["DateAndTime", "SOC", "P_AC"]).row("2023-04-13 00:00:00", "1,5", "2.5"),
      ),
    ).toEqual([
      'SOC is "1,5", and P_AC is "2.5": say what is before the fraction, with --decimal . or --decimal ,',
    ]));

  test.each([
    [["2023-04-13 00:00:00", "full", "1"], 'SOC is "full": write a number'],
    [["2023-04-13 00:00:00", "NaN", "1"], 'SOC is "NaN": write a number'],
    [["2023-04-13 00:00:00", "1e999", "1"], 'SOC is "1e999": write a number'],
    [["2023-04-13 00:00:00", "0x10", "1"], 'SOC is "0x10": write a number'],
    [["2023-04-13 00:00:00", "50", "0.5"], 'Mode_PQ is "0.5": write a whole number'],
    [
      ["noon", "50", "1"],
      'DateAndTime is "noon": write a time such as 2023-04-13T00:00:00Z; one without a zone is UTC',
    ],
    [
      ["", "50", "1"],
      "DateAndTime is missing: write a time such as 2023-04-13T00:00:00Z; one without a zone is UTC",
    ],
    [["2023-04-13 00:00:00", "50"], "it has 2 cells, and the header has 3"],
    [["2023-04-13 00:00:00", "50", "1", "2"], "it has 4 cells, and the header has 3"],
  ])("row %j is refused: %s", (cells, finding) =>
    expect(refused(() => table(unit, header).row(...cells))).toEqual([finding]),
  );

  test("without a value is passed over, and one without its unit is refused", () => {
    expect(() => table(unit, header).row("2023-04-13 00:00:00", "", "")).toThrow(
      "no field has a value",
    );
    const { row } = table(battery, ["timestamp", "id", "group_id", "soc"]);
    expect(refused(() => row("2023-04-13 00:00:00", "", "bess-1", "50"))).toEqual([
      "id is empty: it tells whose values these are",
    ]);
  });

  const meter = (more: object) => {
    const [first] = modelSchema.parse({
      name: "meters",
      title: "Meters",
      measurements: [
        {
          name: "meter",
          title: "Meter",
          meaning: "A meter.",
          topic: "meter/+/values",
          interval: "1s",
          time: { path: "time", format: "iso8601" },
          tags: [{ name: "id", segment: 1, meaning: "Its number." }],
          fields: [{ name: "energy", type: "int", unit: "Wh", meaning: "Energy." }],
          ...more,
        },
      ],
    }).measurements;
    if (!first) throw new Error("a model has a measurement");
    return first;
  };

  test("may have its date and clock in two columns, in the model's own spelling and zone", () => {
    const time = { path: ["Datum", "Uhr"], format: "DD.MM.YYYY HH:mm", zone: "Europe/Berlin" };
    const { row } = table(meter({ time }), ["Datum", "Uhr", "energy"]);
    const message = row("13.04.2023", "02:30", "1");
    expect(JSON.parse(message.payload)).toEqual({ Datum: "13.04.2023", Uhr: "02:30", energy: 1 });
    expect(message.time).toBe(Date.UTC(2023, 3, 13, 0, 30));
    expect(refused(() => row("13.04.2023", "", "1"))).toEqual([
      "Datum and Uhr is missing: write it as DD.MM.YYYY HH:mm",
    ]);
    expect(refused(() => row("2023-04-13", "02:30", "1"))).toEqual([
      'Datum and Uhr is "2023-04-13 02:30": write it as DD.MM.YYYY HH:mm',
    ]);
  });

  test("carries a time for which the payload has no place, and the site reads it", () => {
    const timeless = meter({ time: undefined });
    const message = table(timeless, ["time", "energy"]).row("2023-04-13T00:00:00.5Z", "7");
    expect(message.time).toBe(Date.UTC(2023, 3, 13, 0, 0, 0, 500));
    const read = readerOf({ name: "m", title: "m", measurements: [timeless] });
    expect(read(message.topic, message.payload, 0n)).toMatchObject({
      arrival: 1_681_344_000_500_000_000n,
      points: [{ fields: { energy: 7n }, time: undefined }],
    });
  });

  test("keeps every digit of a whole number, and a gateway's own words", () => {
    const fields = [
      { name: "energy", type: "int", unit: "Wh", meaning: "Energy." },
      {
        name: "mode",
        type: "bool",
        values: { an: true, aus: false },
        meaning: "Whether it is on.",
      },
      { name: "power", type: "float", unit: "W", number: { suffix: "W" }, meaning: "Power." },
    ];
    const own = meter({ fields });
    const { payload, row } = table(own, ["time", "energy", "mode", "power"]);
    const at = "2023-04-13T00:00:00Z";
    expect(payload(at, "9007199254740993", "an", "5 W")).toEqual({
      time: at,
      energy: "9007199254740993",
      mode: "an",
      power: "5 W",
    });
    expect(refused(() => row(at, "1", "vielleicht", "5 kW"))).toEqual([
      "mode: neither true nor false: vielleicht",
      "power: not a number: 5 kW",
    ]);
  });

  test("is refused where a message has no place for its columns", () =>
    expect(refused(() => table(meter({ each: "meters" }), ["time", "energy"]))).toEqual([
      "meter has no plain JSON payload: rows of a table cannot be sent as it",
    ]));
});
