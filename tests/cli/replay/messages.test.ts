import { join } from "node:path";
import fc from "fast-check";
import { loadModel } from "../../../configs/model";
import {
  absentFields,
  chooseMeasurement,
  csvMessages,
  ndjsonMessages,
  type Choices,
} from "../../../cli/replay/messages";
import { writeTime } from "../../../configs/message";
import { timeSchema } from "../../../configs/payload";
import { eventTime } from "../../../configs/reading";
import { refusalOf } from "../../support/refusal";

const root = join(__dirname, "../../..");
const fleet = loadModel(join(root, "configs/telemetry.yaml"));
const m5bat = loadModel(join(root, "configs/models/m5bat.yaml"));
const choices = (more: Partial<Choices> = {}): Choices => ({ unit: "1", tags: {}, ...more });

/** The findings of what `act` refuses. */
const refused = (act: () => unknown) => refusalOf(act).problems;

describe("a time", () => {
  const timeAs = (format: string) => timeSchema.parse({ path: "t", format });
  const read = (text: unknown, format: string) =>
    eventTime([String(text)], timeAs(format), BigInt(Date.UTC(2026, 0)) * 1_000_000n);

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
    const message = csvMessages(
      unit,
      header,
      choices({ unit: "10" }),
    )(["2023-04-13 00:00:00", "501.5", "1"], "row 1");
    expect(message.topic).toBe("m5bat/10/evaluation");
    expect(JSON.parse(message.payload)).toEqual({
      DateAndTime: "2023-04-13 00:00:00",
      SOC: 501.5,
      Mode_PQ: 1,
    });
    expect(message.time).toBe(Date.UTC(2023, 3, 13));
  });

  test("leaves an empty cell away", () => {
    expect(
      JSON.parse(
        csvMessages(unit, header, choices())(["2023-04-13 00:00:00", "", "1"], "row 1").payload,
      ),
    ).not.toHaveProperty("SOC");
  });

  test("keeps the digits of a tag", () => {
    const make = csvMessages(battery, ["timestamp", "id", "group_id", "soc"], choices());
    expect(
      JSON.parse(make(["2023-04-13 00:00:00", "007", "1e3", "50"], "row 1").payload),
    ).toMatchObject({ id: "007", group_id: "1e3", soc: 50 });
  });

  test("gets the tags that it lacks from the command line, in the payload or the topic", () => {
    const make = csvMessages(
      battery,
      ["timestamp", "soc"],
      choices({ unit: "3", tags: { id: "battery-3", group_id: "bess-3" } }),
    );
    const message = make(["2023-04-13 00:00:00", "50"], "row 1");
    expect(message.topic).toBe("battery/3/status");
    expect(JSON.parse(message.payload)).toMatchObject({ id: "battery-3", group_id: "bess-3" });
    expect(
      csvMessages(
        unit,
        header,
        choices({ tags: { unit: "7" } }),
      )(["2023-04-13 00:00:00", "5", "1"], "row 1").topic,
    ).toBe("m5bat/7/evaluation");
  });

  test("is refused by its header with everything that is wrong with it", () => {
    expect(
      refused(() =>
        csvMessages(
          battery,
          ["soc", "soc", "volt", "group_id"],
          choices({ tags: { group_id: "bess-1" } }),
        ),
      ),
    ).toEqual([
      'column 2 is "soc" again: write each column once',
      'column 3 is "volt", which battery does not declare; allowed: timestamp, id, group_id, soc, current, voltage',
      'column "timestamp" is missing: it is the time of battery',
      'column "id" is missing: give it for all rows with --tag id=VALUE',
      'column "group_id" is the tag group_id already: leave --tag group_id away',
    ]);
    expect(refused(() => csvMessages(unit, ["DateAndTime"], choices()))).toEqual([
      expect.stringContaining("no column holds a field"),
    ]);
    expect(refused(() => csvMessages(unit, header, choices({ tags: { site: "x" } })))).toEqual([
      "--tag site=x is no tag of unit: it has unit",
    ]);
  });

  test("may lack fields, which are named", () => {
    expect(absentFields(battery, ["timestamp", "id", "group_id", "soc"])).toEqual([
      "current",
      "voltage",
    ]);
  });

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
  ])("row %j is refused: %s", (cells, finding) => {
    expect(refused(() => csvMessages(unit, header, choices())(cells, "row 1"))).toEqual([finding]);
  });
});

describe("NDJSON", () => {
  const payload = {
    timestamp: "2023-04-13T00:00:00Z",
    id: "battery-1",
    group_id: "bess-1",
    soc: 50,
    extra: true,
  };
  const make = ndjsonMessages(fleet, choices());

  test.each([
    ["as -F %J writes it", payload],
    ["as -F %j writes it", JSON.stringify(payload)],
  ])("of a recorded message %s goes to the message's own topic", (_, recorded) => {
    const message = make(
      JSON.stringify({ tst: "x", topic: "battery/9/status", qos: 1, payload: recorded }),
      "row 1",
    );
    expect(message).toEqual({
      topic: "battery/9/status",
      payload: JSON.stringify(payload),
      time: Date.UTC(2023, 3, 13),
    });
  });

  test("of payloads needs a measurement, and goes to the unit's topic", () => {
    const line = JSON.stringify(payload);
    expect(refused(() => make(line, "row 1"))).toEqual([
      "--measurement is missing: the model bess-fleet has bess, battery, pcs",
    ]);
    const chosen = ndjsonMessages(fleet, choices({ measurement: "battery", unit: "4" }));
    expect(chosen(line, "row 1")).toMatchObject({ topic: "battery/4/status", payload: line });
  });

  test("gets a tag from the command line only where the line has none", () => {
    const { group_id: _, ...without } = payload;
    const tagged = ndjsonMessages(
      fleet,
      choices({ measurement: "battery", tags: { id: "other", group_id: "bess-9" } }),
    );
    expect(JSON.parse(tagged(JSON.stringify(without), "row 1").payload)).toMatchObject({
      id: "battery-1",
      group_id: "bess-9",
    });
  });

  const line = (more: object) =>
    JSON.stringify({ topic: "battery/1/status", payload: { ...payload, ...more } });
  test.each([
    ["{", expect.stringContaining("the line is no JSON")],
    ["[1]", "the line is [1]: write a JSON object"],
    [
      '{"topic":"a/b","payload":{}}',
      'topic is "a/b": the model bess-fleet has bess/+/status, battery/+/status, pcs/+/status',
    ],
    ['{"topic":"battery/1/status","payload":3}', "payload is 3: write a JSON object"],
    ['{"topic":"battery/1/status","payload":"on"}', expect.stringContaining("payload is no JSON")],
    [
      line({ id: undefined }),
      "id is missing: write it in the line, or give it for all with --tag id=VALUE",
    ],
    [line({ soc: undefined }), "no field is in the line: battery has soc, current, voltage"],
    [
      line({ timestamp: 5 }),
      "timestamp is 5: write a time such as 2023-04-13T00:00:00Z; one without a zone is UTC",
    ],
  ])("%s is refused", (text, finding) =>
    expect(refused(() => make(text, "row 1"))).toEqual([finding]),
  );

  test("keeps to the chosen measurement", () => {
    expect(
      refused(() => ndjsonMessages(fleet, choices({ measurement: "pcs" }))(line({}), "row 1")),
    ).toEqual(['topic is "battery/1/status": the model bess-fleet has pcs/+/status']);
  });
});
