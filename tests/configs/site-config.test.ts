import { createPrivateKey } from "node:crypto";
import fc from "fast-check";
import { images } from "../../configs/images";
import { InputError } from "../../configs/validation";
import { parseSite, publishedPorts, rotatable } from "../../configs/site";
import { keyPair } from "../support/key-pairs";
import { refusalOf } from "../support/refusal";

/** The message that a configuration is refused with. */
const refusal = (input: unknown) => refusalOf(() => parseSite(input)).message;

/** The copier has the image of InfluxDB. */
const { copier: _, ...chosenImages } = images;

const tls = keyPair();
const { certificate, key } = tls;
const named = (change: object) => ({ name: "dev", ...change });
const prepared = (host: object) =>
  named({ engine: "ssh://pi@host", host: { prepare: true, ...host } });

const top =
  "name, engine, ssh, host, profile, model, timeZone, retention, storage, purge, mqtt, influxdb, explorer, " +
  "grafana, interface, alerts, backup, uplink, update, simulator, images, rotate";
const ipAddress =
  "write an IP address of the host: 127.0.0.1 for the host alone, 0.0.0.0 for all its networks";
const engine = "write unix:///path, ssh://user@host or tcp://127.0.0.1:port";
const pinned = "pin it by a tag other than latest, or by a digest";
const differ = "already; every port of a site must differ";

describe("a configuration is refused, with the key, its value and what is allowed, for", () => {
  test.each<[what: string, input: unknown, key: string, value: string, allowed: string]>([
    ["nothing at all", undefined, "it", "empty", "write name"],
    ["an unknown key", named({ mqt: {} }), "mqt", "no known key", `allowed here: ${top}`],
    [
      "an unknown key of the broker",
      named({ mqtt: { adress: "0.0.0.0" } }),
      "mqtt.adress",
      "no known key",
      "allowed here: address, port, anonymous, gateways, bridge, websocket, tls",
    ],
    [
      "an unknown key of TLS",
      named({ mqtt: { tls: { ...tls, ca: "" } } }),
      "mqtt.tls.ca",
      "no known key",
      "allowed here: port, certificate, key",
    ],
    [
      "an unknown service's image",
      named({ images: { telegraph: "a:1" } }),
      "images.telegraph",
      "no known key",
      Object.keys(chosenImages).join(", "),
    ],
    [
      "an unknown secret to rotate",
      named({ rotate: { gatway: "2" } }),
      "rotate.gatway",
      "no known key",
      rotatable.join(", "),
    ],
    ["no name", {}, "name", "not set", "write a text"],
    ["a name", { name: "Site 1" }, "name", '"Site 1"', "lower case letters, digits and -"],
    [
      "a port of SSH that is none",
      named({ engine: "ssh://pi@host:99999" }),
      "engine",
      '"ssh://pi@host:99999"',
      "write a port from 1 to 65535",
    ],
    ["a profile", named({ profile: "laptop" }), "profile", '"laptop"', "dev, pi, server"],
    [
      "a Docker engine open to the network",
      named({ engine: "tcp://10.0.0.2:2375" }),
      "engine",
      '"tcp://10.0.0.2:2375"',
      engine,
    ],
    [
      "a Docker engine without a scheme",
      named({ engine: "pi@bess" }),
      "engine",
      '"pi@bess"',
      engine,
    ],
    [
      "a model that is no YAML",
      named({ model: "model.json" }),
      "model",
      '"model.json"',
      "write the path of a YAML file",
    ],
    [
      "a retention",
      named({ retention: "3 months" }),
      "retention",
      '"3 months"',
      "write a duration such as 90d",
    ],
    [
      "a retention of 0",
      named({ retention: "0d" }),
      "retention",
      '"0d"',
      "write a duration such as 90d",
    ],
    [
      "a retention too short",
      named({ retention: "59m" }),
      "retention",
      '"59m"',
      "keep from 1h to 36500d",
    ],
    [
      "a size without a unit",
      named({ storage: { max: "40" } }),
      "storage.max",
      '"40"',
      "write a number and MB, GB, TB, MiB, GiB or TiB, such as 40GB",
    ],
    [
      "a place of backups with a password in it",
      named({ backup: { to: "rest:https://me:secret@backup.example/kiel-1" } }),
      "backup.to",
      '"rest:https://me:[secret]@backup.example/kiel-1"',
      "write the path of a folder on the site's host, sftp:user@host:/path",
    ],
    [
      "backups too often",
      named({ backup: { to: "/mnt/usb", every: "10m" } }),
      "backup.every",
      '"10m"',
      "write from 1h to 31d",
    ],
    [
      "backups of which none is kept",
      named({ backup: { to: "/mnt/usb", keep: { daily: 0, weekly: 0, monthly: 0, yearly: 0 } } }),
      "backup.keep",
      '"daily":0',
      "keep one backup at least",
    ],
    [
      "a short password of backups",
      named({ backup: { to: "/mnt/usb", password: "short" } }),
      "backup.password",
      "[secret]",
      "write 12 characters or more",
    ],
    [
      "an SFTP server without a key",
      named({ backup: { to: "sftp:backup@nas.lan:/kiel-1" } }),
      "backup.ssh",
      "not set",
      "an SFTP server needs ssh.key and ssh.knownHosts",
    ],
    [
      "a login at a folder",
      named({ backup: { to: "/mnt/usb", login: { user: "me", password: "a" } } }),
      "backup.login",
      "[secret]",
      "only a place that begins with s3: or rest: has it",
    ],
    [
      "the site's own disk, for a server",
      named({
        backup: { to: "rest:https://backup.example/", sameDisk: true },
      }),
      "backup.sameDisk",
      "true",
      "only a folder of the host has it",
    ],
    ["a purge of a text", named({ purge: "yes" }), "purge", '"yes"', "write true or false"],
    [
      "an address that is a name",
      named({ mqtt: { address: "localhost" } }),
      "mqtt.address",
      '"localhost"',
      ipAddress,
    ],
    [
      "an address that is none",
      named({ grafana: { address: "300.0.0.1" } }),
      "grafana.address",
      '"300.0.0.1"',
      ipAddress,
    ],
    ["a port of 0", named({ mqtt: { port: 0 } }), "mqtt.port", "0", "write 1 or more"],
    [
      "a port too high",
      named({ grafana: { port: 65536 } }),
      "grafana.port",
      "65536",
      "write 65535 or less",
    ],
    [
      "a port of a text",
      named({ grafana: { port: "3000" } }),
      "grafana.port",
      '"3000"',
      "write a number",
    ],
    [
      "a port of Grafana's that MQTT has",
      named({ grafana: { port: 1883 } }),
      "grafana.port",
      "1883",
      `belongs to mqtt.port ${differ}`,
    ],
    [
      "a default port that MQTT was given",
      named({ mqtt: { port: 3000 } }),
      "grafana.port",
      "3000",
      `belongs to mqtt.port ${differ}`,
    ],
    [
      "a port of WebSocket's that MQTT has",
      named({ mqtt: { websocket: { enabled: true, port: 1883 } } }),
      "mqtt.websocket.port",
      "1883",
      `belongs to mqtt.port ${differ}`,
    ],
    [
      "a port of TLS's that MQTT has",
      named({ mqtt: { tls: { ...tls, port: 1883 } } }),
      "mqtt.tls.port",
      "1883",
      `belongs to mqtt.port ${differ}`,
    ],
    [
      "a port of InfluxDB's that the Explorer has",
      named({ influxdb: { port: 8888 } }),
      "explorer.port",
      "not set",
      `belongs to influxdb.port ${differ}`,
    ],
    [
      "a certificate that is no PEM",
      named({ mqtt: { tls: { ...tls, certificate: "server.crt" } } }),
      "mqtt.tls.certificate",
      '"server.crt"',
      "paste it in PEM form",
    ],
    [
      "a TLS key that is no PEM",
      named({ mqtt: { tls: { ...tls, key: "hidden" } } }),
      "mqtt.tls.key",
      "[secret]",
      "paste it in PEM form",
    ],
    [
      "Grafana's address",
      named({ grafana: { url: "grafana.local" } }),
      "grafana.url",
      '"grafana.local"',
      "write an address such as http://127.0.0.1:3000",
    ],
    [
      "no simulated unit",
      named({ simulator: { units: 0 } }),
      "simulator.units",
      "0",
      "write 1 or more",
    ],
    [
      "too many simulated units",
      named({ simulator: { units: 101 } }),
      "simulator.units",
      "101",
      "write 100 or less",
    ],
    [
      "half a simulated unit",
      named({ simulator: { units: 1.5 } }),
      "simulator.units",
      "1.5",
      "write a whole number",
    ],
    [
      "a simulator's interval",
      named({ simulator: { interval: "1" } }),
      "simulator.interval",
      '"1"',
      "write a duration such as 1s or 100ms",
    ],
    [
      "an option for ssh's command line as a host",
      named({ engine: "ssh://pi@-oProxyCommand=x" }),
      "engine",
      '"ssh://pi@-oProxyCommand=x"',
      engine,
    ],
    [
      "an SSH option without SSH",
      named({ ssh: { identity: "~/.ssh/id" } }),
      "ssh.identity",
      '"~/.ssh/id"',
      "only a site with an engine ssh://user@host has it",
    ],
    [
      "a key instead of its file",
      named({ engine: "ssh://pi@host", ssh: { identity: key } }),
      "ssh.identity",
      '"[secret]"',
      "write the path of a private key file",
    ],
    [
      "a local host that is to be prepared",
      named({ host: { prepare: true } }),
      "host.prepare",
      "true",
      "only a site with an engine ssh://user@host has it",
    ],
    [
      "a reboot without prepare",
      named({ engine: "ssh://pi@host", host: { reboot: true } }),
      "host.reboot",
      "true",
      "set host.prepare: true too",
    ],
    [
      "a USB id that YAML took for a number",
      prepared({ udev: [{ symlink: "bms", vendor: 403, product: "6001" }] }),
      "host.udev[0].vendor",
      "403",
      'write four hex digits in quotes, such as "0403"',
    ],
    [
      "a link outside /dev",
      prepared({ udev: [{ symlink: "../bms", vendor: "0403", product: "6001" }] }),
      "host.udev[0].symlink",
      '"../bms"',
      "write letters, digits, _ and -",
    ],
    [
      "a serial number that ends the rule",
      prepared({ udev: [{ symlink: "bms", vendor: "0403", product: "6001", serial: 'A"' }] }),
      "host.udev[0].serial",
      '"A\\""',
      "write the serial number in quotes, as udevadm info",
    ],
    [
      "a mirror with a scheme",
      named({ images: { mirror: "https://mirror.lan" } }),
      "images.mirror",
      '"https://mirror.lan"',
      "write a registry such as mirror.lan:5000",
    ],
    [
      "an unknown way to pull",
      named({ images: { pull: "always" } }),
      "images.pull",
      '"always"',
      "missing, never",
    ],
    [
      "the latest image",
      named({ images: { grafana: "grafana/grafana:latest" } }),
      "images.grafana",
      '"grafana/grafana:latest"',
      pinned,
    ],
    [
      "an image without a tag",
      named({ images: { grafana: "grafana/grafana" } }),
      "images.grafana",
      '"grafana/grafana"',
      pinned,
    ],
    [
      "a registry's port that is no tag",
      named({ images: { grafana: "mirror:5000/grafana" } }),
      "images.grafana",
      '"mirror:5000/grafana"',
      pinned,
    ],
    [
      "an empty rotation",
      named({ rotate: { gateway: "" } }),
      "rotate.gateway",
      '""',
      "write a text",
    ],
  ])("%s", (_, input, key, value, allowed) => {
    const finding = refusal(input)
      .split("\n")
      .find((line) => line.startsWith(`  - ${key} `));
    expect(finding).toContain(`  - ${key} is `);
    expect(finding).toContain(value);
    expect(finding).toContain(allowed);
  });

  test("every fault at once, and the configuration by its name", () => {
    expect(refusal(named({ profile: "laptop", purge: 1, mqt: 1 }))).toMatch(
      /^bess-telemetry:site is refused:(\n {2}- .+){3}$/,
    );
  });
});

describe("a configuration is taken with", () => {
  test("its name alone: everything on loopback, nothing optional published", () => {
    const site = parseSite({ name: "dev" });
    expect([site.mqtt.address, site.grafana.address]).toEqual(["127.0.0.1", "127.0.0.1"]);
    expect(Object.fromEntries(publishedPorts(site))).toEqual({
      "mqtt.port": 1883,
      "explorer.port": 8888,
      "grafana.port": 3000,
    });
  });
  test("a port that a disabled service would have", () => {
    expect(
      parseSite(named({ explorer: { enabled: false }, grafana: { port: 8888 } })).grafana.port,
    ).toBe(8888);
  });
  test.each([
    "mirror.local:5000/grafana:13.1.1",
    `grafana/grafana@sha256:${"a".repeat(64)}`,
    "grafana/grafana:latest-ubuntu",
  ])("the image %s", (grafana) => {
    expect(parseSite(named({ images: { grafana } })).images).toEqual({
      ...chosenImages,
      grafana,
      pull: "missing",
      verify: "none",
    });
  });
  test.each(["unix:///var/run/docker.sock", "ssh://pi@bess-pi.local", "tcp://127.0.0.1:2375"])(
    "the engine %s",
    (engine) => {
      expect(parseSite(named({ engine })).engine).toBe(engine);
    },
  );
  test.each([
    ["PRIVATE KEY", tls, "pkcs8"],
    ["RSA PRIVATE KEY", keyPair({ key: ["rsa:2048"] }), "pkcs1"],
    ["EC PRIVATE KEY", tls, "sec1"],
  ] as const)("a TLS key of kind %s", (kind, pair, type) => {
    const written = createPrivateKey(pair.key).export({ format: "pem", type }).toString();
    expect(written).toContain(`-----BEGIN ${kind}-----`);
    const site = named({ mqtt: { tls: { certificate: pair.certificate, key: written } } });
    expect(parseSite(site).mqtt.tls?.port).toBe(8883);
  });
});

describe("whatever a configuration is made of", () => {
  const refusedOrTaken = (input: unknown) => {
    try {
      const once = parseSite(input);
      expect(parseSite(once)).toEqual(once);
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
    }
  };
  const anything = fc.jsonValue();
  const full = parseSite(
    named({
      mqtt: { tls, websocket: { enabled: true } },
      influxdb: {},
      engine: "ssh://a@b",
      retention: "9d",
      rotate: { gateway: "2" },
    }),
  );
  const part = <T>(good: T): fc.Arbitrary<unknown> =>
    fc.oneof({ weight: 3, arbitrary: fc.constant(good) }, { weight: 1, arbitrary: anything });
  /** The full configuration, any keys of which are missing, or something else. */
  const mutated = (good: unknown): fc.Arbitrary<unknown> =>
    good !== null && typeof good === "object"
      ? fc.oneof(
          {
            weight: 9,
            arbitrary: fc.record(
              Object.fromEntries(Object.entries(good).map(([k, inner]) => [k, mutated(inner)])),
              { requiredKeys: [] },
            ),
          },
          { weight: 1, arbitrary: anything },
        )
      : part(good);

  test("it is taken or refused", () => {
    fc.assert(fc.property(anything, refusedOrTaken), { numRuns: 500 });
  });
  test("it is taken or refused, however parts of a good one differ", () => {
    fc.assert(fc.property(mutated(full), refusedOrTaken), { numRuns: 1000 });
  });

  test("what is taken is taken again from its own output", () => {
    const port = fc.integer({ min: 1, max: 65535 });
    const good = fc.record(
      {
        profile: fc.constantFrom("dev", "pi", "server"),
        retention: fc.integer({ min: 1, max: 1000 }).map((days) => `${days}d`),
        purge: fc.boolean(),
        mqtt: fc.record(
          {
            address: fc.oneof(fc.ipV4(), fc.ipV6()),
            port,
            anonymous: fc.boolean(),
            tls: fc.constant(tls),
          },
          { requiredKeys: [] },
        ),
        influxdb: fc.record({ port }, { requiredKeys: [] }),
        simulator: fc.record({ units: fc.integer({ min: 1, max: 100 }) }, { requiredKeys: [] }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(good, (change) => {
        const ports = [change.mqtt?.port, change.influxdb?.port];
        fc.pre(
          ports.every(
            (p, i) =>
              ![8888, 3000, 8883, 1883, 8181].includes(p ?? 0) &&
              (p === undefined || ports.indexOf(p) === i),
          ),
        );
        const once = parseSite(named(change));
        expect(parseSite(JSON.parse(JSON.stringify(once)))).toEqual(once);
      }),
    );
  });
});

describe("a TLS key is never shown", () => {
  const body = key.split("\n")[1];

  test.each([
    ["beside a wrong certificate", { mqtt: { tls: { certificate: "none", key } } }],
    ["cut short", { mqtt: { tls: { certificate, key: key.slice(0, 45) } } }],
    ["in a list", { mqtt: { tls: { certificate, key: [key] } } }],
    ["in the certificate's place", { mqtt: { tls: { certificate: key, key: certificate } } }],
    ["in TLS's own place", { mqtt: { tls: key } }],
    ["in a list of TLS's own place", { mqtt: { tls: [certificate, key].reverse() } }],
    ["in the broker's own place", { mqtt: [{ tls: { key } }] }],
  ])("%s", (_, change) => {
    expect(refusal(named(change))).not.toContain(body);
  });

  test("whatever else is wrong", () => {
    const wrong = fc.dictionary(
      fc.constantFrom("profile", "engine", "purge", "grafana", "influxdb", "explorer", "nothing"),
      fc.jsonValue(),
      { minKeys: 1 },
    );
    fc.assert(
      fc.property(wrong, fc.string(), (others, after) => {
        expect(
          refusal(named({ ...others, mqtt: { tls: { certificate: "none", key: body + after } } })),
        ).not.toContain(body);
      }),
    );
  });
});
