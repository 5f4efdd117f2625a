import { bridgesSchema } from "../../configs/bridges";
import mqtt from "mqtt";
import { loadModel } from "../../configs/model";
import { Broker, type Reader } from "../support/broker";
import { keyPair } from "../support/key-pairs";
import { until } from "../support/programs";

const model = loadModel("configs/telemetry.yaml");
const keepalive = { topic: "R/c0619/keepalive", payload: "it's 1", interval: "1s" };

/** The site's broker, which fetches from the other one. */
const siteOf = (device: Broker, more: object = {}) => {
  const password = device.passwords.sessions;
  const bridge = bridgesSchema.parse({
    victron: {
      address: `127.0.0.1:${device.ports.mqtt}`,
      topics: ["N/+/battery/#", "battery/+/status"],
      username: "sessions",
      password,
      keepalive,
      ...more,
    },
  });
  return Broker.start(model, { bridge });
};

let device: Broker;
let site: Broker;
afterEach(async () => {
  await site.stop();
  await device.stop();
});

const topic = "battery/b1/status";
const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => String(from + i));
/** Publishes at the device's broker until the site's has it. */
const linked = async (reader: Reader) => {
  await until("the bridge is there", async () => {
    await device.publish(topic, ["there"]);
    return reader.received.length > 0;
  });
};

describe("a bridge to a device's broker", () => {
  beforeEach(async () => {
    device = await Broker.start(model);
    site = await siteOf(device);
  });

  test("brings what is published there, and the device what it wants regularly", async () => {
    const reader = await site.read("battery/+/status");
    await linked(reader);
    await device.publish(topic, ["1"]);
    await until("it comes", () => reader.received.some(({ payload }) => payload === "1"));
    const wanted = await device.connect("sessions");
    const got: string[] = [];
    wanted.on("message", (_, payload) => got.push(payload.toString()));
    await wanted.subscribeAsync(keepalive.topic);
    await until("the keepalive comes again and again", () => got.length >= 2);
    expect(new Set(got)).toEqual(new Set([keepalive.payload]));
    await wanted.endAsync();
  });

  test("loses nothing while either broker is away, at QoS 1", async () => {
    const reader = await site.read("battery/+/status");
    await linked(reader);
    await reader.client.endAsync();
    // As Telegraf's: it keeps its session over all of it.
    const got = new Set<string>();
    const telegraf = mqtt.connect(site.url, {
      clientId: "telegraf-test",
      clean: false,
      username: "telegraf",
      password: site.passwords.telegraf,
      reconnectPeriod: 100,
      resubscribe: false,
    });
    telegraf.on("message", (_, payload) => got.add(payload.toString()));
    telegraf.on("error", () => undefined);
    await telegraf.subscribeAsync("battery/+/status", { qos: 1 });
    const come = (count: number) =>
      until(
        () => `${count} come, of which ${got.size} are there`,
        () => numbers(0, count).every((text) => got.has(text)),
        60,
      );
    await device.publish(topic, numbers(0, 500));
    await come(500);
    await site.queueOnDisk();
    await site.kill();
    await device.publish(topic, numbers(500, 1000));
    await site.run();
    await come(1000);
    // While the site's broker is away, messages wait at the device's, which is killed with them.
    await site.terminate();
    await device.publish(topic, numbers(1000, 1500));
    await device.queueOnDisk();
    await device.kill();
    await device.run();
    await site.run();
    await device.publish(topic, numbers(1500, 2000));
    await come(2000);
    await telegraf.endAsync();
  }, 120_000);
});

describe("a bridge over TLS", () => {
  test.each([
    ["brings what is published", "the broker's own", true],
    ["brings nothing", "another", false],
  ])("%s where the certificate is %s", async (_, __, right) => {
    const tls = keyPair({ names: "IP:127.0.0.1" });
    device = await Broker.start(model, { tls });
    const ca = right ? tls.certificate : keyPair({ names: "IP:127.0.0.1" }).certificate;
    site = await siteOf(device, { address: `127.0.0.1:${device.ports.tls}`, ca });
    const reader = await site.read("battery/+/status");
    if (right) return linked(reader);
    await until("the certificate is refused", () =>
      /certificate verify failed|Protocol error|TLS/i.test(site.output),
    );
    await device.publish(topic, ["1"]);
    expect(reader.received).toEqual([]);
  });
});
