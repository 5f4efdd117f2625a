import { join } from "node:path";
import { type Choices, PassedOver } from "../../../cli/replay/messages";
import { isRecorded, NdjsonMessages } from "../../../cli/replay/recording";
import { loadModel } from "../../../configs/model";
import { readerOf } from "../../../configs/reading";
import { refusalOf } from "../../support/refusal";

const fleet = loadModel(join(__dirname, "../../../configs/telemetry.yaml"));

/** The findings of what `act` refuses. */
const refused = (act: () => unknown) => refusalOf(act).problems;

const payload = {
  timestamp: "2023-04-13T00:00:00Z",
  id: "battery-1",
  group_id: "bess-1",
  soc: 50,
  extra: true,
};
const { timestamp: _timestamp, ...timeless } = payload;
const { group_id: _group, ...groupless } = payload;
const topic = "battery/9/status";

function lines(recording: boolean, more: Partial<Choices> = {}) {
  const notes: string[] = [];
  const note = (text: string) => notes.push(text);
  const choices = { tags: {}, map: {}, ignore: [], ...more };
  const messages = new NdjsonMessages(fleet, choices, recording, note);
  const make = (text: string) => messages.make({ text });
  const message = (text: string) => {
    const made = make(text);
    if (made instanceof PassedOver) throw new Error(made.reason);
    return made;
  };
  return { make, message, notes };
}

describe("a recorded message", () => {
  const tst = "2023-04-13T01:00:07.500021Z+0100";
  const recorded = (content: unknown, more: object = {}) =>
    JSON.stringify({ tst, topic, qos: 1, ...more, payload: content });
  const written = JSON.stringify(payload);

  test.each([
    ["-F %J", recorded(payload)],
    ["-F %j", recorded(written)],
    ["-F %j, with its length", recorded(written, { payloadlen: written.length })],
  ])("of %s goes to its own topic as it was, when it was recorded", (_, line) =>
    expect(lines(true).make(line)).toEqual({
      topic,
      payload: written,
      time: Date.UTC(2023, 3, 13, 0, 0, 7, 500) + 0.021,
    }),
  );

  test("keeps every digit", () => {
    const exact = `{ "soc": 50.00000000000000001, "id":9007199254740993,"payload":1, "timestamp":"2023-04-13T00:00:00Z","group_id":"g" }`;
    for (const line of [
      `{"topic":"${topic}","payload":${exact}}`,
      `{"payload": ${exact},"topic":"${topic}"}`,
    ])
      expect(lines(true).message(line).payload).toContain(line.endsWith("}}") ? exact : '"soc":50');
  });

  test("without a time of its own has that of its recording, to the site too", () => {
    const line = lines(true).message(recorded(timeless));
    const { arrival, points } = readerOf(fleet)(line.topic, line.payload, 0n);
    expect(points).toMatchObject([
      { tags: { id: "battery-1" }, fields: { soc: 50 }, time: undefined },
    ]);
    expect(arrival).toBe(BigInt(Date.UTC(2023, 3, 13, 0, 0, 7, 500)) * 1_000_000n + 21_000n);
  });

  test.each([
    ["(message on gw/lwt left out)", "not a recorded message"],
    ['{"tst":"2026-11-20T09:0', "not a recorded message"],
    ["[1]", "not a recorded message"],
    [recorded("online", { topic: "gw/lwt" }), "no measurement has the topic gw/lwt"],
    [recorded(null, { payloadlen: 0 }), `${topic}: battery: empty payload`],
    [recorded(""), `${topic}: battery: empty payload`],
    [recorded(3), `${topic}: battery: none of the declared fields`],
    [recorded("on"), `${topic}: battery: not JSON`],
    [recorded({ ...payload, soc: undefined }), `${topic}: battery: none of the declared fields`],
    [recorded({ ...payload, id: undefined }), `${topic}: battery.id: no identity`],
    [
      recorded(timeless, { tst: undefined }),
      `${topic}: no time of its own, and none of its recording`,
    ],
    [recorded(timeless, { retain: 1 }), `${topic}: retained, and of unknown age`],
  ])("%s is passed over", (text, reason) => expect(lines(true).make(text)).toEqual({ reason }));

  test("keeps to the chosen measurement, and to its topics", () => {
    const { make, notes } = lines(true, { measurement: "pcs", unit: "4" });
    expect(make(recorded(payload))).toEqual({ reason: `no measurement has the topic ${topic}` });
    expect(notes).toEqual([
      "--unit 4 has no effect: each line goes to the topic that it was recorded with",
    ]);
  });

  test("gets a tag from the command line only where it has none", () => {
    const { message } = lines(true, { tags: { id: "other", group_id: "bess-9" } });
    expect(JSON.parse(message(recorded(groupless)).payload)).toEqual({
      ...payload,
      group_id: "bess-9",
    });
  });
});

describe("a line that is a payload", () => {
  const line = (more: object) => JSON.stringify({ ...payload, ...more });

  test("needs a measurement, and goes to the unit's topic", () => {
    expect(isRecorded({ text: line({}) })).toBe(false);
    expect(refused(() => lines(false))).toEqual([
      "--measurement is missing: the model bess-fleet has bess, battery, pcs",
    ]);
    expect(lines(false, { measurement: "battery", unit: "4" }).make(line({}))).toEqual({
      topic: "battery/4/status",
      payload: line({}),
      time: Date.UTC(2023, 3, 13),
    });
  });

  test.each([
    ["{", "battery: not JSON: {"],
    ["[1]", "battery: none of the declared fields: [1]"],
    [
      line({ id: undefined }),
      expect.stringContaining(
        "battery.id: no identity: write it in the line, or give it for all with --tag id=VALUE",
      ),
    ],
    [line({ soc: undefined }), expect.stringContaining("battery: none of the declared fields: {")],
    [line({ timestamp: 5 }), "battery.time: time not readable: 5"],
    [line({ timestamp: undefined }), "battery.time: no time"],
  ])("%s is refused", (text, finding) =>
    expect(refused(() => lines(false, { measurement: "battery" }).make(text))).toEqual([finding]),
  );
});
