import { gatewayFindings, type Gateways } from "../../configs/broker-users";
import { loadModel } from "../../configs/model";
import { parseSite } from "../../configs/site";
import { Broker } from "../support/broker";

const model = loadModel("configs/telemetry.yaml");
const gateways: Gateways = {
  bms: { measurements: ["battery"] },
  inverter: { topics: ["solar_assistant/inverter_1/#"] },
  one: { topics: ["pcs/m1/status"] },
};

describe("on the real broker, a gateway with a user of its own", () => {
  let broker: Broker;
  beforeAll(async () => {
    broker = await Broker.start(model, { gateways });
  });
  afterAll(() => broker.stop());

  test.each([
    ["bms", "battery/b1/status"],
    ["bms", "a/typo"],
    ["inverter", "solar_assistant/inverter_1/soc/state"],
    ["inverter", "solar_assistant/inverter_2/soc/state"],
    ["one", "pcs/m1/status"],
    ["gateway", "battery/b1/status"],
  ])("%s publishes %s", async (user, topic) => {
    await expect(broker.publish(topic, ["1"], user)).resolves.toBeUndefined();
  });

  test.each([
    ["bms", "solar_assistant/inverter_1/soc/state"],
    ["bms", "pcs/m1/status"],
    ["bms", "$SYS/broker/uptime"],
    ["bms", "$bess/clock"],
    ["inverter", "battery/b1/status"],
    ["inverter", "pcs/m1/status"],
    ["one", "pcs/m2/status"],
    ["one", "battery/b1/status"],
  ])("%s is refused %s", async (user, topic) => {
    await expect(broker.publish(topic, ["1"], user)).rejects.toThrow(/Not authorized/);
  });

  test("logs in with its own password alone", () =>
    expect(broker.connect("bms", { password: broker.passwords.inverter ?? "" })).rejects.toThrow(
      /Not authorized/,
    ));

  test("reads nothing", async () => {
    const client = await broker.connect("bms");
    const received: string[] = [];
    client.on("message", (topic) => received.push(topic));
    await client.subscribeAsync("#", { qos: 1 });
    await broker.publish("battery/b1/status", ["1"], "bms");
    await client.publishAsync("battery/b1/status", "2", { qos: 1 });
    expect(received).toEqual([]);
    await client.endAsync();
  });
});

describe("gateways are refused", () => {
  const site = (chosen: object) => () => parseSite({ name: "a", mqtt: { gateways: chosen } });

  test.each<[what: string, gateways: Gateways, finding: RegExp]>([
    [
      "whose topics overlap",
      { a: { topics: ["battery/+/status"] }, b: { measurements: ["battery"] } },
      /^mqtt\.gateways\.b may publish battery\/\+\/status, and mqtt\.gateways\.a battery\/\+\/status: a topic belongs to one gateway/,
    ],
    [
      "of which one may publish all",
      { a: {}, b: { topics: ["battery/b1/status"] } },
      /mqtt\.gateways\.b/,
    ],
    [
      "with a measurement that the model lacks",
      { a: { measurements: ["wind"] } },
      /^mqtt\.gateways\.a\.measurements has "wind": the model bess-fleet has bess, battery, pcs/,
    ],
  ])("%s", (_, chosen, finding) => {
    expect(gatewayFindings(model, chosen)[0]).toMatch(finding);
  });

  test.each<[what: string, gateways: object, key: string]>([
    ["with a name of the site's own", { telegraf: {} }, "mqtt.gateways.telegraf"],
    ["with a topic of the broker's", { a: { topics: ["$SYS/#"] } }, "mqtt.gateways.a.topics"],
    ["with no pattern", { a: { topics: ["a/b#"] } }, "mqtt.gateways.a.topics"],
    [
      "with two sources of a password",
      { a: { password: "x".repeat(12), rotation: "1" } },
      "rotation",
    ],
  ])("%s", (_, chosen, key) => {
    expect(site(chosen)).toThrow(key);
  });

  test("whose topics a bridge fetches too", () => {
    expect(gatewayFindings(model, { a: { topics: ["n/#"] } }, ["n/1/soc"])).toEqual([
      "mqtt.gateways.a may publish n/#, and mqtt.bridge fetches n/1/soc: " +
        "give the gateway other topics, or the bridge a prefix",
    ]);
  });

  test("beside clients without a password", () => {
    expect(() => parseSite({ name: "a", mqtt: { anonymous: true, gateways: { a: {} } } })).toThrow(
      "mqtt.anonymous",
    );
  });

  test("without showing a password", () => {
    const error = (() => {
      try {
        return String(site({ a: { password: "short!" } })());
      } catch (thrown) {
        return String(thrown);
      }
    })();
    expect(error).toContain("mqtt.gateways.a.password");
    expect(error).not.toContain("short!");
  });
});

test("without the key, no user and no right differs", () => {
  expect(gatewayFindings(model, {})).toEqual([]);
  expect(parseSite({ name: "a" }).mqtt.gateways).toBeUndefined();
});
