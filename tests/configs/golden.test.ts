import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import mqtt from "mqtt";
import { tables } from "../../configs/influxdb";
import { loadModel } from "../../configs/model";
import { mosquittoAcl, mosquittoConf, passwordLine, ports, users } from "../../configs/mosquitto";
import { profiles } from "../../configs/profiles";
import { secrets, telegrafConf, type TelegrafOptions } from "../../configs/telegraf";
import { freePort, listens, program, Running, temporaryFolder, until } from "../support/programs";

// Regenerate with: UPDATE_GOLDEN=1 npx jest tests/configs/golden; then read the diff.
const update = process.env.UPDATE_GOLDEN === "1";
const options: TelegrafOptions = {
  site: "golden",
  broker: "tcp://mosquitto:1883",
  influxdb: "http://influxdb:8181",
};

const folder = temporaryFolder();
afterAll(() => folder.remove());

/** A new folder of the given files. */
function write(files: Record<string, string>): (file: string) => string {
  const path = join(folder.path, randomBytes(4).toString("hex"));
  mkdirSync(path, { mode: 0o755 });
  for (const [file, content] of Object.entries(files)) writeFileSync(join(path, file), content);
  return (file) => join(path, file);
}

describe.each(["configs/telemetry.yaml", "configs/models/m5bat.yaml"])("%s", (file) => {
  const model = loadModel(file);

  test.each<[string, () => string]>([
    ["telegraf.conf", () => telegrafConf(model, options)],
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

  /** Whether the real Telegraf takes a config, and what it says; `spoil` changes the rendered one. */
  function check(spoil = (conf: string) => conf) {
    const at = write(
      Object.fromEntries(Object.values(secrets).map((secret) => [secret, "hidden"])),
    );
    writeFileSync(
      at("telegraf.conf"),
      spoil(telegrafConf(model, { ...options, secrets: at(".") })),
    );
    const { status, stdout, stderr } = spawnSync(
      program("telegraf"),
      ["config", "check", "--strict-env-handling", "--config", at("telegraf.conf")],
      { encoding: "utf8" },
    );
    return { status, said: stdout + stderr };
  }

  test("renders a config that the real Telegraf takes, with no warning", () => {
    const { status, said } = check();
    expect(said).not.toMatch(/[EW]! /);
    expect(status).toBe(0);
  });

  test.each([
    ["an unknown setting", (conf: string) => conf.replace("qos = 1", "quality = 1")],
    [
      "a fault in the Starlark program",
      (conf: string) => conf.replace("def apply(metric)", "def apply(metric, more"),
    ],
  ])("is checked in earnest: the real Telegraf refuses %s", (_, spoil) => {
    expect(check(spoil).status).not.toBe(0);
  });

  describe("on the real Mosquitto", () => {
    let broker: Running;
    let port: Record<keyof typeof ports, number>;
    let certificate: string;

    beforeAll(async () => {
      port = { mqtt: await freePort(), websocket: await freePort(), tls: await freePort() };
      const at = write({
        acl: mosquittoAcl(model, false),
        passwords: users
          .map((user) => passwordLine(user, `${user}-secret`, randomBytes(12)))
          .join(""),
      });
      execFileSync(
        "openssl",
        [
          "req",
          "-x509",
          "-newkey",
          "rsa:2048",
          "-nodes",
          "-subj",
          "/CN=localhost",
          "-addext",
          "subjectAltName=IP:127.0.0.1",
          "-keyout",
          at("key"),
          "-out",
          at("certificate"),
        ],
        { stdio: "ignore" },
      );
      certificate = readFileSync(at("certificate"), "utf8");
      mkdirSync(at("data"));
      const paths = {
        passwords: at("passwords"),
        acl: at("acl"),
        certificate: at("certificate"),
        key: at("key"),
        data: at("data"),
      };
      const conf = mosquittoConf({
        profile: profiles.dev,
        anonymous: false,
        websocket: true,
        tls: true,
        paths,
      });
      // The container's user and ports cannot be had here.
      const moved = Object.entries(ports).reduce(
        (text, [kind, own]) =>
          text.replace(`listener ${own}`, `listener ${port[kind as keyof typeof ports]} 127.0.0.1`),
        conf,
      );
      writeFileSync(at("mosquitto.conf"), `user root\n${moved}`);
      broker = new Running(program("mosquitto"), ["-c", at("mosquitto.conf")]);
      await until("the broker listens", () => listens(port.mqtt));
    });
    afterAll(() => broker?.stop());

    /** Publishes as the gateway at QoS 1, and waits for the broker's word. */
    const publish = async (
      url: string,
      {
        password = "gateway-secret",
        topic = model.measurements[0].topic.replaceAll("+", "x1"),
      } = {},
    ) => {
      const client = await mqtt.connectAsync(url, {
        username: "gateway",
        password,
        protocolVersion: 5,
        reconnectPeriod: 0,
        connectTimeout: 5000,
        ca: certificate,
      });
      await client.publishAsync(topic, "{}", { qos: 1 }).finally(() => client.endAsync());
    };

    test.each([
      ["TCP", () => `mqtt://127.0.0.1:${port.mqtt}`],
      ["WebSocket", () => `ws://127.0.0.1:${port.websocket}`],
      ["TLS, by its certificate", () => `mqtts://127.0.0.1:${port.tls}`],
    ])("takes the model's topic over %s", async (_, url) => {
      await expect(publish(url())).resolves.toBeUndefined();
    });
    test("refuses a topic of no model", async () => {
      await expect(
        publish(`mqtt://127.0.0.1:${port.mqtt}`, { topic: "other/x1/status" }),
      ).rejects.toThrow(/not authorized/i);
    });
    test("refuses a wrong password", async () => {
      await expect(publish(`mqtt://127.0.0.1:${port.mqtt}`, { password: "wrong" })).rejects.toThrow(
        /not authorized|Bad User Name or Password/i,
      );
    });
    test("refuses plain MQTT at its TLS listener", async () => {
      await expect(publish(`mqtt://127.0.0.1:${port.tls}`)).rejects.toThrow();
    });
    test("starts with no warning but of the test's own user", () => {
      expect(
        broker.output
          .split("\n")
          .filter((line) => /warning/i.test(line) && !line.includes("run as root")),
      ).toEqual([]);
    });
  });
});
