import mqtt from "mqtt";
import { loadModel } from "../../configs/model";
import { Pipeline } from "../support/pipeline";
import { until } from "../support/programs";
import { rowOf } from "../support/recorder";

// What is no telemetry, counted by the real Telegraf, which writes the counts every ten seconds.
const model = loadModel("configs/telemetry.yaml");
const battery = (extra: object = {}) =>
  JSON.stringify({ id: "b1", group_id: "u1", soc: 55.5, timestamp: new Date(), ...extra });

let pipeline: Pipeline;
beforeEach(async () => {
  pipeline = await Pipeline.start(model);
});
afterEach(() => pipeline.stop());

const publish = (topic: string, ...payloads: (string | Buffer)[]) =>
  pipeline.broker.publish(topic, payloads);
/** Publishes one message in each of many topics. */
async function publishIn(topics: string[], payload: string): Promise<void> {
  const client = await pipeline.broker.connect("gateway");
  await Promise.all(topics.map((topic) => client.publishAsync(topic, payload, { qos: 1 })));
  await client.endAsync();
}
/** What a table has counted: of each kind its tags, its count and what it showed last. */
function kinds(table: string) {
  const found = new Map<string, { tags: Record<string, string>; count: number; last: string }>();
  for (const { tags, fields } of pipeline.endpoint.table(table).map(rowOf)) {
    const { count = 0, ...shown } = fields;
    const key = JSON.stringify(tags);
    const before = found.get(key)?.count ?? 0;
    found.set(key, { tags, count: before + Number(count), last: String(Object.values(shown)[0]) });
  }
  return [...found.values()];
}
const total = (table: string) => kinds(table).reduce((sum, { count }) => sum + count, 0);
const counted = (table: string, count: number) =>
  until(
    () => `${count} in ${table}: ${JSON.stringify(kinds(table))}\n${pipeline.log}`,
    () => total(table) >= count,
    30,
  );
const warnings = () => pipeline.log.split("\n").filter((line) => line.includes(" W! [processors"));

describe("what is dropped of messages", () => {
  test("is counted by measurement, reason, field and topic, with the last example", async () => {
    await publish("battery/b1/status", battery({ soc: "full" }), battery({ soc: "empty" }));
    await publish("battery/b2/status", battery({ soc: "full" }), "{", "", battery({ id: null }));
    await publish("battery/b3/status", battery({ timestamp: "yesterday" }));
    await counted("mqtt_drops", 7);
    const of = (topic: string, reason: string, field?: string) =>
      kinds("mqtt_drops")
        .filter(({ tags }) => tags.topic === topic && tags.reason === reason)
        .filter(({ tags }) => tags.field === field && tags.measurement === "battery")
        .map(({ count, last }) => [count, last]);
    expect(of("battery/b1/status", "not a number", "soc")).toEqual([[2, "empty"]]);
    expect(of("battery/b2/status", "not a number", "soc")).toEqual([[1, "full"]]);
    expect(of("battery/b2/status", "not JSON")).toEqual([[1, "{"]]);
    expect(of("battery/b2/status", "empty payload")).toEqual([[1, ""]]);
    expect(of("battery/b2/status", "no identity", "id")).toHaveLength(1);
    expect(of("battery/b3/status", "time not readable", "time")).toEqual([[1, "yesterday"]]);
  });

  test("of 3,000 topics makes a bounded number of series and of log lines, and none is uncounted", async () => {
    const topics = Array.from({ length: 3000 }, (_, i) => `battery/unit-${i}/status`);
    await publishIn(topics, battery({ soc: "full" }));
    await counted("mqtt_drops", 3000);
    expect(total("mqtt_drops")).toBe(3000);
    expect(kinds("mqtt_drops")).toHaveLength(501);
    expect(kinds("mqtt_drops").filter(({ tags }) => tags.topic === undefined)).toEqual([
      { tags: { measurement: "battery", reason: "not a number" }, count: 2500, last: "full" },
    ]);
    expect(warnings()).toHaveLength(21);
    expect(warnings().at(-1)).toMatch(/the table mqtt_drops .* has more of this hour/);
  });

  test("shows the beginning of a long value, in whole characters", async () => {
    await publish("battery/b1/status", battery({ soc: `x${"ä".repeat(200)}` }));
    await counted("mqtt_drops", 1);
    expect(kinds("mqtt_drops")[0]?.last).toBe(`x${"ä".repeat(79)}`);
  });
});

describe("a message on a topic of no measurement", () => {
  test("is shown by its topic, and is stored in no table of the model", async () => {
    const strays = [
      "Battery/b1/status",
      "/battery/b1/status",
      "battery/b1/status/",
      "batery/b1/status",
      "battery/status",
    ];
    // A client of MQTT 3.1.1 is not told that a topic is refused.
    const gateway = await mqtt.connectAsync(pipeline.broker.url, {
      username: "gateway",
      password: pipeline.broker.passwords.gateway,
      protocolVersion: 4,
    });
    await gateway.publishAsync("battery/b1/status", battery({ soc: 55.5 }), { qos: 1 });
    for (const topic of strays) await gateway.publishAsync(topic, battery({ soc: 1 }), { qos: 1 });
    await gateway.publishAsync("battery/b1/status", battery({ soc: 56.5 }), { qos: 1 });
    await gateway.endAsync();
    await counted("mqtt_strays", 5);
    expect(kinds("mqtt_strays").map(({ tags, count }) => [tags.topic, count])).toEqual(
      expect.arrayContaining(strays.map((topic) => [topic, 1])),
    );
    expect(total("mqtt_strays")).toBe(5);
    const rows = pipeline.endpoint.table("battery");
    expect(rows.map(({ fields }) => fields.soc)).toEqual(["55.5", "56.5"]);
    expect(total("mqtt_drops")).toBe(0);
  });

  test("shows the last payload, cut, whatever its bytes are", async () => {
    await publish("other/a", "first", JSON.stringify({ "a b": `ä"\\\n${"x".repeat(500)}` }));
    await publish("other/b", Buffer.from([0xff, 0xfe, 0x00, 0x41]));
    await publish("other/c", Buffer.alloc(1_900_000, "y"));
    await counted("mqtt_strays", 4);
    const last = (topic: string) =>
      kinds("mqtt_strays").find(({ tags }) => tags.topic === topic)?.last ?? "";
    expect(last("other/a")).toMatch(/^\{"a b":"ä\\"\\\\\\nx+$/);
    expect(last("other/a")).toHaveLength(200);
    expect(last("other/b")).toContain("A");
    expect(last("other/c")).toBe("y".repeat(200));
  });

  test("of 3,000 topics makes a bounded number of series and of log lines, and none is uncounted", async () => {
    const topics = Array.from({ length: 3000 }, (_, i) => `scan/${i}`);
    await publishIn(topics, "x");
    await publish("battery/b1/status", battery());
    await counted("mqtt_strays", 3000);
    expect(total("mqtt_strays")).toBe(3000);
    expect(kinds("mqtt_strays")).toHaveLength(201);
    expect(warnings()).toHaveLength(21);
    expect(pipeline.endpoint.table("battery")).toHaveLength(1);
  });

  test("that was retained is not counted anew when Telegraf starts", async () => {
    const client = await pipeline.broker.connect("gateway");
    await client.publishAsync("old/a", "x", { qos: 1, retain: true });
    await client.endAsync();
    await counted("mqtt_strays", 1);
    await pipeline.stopTelegraf();
    await pipeline.startTelegraf();
    await publish("new/a", "x");
    await counted("mqtt_strays", 2);
    expect(kinds("mqtt_strays").map(({ tags }) => tags.topic)).toEqual(["old/a", "new/a"]);
  });
});

describe("what the broker's log tells of clients", () => {
  const events = () => kinds("mqtt_log").map(({ tags, count }) => [tags.event, tags.client, count]);
  const connect = (clientId: string, password = pipeline.broker.passwords.gateway) =>
    mqtt.connectAsync(pipeline.broker.url, {
      username: "gateway",
      password,
      clientId,
      reconnectPeriod: 0,
    });

  /** One goes without a farewell, as many do; another comes back to its session. */
  const usual = async () => {
    (await connect("gw-3")).stream.destroy();
    for (let i = 0; i < 3; i++) await pipeline.broker.leaveSession("gw-4", "battery/b1/status");
  };

  test("is counted by client: failed log-ins, and two with one client id", async () => {
    for (let i = 0; i < 3; i++)
      await expect(connect("gw-1", "wrong-secret")).rejects.toThrow(/Not authorized/);
    const first = await connect("gw-2");
    const second = await connect("gw-2");
    await usual();
    await counted("mqtt_log", 4);
    await Promise.all([first, second].map((client) => client.endAsync(true)));
    expect(events().sort()).toEqual([
      ["not authorised", "gw-1", 3],
      ["session taken over", "gw-2", 1],
    ]);
    const [{ last } = { last: "" }] = kinds("mqtt_log");
    expect(last).toMatch(/^Client gw-\d \[127\.0\.0\.1:\d+\] disconnected: /);
    expect(JSON.stringify(pipeline.endpoint.points)).not.toContain("wrong-secret");
  });

  test("stands in the broker's own log once, without the clients that come and go", async () => {
    for (let i = 0; i < 3; i++)
      await expect(connect("gw-1", "wrong-secret")).rejects.toThrow(/Not authorized/);
    await publish("battery/b1/status", battery());
    await usual();
    const twins = [await connect("gw-2"), await connect("gw-2")];
    await Promise.all(twins.map((client) => client.endAsync(true)));
    const lines = () => pipeline.broker.output.split("\n").filter(Boolean);
    await until("the refusal", () => lines().some((line) => line.includes("gw-1")));
    await pipeline.broker.terminate();
    expect(lines().filter((line) => line.includes("gw-1"))).toEqual([
      expect.stringMatching(
        /^\d+: Client gw-1 \[127\.0\.0\.1:\d+\] disconnected: not authorised\.$/,
      ),
    ]);
    expect(lines().filter((line) => line.includes(" session taken over"))).toEqual([
      expect.stringContaining(": Client gw-2 ["),
    ]);
    expect(lines().filter((line) => /New |disconnected\.$|gw-3|gw-4/.test(line))).toEqual([]);
    expect(pipeline.broker.output).not.toContain("wrong-secret");
  });
});
