import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { parseDocument } from "yaml";
import type { SiteArgs } from "../../components";
import { placeholder } from "../../configs/secret-placeholders";
import { images, type Service, services } from "../../configs/images";
import { profiles } from "../../configs/profiles";
import {
  deployOnMocks,
  isSecret,
  type MockedContainer as Container,
  type RegisteredResource,
} from "../support/mocked-site";
import { keyPair } from "../support/key-pairs";
import { temporaryFolder } from "../support/programs";

let registered: RegisteredResource[] = [];

/** Deploys a site on mocks. */
async function deploy(args: SiteArgs): Promise<Record<Service, Container>> {
  registered = [];
  return (await deployOnMocks(args, registered)).containers;
}

const ofType = (type: string) => registered.filter((resource) => resource.type === type);
const find = (name: string, type = "") =>
  registered.find((resource) => resource.name === name && resource.type.endsWith(type));
const labelOf = (container: Container, label: string) =>
  container.labels.find((found) => found.label === `bess-telemetry.${label}`)?.value;
const upload = (container: Container, file: string) =>
  container.uploads.find((found) => found.file.endsWith(file))?.content ?? "";
const bindings = (containers: Record<string, Container>) =>
  Object.fromEntries(
    Object.values(containers).flatMap(({ hostname, ports }) =>
      (ports ?? []).map((port) => [`${hostname}:${port.internal}`, `${port.ip}:${port.external}`]),
    ),
  );

const ownImage = "registry.example/interface:1.4.0";
const dev = {
  name: "dev",
  simulator: { enabled: true },
  interface: { image: ownImage, host: "127.0.0.1" },
  backup: {
    to: "sftp:backup@nas.lan:/kiel-1",
    password: "secret-dev-backup-password",
    ssh: { key: placeholder("key"), knownHosts: "nas.lan ssh-ed25519 AAAA" },
  },
};
/** Capabilities of Linux that a container keeps. */
const kept: Partial<Record<Service, string[]>> = {
  backup: ["CAP_DAC_OVERRIDE"],
  copier: ["CAP_SETGID", "CAP_SETUID"],
  proxy: ["CAP_NET_BIND_SERVICE"],
};
/** Seconds that an update waits for a service that may have much to read at its start. */
const waits: Partial<Record<Service, number>> = { mosquitto: 900, influxdb: 600 };
const secretText = /secret-dev|apiv3_/;
const root = join(__dirname, "../..");

describe("the default site with its simulator and a backup", () => {
  let containers: Record<Service, Container>;
  beforeAll(async () => {
    containers = await deploy(dev);
  });

  test("is one container for each service", () => {
    expect(Object.keys(containers).sort()).toEqual([...services].sort());
  });

  describe.each(services)("runs %s", (service) => {
    let container: Container;
    beforeAll(() => {
      container = containers[service];
    });

    test("with no capability but those that are named here", () =>
      expect(container.capabilities).toEqual({
        ...(kept[service] && { adds: kept[service] }),
        drops: ["ALL"],
      }));
    test("with no new privileges", () =>
      expect(container.securityOpts).toEqual(["no-new-privileges:true"]));
    test("within its profile's memory, and no swap", () => {
      expect([container.memory, container.memorySwap]).toEqual([
        profiles.dev.memory[service],
        profiles.dev.memory[service],
      ]);
    });
    test("with bounded logs", () => {
      expect([container.logDriver, container.logOpts]).toEqual([
        "json-file",
        { "max-size": "10m", "max-file": "3" },
      ]);
    });
    test("with a health check that an update waits for, beside the engine", () => {
      const { tests } = container.healthcheck;
      expect(find(`dev-${service}-ready`)?.inputs).toMatchObject({
        create: `sh -s -- dev-${service} ${waits[service] ?? 180}`,
        triggers: [`dev-${service}-id`],
      });
      expect([tests[0], tests.length > 1]).toEqual([expect.stringMatching(/^CMD(-SHELL)?$/), true]);
    });
    test("again after a reboot", () => expect(container.restart).toBe("unless-stopped"));
    test("as a user other than root, unless it reads what belongs to several", () =>
      expect(container.user).toMatch(
        kept[service] || service === "interface" ? /^0:0$/ : /^(telegraf|[1-9]\d*:\d+)$/,
      ));
    test("from its pinned image", () => {
      const image = find(`dev-${service}`, ":RemoteImage");
      expect([image?.inputs.name, container.image]).toEqual([
        { ...images, interface: ownImage }[service],
        `sha256:dev-${service}`,
      ]);
    });
    test("labelled with its site and revision", () => {
      expect([labelOf(container, "site"), labelOf(container, "revision")]).toEqual([
        "dev",
        expect.stringMatching(/^[0-9a-f]{12}$/),
      ]);
    });
    test("with its secrets in files alone", () => {
      expect(JSON.stringify({ ...container, uploads: undefined })).not.toMatch(secretText);
    });
  });

  test("gives each service its own secrets, and no other's", () => {
    const held = Object.fromEntries(
      services.map((service) => [
        service,
        new Set(
          JSON.stringify(containers[service].uploads).match(/(secret|apiv3)[-_][\w-]*dev-[\w-]+/g),
        ),
      ]),
    );
    expect(held).toEqual({
      mosquitto: new Set(["secret-dev-mosquitto-monitor", "secret-dev-mosquitto-sessions"]),
      telegraf: new Set([
        "secret-dev-mosquitto-telegraf",
        "secret-dev-mosquitto-monitor",
        "apiv3_dev-influxdb-token-telegraf",
      ]),
      influxdb: new Set(["apiv3_secret-dev-influxdb-admin-token"]),
      interface: new Set(["secret-dev-interface-jwt-key", "secret-dev-interface-password"]),
      proxy: new Set(),
      explorer: new Set(["apiv3_dev-influxdb-token-explorer", "secret-dev-explorer-session"]),
      grafana: new Set(["secret-dev-grafana-admin", "secret-dev-grafana-secret-key"]),
      rollup: new Set(["apiv3_dev-influxdb-token-rollup", "secret-dev-alert-reader"]),
      simulator: new Set(["secret-dev-mosquitto-gateway"]),
      backup: new Set(["secret-dev-backup-password"]),
      copier: new Set(),
    });
  });

  test("keeps every input that holds a secret encrypted in the state", () => {
    const open = registered.flatMap(({ name, type, inputs }) =>
      Object.entries(inputs).flatMap(([key, value]) =>
        !isSecret(value) && secretText.test(JSON.stringify(value))
          ? [`${type} ${name} ${key}`]
          : [],
      ),
    );
    expect(open).toEqual([]);
  });

  test("names no secret in a command that runs where Pulumi does", () => {
    expect(JSON.stringify(ofType("command:local:Command").map(({ inputs }) => inputs))).not.toMatch(
      secretText,
    );
  });

  test("has Telegraf wait for no clock: a laptop's kernel may know of none", () => {
    expect(upload(containers.telegraf, "/start.sh")).toContain("limit=0\n");
  });

  test("opens nothing but loopback ports", () => {
    expect(bindings(containers)).toEqual({
      "mosquitto:1883": "127.0.0.1:1883",
      "explorer:8080": "127.0.0.1:8888",
      "proxy:8443": "127.0.0.1:8443",
      "grafana:3000": "127.0.0.1:3000",
    });
  });

  test.each([
    ["mosquitto", ["dev-field"]],
    ["telegraf", ["dev-field", "dev-data"]],
    ["influxdb", ["dev-data"]],
    ["rollup", ["dev-data"]],
    ["explorer", ["dev-data"]],
    ["grafana", ["dev-data"]],
    ["simulator", ["dev-field"]],
    ["backup", ["dev-backup"]],
    ["interface", ["dev-web"]],
    ["proxy", ["dev-web", "dev-data"]],
  ] as const)("puts %s on %j alone", (service, networks) => {
    expect(containers[service].networksAdvanced.map((network) => network.name)).toEqual(networks);
  });

  test("lets the backup read the data, and no more; who may write it has no network", () => {
    const { backup, copier } = containers;
    expect(backup.volumes).toEqual([
      { volumeName: "dev-backup-data", containerPath: "/backup" },
      { volumeName: "dev-influxdb-data", containerPath: "/site/influxdb", readOnly: true },
    ]);
    expect([copier.networkMode, copier.networksAdvanced]).toEqual(["none", undefined]);
    expect(copier.volumes).toContainEqual({
      volumeName: "dev-interface-data",
      containerPath: "/site/interface",
    });
  });

  test("keeps its data volumes when it is destroyed", () => {
    expect(volumes()).toEqual({
      "dev-copier-data": true,
      "dev-explorer-data": true,
      "dev-interface-data": true,
      "dev-proxy-data": true,
      "dev-grafana-data": true,
      "dev-influxdb-data": true,
      "dev-mosquitto-data": true,
      "dev-influxdb-notes": true,
    });
  });
});

const volumes = () =>
  Object.fromEntries(
    ofType("docker:index/volume:Volume").map((volume) => [volume.name, volume.retained]),
  );

describe("an uplink", () => {
  const uplink = { url: "https://hub.lan:8427/api/v1/write", token: "secret-hub-token" };
  test("is the rollups' way out, with its token in a file of its own", async () => {
    const { rollup } = await deploy({ ...dev, uplink: { ...uplink, raw: ["battery.soc"] } });
    expect(JSON.parse(upload(rollup, "/config.json"))).toMatchObject({
      uplink: {
        site: "dev",
        url: uplink.url,
        tokenFile: "/run/secrets/uplink_token",
        raw: ["battery.soc"],
        grafana: {
          url: "http://grafana:3000",
          user: "bess-reader",
          passwordFile: "/run/secrets/grafana_password",
        },
      },
    });
    const [reader] = ofType("grafana:oss/user:User");
    expect(reader?.inputs).toMatchObject({
      login: "bess-reader",
      password: { value: upload(rollup, "/grafana_password") },
    });
    expect(reader?.inputs).not.toHaveProperty("isAdmin");
    expect(upload(rollup, "/uplink_token")).toBe(uplink.token);
    expect(upload(rollup, "/config.json")).not.toContain(uplink.token);
    expect(rollup.ports ?? []).toEqual([]);
  });

  test("reads no alerts where there are none", async () => {
    const { rollup } = await deploy({ ...dev, uplink, alerts: { enabled: false } });
    expect(JSON.parse(upload(rollup, "/config.json")).uplink).not.toHaveProperty("grafana");
    expect(ofType("grafana:oss/user:User")).toEqual([]);
  });

  test("changes no site that has none", async () => {
    const { rollup } = await deploy(dev);
    expect(JSON.parse(upload(rollup, "/config.json"))).not.toHaveProperty("uplink");
  });
});

test("a site that is to be purged keeps no volume", async () => {
  await deploy({ ...dev, purge: true });
  expect(new Set(Object.values(volumes()))).toEqual(new Set([false]));
});

describe("what is published", () => {
  const loopback = {
    "mosquitto:1883": "127.0.0.1:1883",
    "explorer:8080": "127.0.0.1:8888",
    "grafana:3000": "127.0.0.1:3000",
    "proxy:8443": "127.0.0.1:8443",
  };
  const tls = keyPair();
  const on = { enabled: true };

  test.each([
    [
      "only MQTT leaves loopback when the broker's address does",
      { mqtt: { address: "0.0.0.0" } },
      { ...loopback, "mosquitto:1883": "0.0.0.0:1883" },
    ],
    [
      "WebSocket only where it is asked for",
      { mqtt: { websocket: on } },
      { ...loopback, "mosquitto:9001": "127.0.0.1:9001" },
    ],
    [
      "TLS only where it is asked for",
      { mqtt: { tls } },
      { ...loopback, "mosquitto:8883": "127.0.0.1:8883" },
    ],
    [
      "InfluxDB only where it is asked for, on loopback",
      { influxdb: {} },
      { ...loopback, "influxdb:8181": "127.0.0.1:8181" },
    ],
    [
      "every port as configured",
      {
        mqtt: { port: 2883 },
        grafana: { port: 2000 },
        explorer: { port: 2088 },
        interface: { image: ownImage, host: "kiel-1.example", port: 443, address: "0.0.0.0" },
      },
      {
        "mosquitto:1883": "127.0.0.1:2883",
        "grafana:3000": "127.0.0.1:2000",
        "explorer:8080": "127.0.0.1:2088",
        "proxy:8443": "0.0.0.0:443",
      },
    ],
    [
      "no Explorer that is off",
      { explorer: { enabled: false }, interface: undefined },
      { "mosquitto:1883": "127.0.0.1:1883", "grafana:3000": "127.0.0.1:3000" },
    ],
  ])("%s", async (_, config, expected) => {
    expect(bindings(await deploy({ ...dev, ...config }))).toEqual(expected);
  });

  test("a TLS key is a file of the broker's, and encrypted in the state", async () => {
    const { mosquitto } = await deploy({ ...dev, mqtt: { tls } });
    expect(upload(mosquitto, "server.key")).toBe(tls.key);
    expect(isSecret(find("dev-mosquitto", ":Container")?.inputs.uploads)).toBe(true);
  });
});

test("a backup to a folder of the host has no network, and the folder", async () => {
  const { backup } = await deploy({
    ...dev,
    backup: { to: "/mnt/usb/bess", password: placeholder("password") },
  });
  expect([backup.networkMode, find("dev-backup", ":Network")]).toEqual(["none", undefined]);
  expect(backup.volumes).toContainEqual({ hostPath: "/mnt/usb/bess", containerPath: "/target" });
});

test("without a backup nothing of it is there", async () => {
  await deploy({ ...dev, backup: undefined });
  expect(registered.filter(({ name }) => /copier|backup/.test(name))).toEqual([]);
});

test("an interface and its proxy give Grafana an address under their own", async () => {
  const { grafana, proxy, interface: own } = await deploy(dev);
  expect(grafana.envs).toEqual(
    expect.arrayContaining([
      "GF_SECURITY_ALLOW_EMBEDDING=true",
      "GF_SERVER_ROOT_URL=https://127.0.0.1:8443/grafana/",
    ]),
  );
  expect(upload(proxy, "Caddyfile")).toContain("https://127.0.0.1:8443 {");
  const settings = upload(own, "/app/.env");
  expect(settings).toContain('YUZZ_PASSWORD="secret-dev-interface-password"\n');
  expect(settings).toContain(
    'GF_DASHBOARD="https://127.0.0.1:8443/grafana/d/bess-overview?orgId=1&kiosk"\n',
  );
});

test("without an interface nothing of it is there", async () => {
  const { grafana } = await deploy({ ...dev, interface: undefined });
  expect(grafana.envs?.filter((text) => text.includes("ROOT_URL"))).toEqual([]);
  expect(registered.filter(({ name }) => /interface|proxy|web/.test(name))).toEqual([]);
});

test.each(["explorer", "simulator"] as const)(
  "a disabled %s leaves nothing behind",
  async (service) => {
    await deploy({ ...dev, [service]: { enabled: false } });
    expect(registered.filter(({ name }) => name.includes(service))).toEqual([]);
  },
);

describe("a refused site makes nothing:", () => {
  test.each([
    ["an unknown key", { ...dev, mqt: {} }],
    ["no name", {}],
    ["a model that is missing", { ...dev, model: "configs/none.yaml" }],
    ["a model that needs more than storage.max", { ...dev, storage: { max: "1GB" } }],
  ])("%s", async (_, config) => {
    await expect(deploy(config as SiteArgs)).rejects.toMatchObject({ name: "InputError" });
    expect(registered).toEqual([]);
  });
});

describe("a field that is added to the model", () => {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());
  const field = {
    name: "soh",
    path: "soh",
    type: "float",
    unit: "%",
    range: [70, 100],
    quantity: "state_of_health",
    meaning: "State of health.",
  };
  const model = parseDocument(readFileSync(join(root, "configs/telemetry.yaml"), "utf8"));
  const file = join(folder.path, "model.yaml");
  let before: Record<Service, Container>;
  let after: Record<Service, Container>;
  let schemas: string[];

  beforeAll(async () => {
    const schema = () => String(find("dev-influxdb-schema")?.inputs.stdin);
    writeFileSync(file, String(model));
    before = await deploy({ ...dev, model: file });
    const first = schema();
    model.addIn(["measurements", 0, "fields"], field);
    writeFileSync(file, String(model));
    after = await deploy({ ...dev, model: file });
    schemas = [first, schema()];
  });

  test("gives Telegraf a new revision", () => {
    expect(labelOf(after.telegraf, "revision")).not.toBe(labelOf(before.telegraf, "revision"));
  });
  test.each(["mosquitto", "influxdb", "explorer", "grafana"] as const)(
    "leaves %s as it is",
    (service) => {
      expect(after[service]).toEqual(before[service]);
    },
  );
  test("is in the schema", () => {
    expect(schemas.map((schema) => schema.includes('{"name":"soh","type":"float64"}'))).toEqual([
      false,
      true,
    ]);
  });
});

describe("gateways with users of their own", () => {
  const given = pulumi.secret("given-by-the-bms");
  let containers: Record<Service, Container>;
  beforeAll(async () => {
    containers = await deploy({
      ...dev,
      mqtt: {
        gateways: {
          bms: { measurements: ["battery"], password: given },
          inverter: { measurements: ["pcs"], rotation: "2" },
        },
      },
    });
  });

  test("each have a line in the broker's password file, beside the site's users", () => {
    const users = upload(containers.mosquitto, "/passwords").match(/^[^:]+/gm);
    expect(users).toEqual(["gateway", "telegraf", "monitor", "sessions", "bms", "inverter"]);
  });
  test("make a password where none is given, with a rotation of its own", () => {
    const made = ofType("random:index/randomPassword:RandomPassword").map(({ name }) => name);
    expect(made.filter((name) => /bms|inverter/.test(name))).toEqual(["dev-mosquitto-inverter"]);
    expect(find("dev-mosquitto-inverter")?.inputs.keepers).toEqual({ rotation: "2" });
  });
  test("show no password outside of secret files", () => {
    expect(JSON.stringify(containers)).not.toContain("given-by-the-bms");
  });
});

describe("a bridge to a plant's broker", () => {
  const file = "/bridges/plant.conf";
  let containers: Record<Service, Container>;
  beforeAll(async () => {
    containers = await deploy({
      ...dev,
      mqtt: {
        bridge: {
          plant: {
            address: "plant.example",
            topics: ["battery/#"],
            prefix: "north/",
            username: "telemetry",
            password: pulumi.secret("known only later"),
            keepalive: { topic: "R/1/keepalive" },
          },
        },
      },
    });
  });

  test("is configured in a file of its own, with its password", () => {
    expect(upload(containers.mosquitto, file)).toMatch(/^remote_password known only later$/m);
    expect(upload(containers.mosquitto, "/mosquitto.conf")).not.toContain("remote_");
    expect(upload(containers.mosquitto, "/mosquitto.conf")).toContain(
      "include_dir /mosquitto/config/bridges\n",
    );
  });
  test("has a user that publishes what the plant wants, and no more", () =>
    expect(upload(containers.mosquitto, "/acl")).toContain(
      "user clock\ntopic write north/R/1/keepalive\n",
    ));
});

describe("a rotated password of Telegraf's", () => {
  let before: Record<Service, Container>;
  let after: Record<Service, Container>;
  beforeAll(async () => {
    before = await deploy(dev);
    after = await deploy({ ...dev, rotate: { telegraf: "2" } });
  });

  test("touches the broker and Telegraf alone", () => {
    expect(
      services.filter(
        (service) => JSON.stringify(after[service]) !== JSON.stringify(before[service]),
      ),
    ).toEqual(["mosquitto", "telegraf"]);
  });
  test("is no part of a revision", () => {
    expect(services.map((service) => labelOf(after[service], "revision"))).toEqual(
      services.map((service) => labelOf(before[service], "revision")),
    );
  });
});

describe("a site with M5BAT's model", () => {
  let containers: Record<Service, Container>;
  beforeAll(async () => {
    containers = await deploy({ ...dev, model: "configs/models/m5bat.yaml" });
  });

  test("has the monitor read all but its topic", () =>
    expect(upload(containers.mosquitto, "/acl")).toContain(
      "user monitor\ntopic deny m5bat/+/evaluation\ntopic read #\n",
    ));
  test("has Telegraf read its topic", () =>
    expect(upload(containers.telegraf, "telegraf.conf")).toContain('"m5bat/+/evaluation"'));
  test("has its dashboard", () =>
    expect(registered.some(({ name }) => name === "dev-grafana-bess-unit")).toBe(true));
});
