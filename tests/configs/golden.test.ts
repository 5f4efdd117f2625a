import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tables } from "../../configs/influxdb";
import { loadModel, topicsOf } from "../../configs/model";
import { mosquittoAcl, mosquittoConf } from "../../configs/mosquitto";
import { profiles } from "../../configs/profiles";
import {
  readingProgram,
  secrets,
  telegrafConf,
  type TelegrafOptions,
} from "../../configs/telegraf";
import { Broker } from "../support/broker";
import { keyPair } from "../support/key-pairs";
import { program, temporaryFolder, until } from "../support/programs";

// Regenerate with: UPDATE_GOLDEN=1 npx jest tests/configs/golden; then read the diff.
const update = process.env.UPDATE_GOLDEN === "1";
const options: TelegrafOptions = {
  site: "golden",
  broker: "tcp://mosquitto:1883",
  influxdb: "http://influxdb:8182",
  profile: profiles.dev,
};

const folder = temporaryFolder();
afterAll(() => folder.remove());

describe.each(["configs/telemetry.yaml", "configs/models/m5bat.yaml"])("%s", (file) => {
  const model = loadModel(file);

  test.each<[string, () => string]>([
    ["telegraf.conf", () => telegrafConf(model, options)],
    ["reading.star", () => readingProgram(model, "90d")],
    ["acl", () => mosquittoAcl(model, false)],
    ["tables.json", () => `${JSON.stringify(tables(model), null, 2)}\n`],
    [
      "mosquitto.conf",
      () =>
        mosquittoConf({ profile: profiles.dev, anonymous: false, websocket: false, tls: false }),
    ],
  ])("renders its golden %s", (name, render) => {
    const golden = join(__dirname, "golden", model.name);
    if (update) {
      mkdirSync(golden, { recursive: true });
      writeFileSync(join(golden, name), render());
    }
    expect(render()).toBe(readFileSync(join(golden, name), "utf8"));
  });

  /** Whether the real Telegraf takes the rendered config, and one more beside it; and its log. */
  function check(more = "") {
    const at = (file: string) => join(folder.path, file);
    for (const secret of Object.values(secrets)) writeFileSync(at(secret), "hidden");
    const paths = { program: at("reading.star"), secrets: folder.path };
    writeFileSync(paths.program, readingProgram(model, "90d"));
    writeFileSync(at("telegraf.conf"), telegrafConf(model, { ...options, paths }));
    writeFileSync(at("more.conf"), more);
    const files = ["telegraf.conf", "more.conf"].flatMap((file) => ["--config", at(file)]);
    const { status, stdout, stderr } = spawnSync(
      program("telegraf"),
      ["config", "check", "--strict-env-handling", ...files],
      { encoding: "utf8" },
    );
    return { status, log: stdout + stderr };
  }

  test("renders a config that the real Telegraf takes, with no warning", () => {
    const { status, log } = check();
    expect(log).not.toMatch(/[EW]! /);
    expect(status).toBe(0);
  });

  test.each([
    ["an unknown setting", "[[inputs.internal]]\nquality = 1\n"],
    [
      "a fault in a Starlark program",
      `[[processors.starlark]]\nsource = "def apply(metric, more"\n`,
    ],
  ])("is checked in earnest: the real Telegraf refuses %s beside it", (_, more) => {
    expect(check(more).status).not.toBe(0);
  });

  describe("on the real Mosquitto", () => {
    let broker: Broker;
    let certificate: string;

    beforeAll(async () => {
      const tls = keyPair({ names: "IP:127.0.0.1" });
      certificate = tls.certificate;
      broker = await Broker.start(model, { websocket: true, tls });
    });
    afterAll(() => broker?.stop());

    const pattern = model.measurements.flatMap(topicsOf).find(Boolean) ?? "";

    /** Publishes as the gateway at QoS 1, and waits until the broker has acknowledged it. */
    const publish = async (
      scheme: "mqtt" | "ws" | "mqtts",
      listener: keyof Broker["ports"],
      topic = pattern.replaceAll("+", "x1"),
    ) => {
      const url = `${scheme}://127.0.0.1:${broker.ports[listener]}`;
      const client = await broker.connect("gateway", { url, ca: certificate });
      await client.publishAsync(topic, "{}", { qos: 1 }).finally(() => client.endAsync());
    };

    test.each([
      ["TCP", "mqtt", "mqtt"],
      ["WebSocket", "ws", "websocket"],
      ["TLS, by its certificate", "mqtts", "tls"],
    ] as const)("takes the model's topic over %s", async (_, scheme, listener) => {
      await expect(publish(scheme, listener)).resolves.toBeUndefined();
    });
    test.each(["$bess/clock", "$SYS/broker/uptime", "$CONTROL/broker/v1"])(
      "refuses %s, which is not the gateway's",
      async (topic) => {
        await expect(publish("mqtt", "mqtt", topic)).rejects.toThrow(/not authorized/i);
      },
    );
    test("lets monitor read the topics of no model, and no others", async () => {
      const monitor = await broker.connect("monitor");
      const topics: string[] = [];
      monitor.on("message", (topic) => topics.push(topic));
      await monitor.subscribeAsync("#");
      await publish("mqtt", "mqtt");
      await publish("mqtt", "mqtt", "other/x1/status");
      await until("the stray message", () => topics.length > 0);
      await monitor.endAsync();
      expect(topics).toEqual(["other/x1/status"]);
    });
    test("refuses a wrong password", async () => {
      await expect(broker.connect("gateway", { password: "wrong" })).rejects.toThrow(
        /not authorized|Bad User Name or Password/i,
      );
    });
    test("refuses plain MQTT at its TLS listener", async () => {
      await expect(publish("mqtt", "tls")).rejects.toThrow();
    });
    test("starts with no warning", () => {
      expect(broker.output.split("\n").filter((line) => /warning/i.test(line))).toEqual([]);
    });
  });
});
