import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter } from "node:path";
import { Checkout } from "../support/checkout";
import { keyPair, locked } from "../support/key-pairs";
import type { Mistake, Outcome } from "../support/mistakes";

/** What goes wrong, the command line, what is told, and the files that make it so. */
type Row = [what: string, line: string, told: string, files?: Mistake["files"], more?: object];

const telemetry = readFileSync("configs/telemetry.yaml", "utf8");
const fleetFile = readFileSync("fleet/fleet.yaml", "utf8");

/** A text with a change that must be one. */
function changed(text: string, from: string | RegExp, to: string): string {
  const made = text.replace(from, to);
  if (made === text) throw new Error(`nothing is ${from}`);
  return made;
}

const stack = (text: string) => ({ "Pulumi.x.yaml": text });
const site = (yaml: string) => stack(`config:\n  bess-telemetry:site: ${yaml}\n`);
const siteOf = (key: string) => site(`{ name: x, ${key} }`);
const model = (text: string) => ({ ...siteOf("model: models/x.yaml"), "models/x.yaml": text });
const modelWith = (from: string | RegExp, to: string) => model(changed(telemetry, from, to));
const fleet = (text: string | null) => ({ "fleet/fleet.yaml": text });
const fleetWith = (from: string | RegExp, to: string) => fleet(changed(fleetFile, from, to));
const indented = (text: string) => text.trim().replaceAll(/^/gm, " ".repeat(8));
const tls = (certificate: string, key: string) =>
  site(
    `\n    name: x\n    mqtt:\n      tls:\n       certificate: |\n${indented(certificate)}\n` +
      `       key: |\n${indented(key)}`,
  );
const fields = (count: number) =>
  Array.from(
    { length: count },
    (_, i) => `      - { name: f${i}, path: f${i}, type: float, meaning: A value. }`,
  ).join("\n");

const pair = keyPair();
const other = keyPair();
const expired = keyPair({ valid: ["20200101", "20210101"] });
const weak = keyPair({ key: ["rsa:1024"] });
const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";

const up = "up --stack x --yes";
const keys =
  "name, engine, ssh, host, profile, model, timeZone, retention, storage, purge, mqtt, influxdb, explorer, " +
  "grafana, interface, alerts, backup, uplink, update, simulator, images, rotate";
const source = "bess-telemetry:site of x (Pulumi.x.yaml) is refused:\n  - ";
const engines = "write unix:///path, ssh://user@host or tcp://127.0.0.1:port";
const differ = "every port of a site must differ";
const overSsh = "only a site with an engine ssh://user@host has it";
const noSite = (name: string) =>
  `Stack ${name} has no site in Pulumi.${name}.yaml or fleet/fleet.yaml. The nearest that have one: `;
const noFile = "there is no such file; write the path of a YAML file, relative to the project";

const stackFiles: Row[] = [
  ["no such stack", "up --stack y", noSite("y")],
  ["no such stack of an organization", "preview --stack acme/bess/y", noSite("y")],
  ["no name of a stack", "up --stack=", "--stack is refused:\n  - it is empty"],
  ["an empty file", up, noSite("x"), stack("")],
  [
    "a list",
    up,
    "Pulumi.x.yaml is refused:\n  - it is no map: write config, and in it",
    stack("[]"),
  ],
  [
    "config that is a list",
    up,
    "- config is []: write a map, and in it bess-",
    stack("config: []"),
  ],
  ["a tab", up, "- line 2: Tabs are not allowed as indentation", stack("config:\n\tx: 1")],
  ["a key twice", up, '- line 2: "name" is declared twice; every', site("{ name: x, name: y }")],
  ["a bracket that stays open", up, "Pulumi.x.yaml is refused:\n  - line ", site("{ name: x")],
  ["two documents", up, "- line 2: a second document begins here", stack("a: 1\n---\nb: 1")],
  ["a tag of YAML", up, "- line 1: Unresolved tag: !vault", stack("config: !vault {}")],
  ["an alias of nothing", up, "Pulumi.x.yaml is refused:\n  - Unresolved alias", stack("a: *b")],
  [
    "Latin-1",
    up,
    "- line 2: the byte 0xe4 is not UTF-8; save",
    siteOf("model: ä"),
    { encoding: "latin1" },
  ],
  [
    "a key that Pulumi lacks",
    up,
    "- confg is no known key; allowed here: config",
    stack("confg: {}"),
  ],
  [
    "a mistyped key of the project",
    up,
    "- config.bess-telemetry:sitee is no known key; allowed here: bess-telemetry:site",
    stack("config:\n  bess-telemetry:sitee: { name: x }"),
  ],
  [
    "a mistyped namespace",
    up,
    "- config.bes-telemetry:site is no known key; allowed here: bess-telemetry:site",
    stack("config:\n  bes-telemetry:site: { name: x }"),
  ],
  ["a key without a namespace", up, "- config.site is no known", stack("config:\n  site: {}")],
  ["an empty site", up, "- config.bess-telemetry:site is empty: write the keys", site("")],
  ["a site that is a list", up, "- config.bess-telemetry:site is []: write the keys", site("[]")],
];

const sites: Row[] = [
  ["no name", up, `${source}name is not set: write a text`, site("{}")],
  [
    "a name in upper case",
    up,
    `${source}name is "X": write lower case letters`,
    site("{ name: X }"),
  ],
  [
    "an unknown key",
    up,
    `${source}modle is no known key; allowed here: ${keys}`,
    siteOf("modle: a"),
  ],
  [
    "a group without keys",
    up,
    `${source}grafana is null: write a map of keys`,
    siteOf("grafana: "),
  ],
  [
    "a profile",
    up,
    `${source}profile is "rpi": allowed here: dev, pi, server`,
    siteOf("profile: rpi"),
  ],
  ["an engine without a user", up, `engine is "ssh://h": ${engines}`, siteOf("engine: ssh://h")],
  [
    "a port of SSH that is none",
    up,
    'engine is "ssh://u@h:99999": write a port from 1 to 65535',
    siteOf("engine: 'ssh://u@h:99999'"),
  ],
  [
    "an engine that everybody reaches",
    up,
    `engine is "tcp://10.0.0.1:2375": ${engines}`,
    siteOf("engine: 'tcp://10.0.0.1:2375'"),
  ],
  [
    "a path of a socket",
    up,
    `engine is "unix://run/docker.sock": ${engines}`,
    siteOf("engine: 'unix://run/docker.sock'"),
  ],
  [
    "Grafana's address with no port",
    up,
    'grafana.url is "http://h:99999": write an address such as http://127.0.0.1:3000',
    siteOf("grafana: { url: 'http://h:99999' }"),
  ],
  [
    "an address that is a name",
    up,
    'mqtt.address is "lan": write an IP',
    siteOf("mqtt: { address: lan }"),
  ],
  ["a port as text", up, 'mqtt.port is "1883": write a number', siteOf("mqtt: { port: '1883' }")],
  [
    "half a port",
    up,
    "mqtt.port is 1883.5: write a whole number",
    siteOf("mqtt: { port: 1883.5 }"),
  ],
  ["a port of 0", up, "mqtt.port is 0: write 1 or more", siteOf("mqtt: { port: 0 }")],
  [
    "a port twice",
    up,
    `grafana.port is not set: port 3000 belongs to mqtt.port already; ${differ}`,
    siteOf("mqtt: { port: 3000 }"),
  ],
  [
    "a time without a unit",
    up,
    "retention is 90: write a duration such as 90d",
    siteOf("retention: 90"),
  ],
  [
    "a time that nobody means",
    up,
    'retention is "999999999999d": keep from 1h to 36500d',
    siteOf("retention: 999999999999d"),
  ],
  [
    "backups that nobody could read",
    up,
    `${source}backup.password is not set: choose one of 12 characters or more, set it with pulumi config set`,
    siteOf("backup: { to: /mnt/usb }"),
  ],
  [
    "more time than the memory holds",
    up,
    "of memory for the index of 3 tables over that time and of their rollups, and the profile dev has " +
      "230 MiB for it; keep",
    siteOf("retention: 9000d"),
  ],
  [
    "a tier that is kept for less long than a finer one",
    up,
    'retention.hour is "30d": keep it as long as retention.minute at least, which is 365d by default',
    siteOf("retention: { raw: 7d, hour: 30d }"),
  ],
  [
    "a tier that there is not",
    up,
    "retention.week is no known key; allowed here: raw, minute, hour, day",
    siteOf("retention: { week: 10w }"),
  ],
  [
    "a tier's time without a unit",
    up,
    "retention.minute is 365: write a duration such as 90d",
    siteOf("retention: { minute: 365 }"),
  ],
  [
    "a size without a unit",
    up,
    "storage.max is 40: write a number and MB",
    siteOf("storage: { max: 40 }"),
  ],
  [
    "a disk that is too small",
    up,
    "are the broker's queue; raise storage.max, or shorten retention",
    siteOf("storage: { max: 1GB }"),
  ],
  ["a word for true", up, 'purge is "yes": write true or false', siteOf("purge: yes")],
  ["SSH of a local engine", up, `ssh.jump is "a": ${overSsh}`, siteOf("ssh: { jump: a }")],
  [
    "a reboot of a host that is not prepared",
    up,
    "host.reboot is true: only a host that is prepared has it; set host.prepare: true too",
    siteOf("host: { reboot: true }"),
  ],
  [
    "a USB id that YAML takes for a number",
    up,
    "host.udev[0].vendor is 403: write four hex digits in quotes",
    siteOf(
      "engine: ssh://a@b, host: { prepare: true, udev: [{ symlink: a, vendor: 0403, product: '6001' }] }",
    ),
  ],
  [
    "an image that moves",
    up,
    'images.grafana is "grafana/grafana:latest": pin it by a tag other than latest',
    siteOf("images: { grafana: 'grafana/grafana:latest' }"),
  ],
  ["a mirror with https", up, "images.mirror is ", siteOf("images: { mirror: 'https://m' }")],
  [
    "a contact in two ways",
    up,
    'alerts.contacts.duty is {"slack":{"url":"[secret]"},"pagerduty":{"key":"[secret]"}}: it has slack and pagerduty: write one of',
    siteOf(
      'alerts: { contacts: { duty: { slack: { url: "https://a/b" }, pagerduty: { key: a } } } }',
    ),
  ],
  [
    "a contact in no way",
    up,
    "alerts.contacts.duty is {}: it has no way: write one of email, webhook, slack",
    siteOf("alerts: { contacts: { duty: {} } }"),
  ],
  [
    "a contact's address that is none",
    up,
    "alerts.contacts.duty.ntfy.url is [secret]: write an address that begins with https://",
    siteOf("alerts: { contacts: { duty: { ntfy: { url: ntfy.sh/topic } } } }"),
  ],
  [
    "e-mail without a mail server",
    up,
    'alerts.contacts.duty.email is {"addresses":["a@b.de"]}: no mail server is given: write alerts.smtp too',
    siteOf("alerts: { contacts: { duty: { email: { addresses: [a@b.de] } } } }"),
  ],
  [
    "an unknown severity",
    up,
    'alerts.contacts.duty.severities[0] is "bad": allowed here: critical, warning, info',
    siteOf("alerts: { contacts: { duty: { pagerduty: { key: a }, severities: [bad] } } }"),
  ],
  [
    "quiet hours without an end",
    up,
    "from and to go together",
    siteOf('alerts: { contacts: { duty: { pagerduty: { key: a }, quiet: { from: "22:00" } } } }'),
  ],
  [
    "an outside watcher too often",
    up,
    'alerts.deadMan.every is "1s": write 1m to 1d',
    siteOf('alerts: { deadMan: { url: "https://a/b", every: 1s } }'),
  ],
  [
    "a hub without TLS",
    up,
    'uplink.url is "http://hub.lan/api/v1/write": write an address such as https://hub.example:8427/api/v1/write',
    siteOf("uplink: { url: http://hub.lan/api/v1/write, token: abcdefgh }"),
  ],
  [
    "a hub's token with a space",
    up,
    "uplink.token is [secret]: write it without spaces, as the hub gives it",
    siteOf('uplink: { url: https://hub.lan/api/v1/write, token: "abcd efgh" }'),
  ],
  [
    "a field for a hub that the model does not have",
    up,
    "uplink.raw: battery.sock is no field of the model",
    siteOf("uplink: { url: https://hub.lan/api/v1/write, token: abcdefgh, raw: [battery.sock] }"),
  ],
  [
    "a gateway of no measurement",
    up,
    'mqtt.gateways.bms.measurements has "none": the model bess-fleet has bess, battery, pcs',
    siteOf("mqtt: { gateways: { bms: { measurements: [none] } } }"),
  ],
  [
    "a gateway by a name of the site's own",
    up,
    "mqtt.gateways.telegraf is no possible name: the site has gateway, telegraf",
    siteOf("mqtt: { gateways: { telegraf: {} } }"),
  ],
  [
    "a gateway's short password",
    up,
    "mqtt.gateways.bms.password is [secret]: write 12 to 64 letters",
    siteOf("mqtt: { gateways: { bms: { password: short } } }"),
  ],
  [
    "a bridge's password without its user",
    up,
    "mqtt.bridge.v.username is not set: a password goes with a user; write it too",
    siteOf("mqtt: { bridge: { v: { address: a, topics: [a], password: x } } }"),
  ],
  [
    "a bridge to an address with a scheme",
    up,
    'mqtt.bridge.v.address is "mqtt://a": write a host name',
    siteOf("mqtt: { bridge: { v: { address: 'mqtt://a', topics: [a] } } }"),
  ],
  [
    "a backup that no login opens",
    up,
    "backup.login is not set: S3 needs login.user and login.password",
    siteOf("backup: { to: 's3:a/b', password: abcdefghijklm }"),
  ],
  [
    "a backup's address with a password",
    up,
    'backup.to is "rest:https://u:[secret]@h/x": write the path of a folder',
    siteOf("backup: { to: 'rest:https://u:p@h/x', password: abcdefghijklm }"),
  ],
  [
    "a window that never closes",
    up,
    'update.window is {"from":"01:00"}: from and to go together',
    siteOf("update: { window: { from: '01:00' } }"),
  ],
  [
    "a hold until some day",
    up,
    'update.hold.until is "tomorrow": write a time such as 2026-12-03T18:00',
    siteOf("update: { hold: { reason: a, until: tomorrow } }"),
  ],
  [
    "an interface without an image",
    up,
    "interface.image is not set: write a text",
    siteOf("interface: { host: h }"),
  ],
  ["an unknown secret", up, "rotate.broker is no known key", siteOf("rotate: { broker: a }")],
  [
    "a simulator that waits for years",
    up,
    'simulator.interval is "99999d": write 1d at most',
    siteOf("simulator: { interval: 99999d }"),
  ],
  [
    "no simulated unit",
    up,
    "simulator.units is 0: write 1 or more",
    siteOf("simulator: { units: 0 }"),
  ],
  [
    "a fault that no simulator knows",
    up,
    'simulator.scenario is "explosion": allowed here: cell-overheats, cell-drifts, ',
    siteOf("simulator: { scenario: explosion }"),
  ],
  [
    "a fault that the model cannot show",
    up,
    'simulator.scenario is "cell-overheats": it needs a temperature of a battery, which the model ' +
      "bess-fleet has not; it shows pack-silent, ",
    siteOf("simulator: { scenario: cell-overheats }"),
  ],
];

const certificates: Row[] = [
  [
    "a certificate that is a path",
    up,
    'mqtt.tls.certificate is "a.crt": paste it in PEM form, from -----BEGIN to -----END',
    siteOf("mqtt: { tls: { certificate: a.crt, key: a.key } }"),
  ],
  [
    "a broken certificate",
    up,
    "the certificate cannot be read (OpenSSL: wrong tag)",
    tls(broken, pair.key),
  ],
  [
    "a broken key",
    up,
    "mqtt.tls.key is [secret]: it cannot be read",
    tls(pair.certificate, broken.replaceAll("CERTIFICATE", "PRIVATE KEY")),
  ],
  [
    "another's key",
    up,
    "mqtt.tls.key is [secret]: it is not the key of",
    tls(pair.certificate, other.key),
  ],
  [
    "a key with a passphrase",
    up,
    "it is locked by a passphrase",
    tls(pair.certificate, locked(pair)),
  ],
  [
    "the two exchanged",
    up,
    'mqtt.tls.certificate is "[secret]": paste',
    tls(pair.key, pair.certificate),
  ],
  [
    "a chain upside down",
    up,
    "mqtt.tls.key is the key of number 2; write that certificate first",
    tls(other.certificate + pair.certificate, pair.key),
  ],
  [
    "a chain of strangers",
    up,
    "certificate number 2 (CN=kiel-1) has not issued number 1",
    tls(pair.certificate + other.certificate, pair.key),
  ],
  [
    "a key that is too short",
    up,
    "OpenSSL refuses it: ee key too small",
    tls(weak.certificate, weak.key),
  ],
  [
    "one that has expired",
    up,
    "it expired on 2021-01-01, and",
    tls(expired.certificate, expired.key),
  ],
];

const hubOf = (keys: string) => stack(`config:\n  bess-telemetry:hub: { name: x, ${keys} }\n`);
const hubs: Row[] = [
  [
    "a site and a hub in one",
    up,
    "- config has bess-telemetry:site and bess-telemetry:hub: a stack is a site, or the hub",
    stack("config:\n  bess-telemetry:hub: { name: x }\n  bess-telemetry:site: { name: x }"),
  ],
  ["a mistyped key", up, "nam is no known key; allowed here: name, engine", hubOf("nam: a")],
  [
    "a token of no site that is revoked",
    up,
    'bess-telemetry:hub of x is refused:\n  - revoked has "kiel1": no site of the inventory',
    hubOf("revoked: [kiel1]"),
  ],
  [
    "a token of no site made anew",
    up,
    "- rotate.kiel1 is no site of the inventory",
    hubOf("rotate: { kiel1: a }"),
  ],
  [
    "a node that the world reaches",
    up,
    'storage.nodes[0] is "ssh://a@h1": write ssh://user@ADDRESS with an address of a private',
    hubOf("storage: { nodes: ['ssh://a@h1', 'ssh://a@10.8.0.3'] }"),
  ],
  [
    "more copies than nodes",
    up,
    "storage.replication is 3: there are fewer nodes than this",
    hubOf("storage: { nodes: ['ssh://a@10.8.0.2', 'ssh://a@10.8.0.3'], replication: 3 }"),
  ],
  [
    "a name with a scheme",
    up,
    'entrance.names[0] is "https://a": write a host name or an IP',
    hubOf("entrance: { names: ['https://a'] }"),
  ],
];

const models: Row[] = [
  [
    "no such file",
    up,
    `model is "configs/none.yaml": ${noFile}`,
    siteOf("model: configs/none.yaml"),
  ],
  [
    "a file of another kind",
    up,
    'model is "a.json": write the path of a YAML',
    siteOf("model: a.json"),
  ],
  [
    "a folder",
    up,
    "models/x.yaml is refused:\n  - it is a folder, not a file",
    { ...siteOf("model: models/x.yaml"), "models/x.yaml/a": "" },
  ],
  [
    "an empty file",
    up,
    "models/x.yaml is refused:\n  - it is empty: write name, title, meas",
    model(""),
  ],
  [
    "a list",
    up,
    "models/x.yaml is refused:\n  - the whole is []: write a map of keys",
    model("[]"),
  ],
  [
    "a tab",
    up,
    "models/x.yaml is refused:\n  - line 2: Tabs are not allowed",
    model("a:\n\tb: 1\n"),
  ],
  ["a key twice", up, '- line 2: "name" is declared twice', model("name: a\nname: b\n")],
  [
    "Latin-1",
    up,
    "models/x.yaml is refused:\n  - line 2: the byte 0xfc is not UTF-8",
    model("name: fleet\ntitle: Jülich\n"),
    { encoding: "latin1" },
  ],
  [
    "a mistyped key",
    up,
    "titel is no known key; allowed here: name, title",
    modelWith(/^title:/m, "titel:"),
  ],
  ["a unit", up, 'unit is "parsec": allowed here: ', modelWith("unit: A", "unit: parsec")],
  [
    "a type",
    up,
    'type is "double": allowed here: float, int',
    modelWith("type: float", "type: double"),
  ],
  [
    "a topic with # in its middle",
    up,
    'topic is "a/#/b": write MQTT topic levels',
    modelWith(/topic: \S+/, "topic: a/#/b"),
  ],
  ["a path twice", up, "has this path already", modelWith("path: current\n", "path: soc\n")],
  [
    "a range upside down",
    up,
    "the first must not be greater than",
    modelWith(/range: \[.*\]/, "range: [9, 1]"),
  ],
  [
    "half a range",
    up,
    "write two numbers: [lowest, highest]",
    modelWith(/range: \[.*\]/, "range: [9]"),
  ],
  [
    "no interval",
    up,
    'interval is "0s": write a duration',
    modelWith(/interval: \S+/, "interval: 0s"),
  ],
  [
    "600 fields",
    up,
    "columns; InfluxDB takes 500 a table",
    modelWith(/^    fields:\n/m, `    fields:\n${fields(600)}\n`),
  ],
  [
    "2,000 fields",
    up,
    "columns; InfluxDB takes 500 a table",
    modelWith(/^    fields:\n/m, `    fields:\n${fields(2000)}\n`),
  ],
];

const commands: Row[] = [
  ["a mistyped command", "upp", "error: unknown command 'upp'\n(Did you mean up?)"],
  ["a mistyped option", "up --sack x", "error: unknown option '--sack'\n(Did you mean --stack?)"],
  ["an argument too many", "up x", "error: too many arguments for 'up'"],
  ["a check of no argument", "lint x", "error: too many arguments for 'lint'"],
  ["a preview", "preview --stack x", `model is "a.yaml": ${noFile}`, siteOf("model: a.yaml")],
  [
    "an offline preview",
    "preview --stack x --offline",
    'model is "a.yaml"',
    siteOf("model: a.yaml"),
  ],
  [
    "a preview of what was never deployed",
    "preview --stack x",
    "Stack x has no state in",
    siteOf("purge: true"),
  ],
  ["a refresh", "refresh --stack x --yes", 'name is "X"', site("{ name: X }")],
  [
    "a refresh of what was never deployed",
    "refresh --stack x --yes",
    "Stack x has no state in",
    siteOf("purge: true"),
  ],
  ["a removal", "down --stack x --yes", "config.bess-telemetry:site is []", site("[]")],
  [
    "a removal of what was never deployed",
    "down --stack x --yes",
    "Stack x has no state in",
    siteOf("purge: true"),
  ],
  ["a look", "open --stack x", 'name is "X"', site("{ name: X }")],
  ["the state of a site", "status --stack x", 'name is "X"', site("{ name: X }")],
  ["the state of all sites", "status", 'name is "X"', site("{ name: X }")],
  ["a list of sites", "list", `refused: model is "a.yaml": ${noFile}`, siteOf("model: a.yaml")],
  ["a list with a broken file", "list --json", "line 3: Flow map", stack("config:\n  a: {\n")],
  ["images of no site", "images save --stack x", 'name is "X"', site("{ name: X }")],
  [
    "images into no folder",
    "images save --file /no/such/dir/x.tar",
    "There is no folder /no/such/dir.",
  ],
  ["images into a folder", "images save --file docs", "It is a folder: write the path of a file."],
  [
    "images for no platform",
    "images save --platform arm",
    "Allowed choices are linux/arm64, linux/amd64.",
  ],
  [
    "images from no file",
    "images load --file none.tar",
    "--file is none.tar: there is no such file",
  ],
  [
    "a check of stale pages",
    "docs --check",
    "docs/cli.md is out of date: npx bess docs",
    { "docs/cli.md": "" },
  ],
  [
    "a mistyped option of docs",
    "docs --chek",
    "error: unknown option '--chek'\n(Did you mean --check?)",
  ],
  ["no engine", up, "missing   docker: start its engine", siteOf("purge: true")],
  [
    "an engine that does not answer",
    up,
    "missing   docker: start its engine, or write another one than unix:///no.sock",
    siteOf("engine: 'unix:///no.sock'"),
  ],
  [
    "no runtime of Pulumi's",
    up,
    "no pulumi-language-nodejs on the PATH or beside",
    siteOf("purge: true"),
  ],
  [
    "no providers",
    up,
    "missing   providers: run pulumi plugin install resource docker",
    siteOf("purge: true"),
  ],
];

const faults: Row[] = [
  ["no operation", "rehearse", "error: missing required argument 'operation'"],
  ["an unknown operation", "rehearse jump", "Allowed choices are up, preview, refresh, destroy."],
  ["a site", "rehearse up --stack x", 'model is "a.yaml"', siteOf("model: a.yaml")],
  ["no fault", "rehearse up --fault a", "it is none: write RESOURCE=KIND[:SECONDS]"],
  [
    "a fault of nothing",
    "rehearse up --fault =fail",
    'resource is "": write the name of a resource',
  ],
  [
    "an unknown kind",
    "rehearse up --fault Container:*=explode",
    'kind is "explode": allowed here: fail, hang, slow, flap, unhealthy',
  ],
  ["seconds below 0", "rehearse up --fault a=slow:-1", "seconds is -1: write a number over 0"],
  [
    "seconds in words",
    "rehearse up --fault a=slow:long",
    'seconds is "long": write a number of seconds',
  ],
  ["seconds of a failure", "rehearse up --fault a=fail:5", "only slow takes seconds: write a=fail"],
  [
    "a fault that fits nothing",
    "rehearse up --fault dev-grafna=fail",
    "it fits no resource of the site; the nearest: Folder:dev-grafana, Container:dev-grafana",
  ],
  [
    "an unhealthy volume",
    "rehearse up --fault dev-grafana-data=unhealthy",
    "it fits no container of the site",
  ],
  [
    "a fault of a preview",
    "rehearse preview --fault dev-grafana=fail",
    "--fault has no effect on a preview",
  ],
  [
    "a fault of a real site",
    "fleet up --yes --fault kiel-1:engine=fail",
    "--fault is given without --rehearse",
  ],
  [
    "a fault of another site",
    "fleet up --yes --rehearse --site kiel-1 --fault kiel-2:engine=fail",
    "--fault is of site kiel-2: it is none of those chosen",
  ],
  ["a fault without its site", "fleet up --fault engine", "Write SITE:RESOURCE=KIND[:SECONDS]"],
];

const fleets: Row[] = [
  [
    "a mistyped command",
    "fleet lst",
    "error: unknown command 'lst'\n(Did you mean list?)\n(npx bess fleet --help",
  ],
  [
    "an unknown wave",
    "fleet list --wave first",
    "--wave is first: allowed here: canary, early, rest",
  ],
  ["a glob that fits none", "fleet list --site x*", "no site of fleet/fleet.yaml fits"],
  ["half a label", "fleet list --label region", "Write NAME=VALUE, such as region=north."],
  ["a budget below 0", "fleet up --budget -1", "Write a whole number of at least 0."],
  ["no site at once", "fleet up --parallel 0", "Write a whole number of at least 1."],
  ["half an attempt", "fleet up --attempts 1.5", "Write a whole number of at least 1."],
  [
    "a shared rollout without a name",
    "fleet up --yes --share",
    "--share is given without --rollout: all runners need the same name of the rollout",
  ],
  ["a rate of nothing", "fleet up --rate 0", "Write a whole number of at least 1."],
  ["a soak in words", "fleet up --soak long", "Write a whole number of at least 0."],
  ["nobody to ask", "fleet up", "--yes is missing: without a terminal nobody can be asked"],
  ["no backend", "fleet up --yes", "the backend is refused:\n  - PULUMI_BACKEND_URL is not set"],
  ["no backend to resume from", "fleet resume --yes", "PULUMI_BACKEND_URL is not set"],
  ["no backend to go back with", "fleet rollback --yes", "PULUMI_BACKEND_URL is not set"],
  [
    "a hub that is a site",
    "fleet status --hub kiel-1",
    "--hub is kiel-1: Pulumi.kiel-1.yaml has no bess-telemetry:hub",
  ],
  [
    "sites and a hub at once",
    "fleet status --hub hub --live",
    "--hub and --live are given: write one of the two",
  ],
  ["no backend to ask", "fleet status", "PULUMI_BACKEND_URL is not set"],
  ["no backend to compare with", "fleet drift", "PULUMI_BACKEND_URL is not set"],
  ["no backend to plan from", "fleet preview --since HEAD", "PULUMI_BACKEND_URL is not set"],
  [
    "no such site",
    "fleet verify kiel-9",
    "fleet/fleet.yaml has no such site; the nearest: kiel-1, kiel-2",
  ],
  ["no site named", "fleet verify", "error: missing required argument 'site'"],
  ["nobody to ask for a removal", "fleet down kiel-1", "--yes-destroy kiel-1 is missing"],
  [
    "another site's removal",
    "fleet down kiel-1 --yes-destroy kiel-2",
    "it is kiel-2: to remove kiel-1, write kiel-1",
  ],
  ["no runner", "fleet matrix --runners 0", "Write a whole number from 1 to 256."],
  [
    "no folder to render into",
    "fleet render",
    "error: required option '--out <folder>' not specified",
  ],
  [
    "a file to render into",
    "fleet render --out package.json",
    "It is a file: write the path of a folder.",
  ],
  [
    "two ways to plan",
    "fleet preview --rendered --real",
    "error: option '--rendered' cannot be used with option",
  ],
  [
    "no such revision",
    "fleet preview --rendered --since nosuch",
    "git knows no revision nosuch here",
  ],
  [
    "a comment into no folder",
    "fleet preview --markdown /no/dir/c.md",
    "There is no folder /no/dir.",
  ],
  [
    "a report into a folder",
    "fleet preview --report docs",
    "It is a folder: write the path of a file.",
  ],
];

const inventories: Row[] = [
  ["no file", "fleet list", "fleet/fleet.yaml is refused:\n  - there is no such file", fleet(null)],
  ["an empty file", "fleet list", "- it is empty: write labels, waves, sites", fleet("")],
  [
    "a mistyped key",
    "fleet list",
    "- lables is no known key; allowed here: allow",
    fleetWith("labels:", "lables:"),
  ],
  ["a site twice", "fleet list", '"kiel-2" is declared twice', fleetWith("kiel-1:", "kiel-2:")],
  [
    "a host twice",
    "fleet list",
    "site kiel-1 has it already",
    fleetWith("kiel-2.example", "KIEL-1.example:22"),
  ],
  [
    "a default",
    "fleet list",
    '- defaults.profile is "big": allowed here: dev',
    fleetWith("profile: pi", "profile: big"),
  ],
  [
    "a share of nothing",
    "fleet list",
    'waves[1].share is "0%": write a share',
    fleetWith("10%", "0%"),
  ],
  [
    "a share without %",
    "fleet list",
    "waves[1].share is 10: write a share such as 10%",
    fleetWith("10%", "10"),
  ],
  [
    "a label's value",
    "fleet list",
    'region is "nroth": allowed here: north, west',
    fleetWith("region: north", "region: nroth"),
  ],
  [
    "a label that is none",
    "fleet list",
    "no known label; allowed here: region",
    fleetWith("{ region: north", "{ regio: north"),
  ],
  [
    "a site in no wave",
    "fleet list",
    "sites.juelich-1 is in no wave: label it for one",
    fleetWith("  - { name: rest }\n", ""),
  ],
  [
    "a site without an engine",
    "fleet list",
    "sites.kiel-1.engine is not set",
    fleetWith("    engine: ssh://bess@kiel-1.example\n", ""),
  ],
  [
    "a model that is missing",
    "fleet list",
    `aachen-1 is refused: model is "none.yaml": ${noFile}`,
    fleetWith("configs/models/m5bat.yaml", "none.yaml"),
  ],
  [
    "the same at a rollout",
    "fleet up --yes",
    `the fleet is refused:\n  - aachen-1: model is "none.yaml"`,
    fleetWith("configs/models/m5bat.yaml", "none.yaml"),
  ],
  [
    "the same at a preview",
    "fleet preview --rendered --since HEAD",
    `- aachen-1: model is "none.yaml"`,
    fleetWith("configs/models/m5bat.yaml", "none.yaml"),
  ],
  [
    "what several sites lack",
    "fleet up --yes",
    "- juelich-1, kiel-1, kiel-2: storage.max is",
    fleetWith("retention: 180d", "storage: { max: 1GB }"),
  ],
  [
    "a new site without an engine",
    "fleet add kiel-9",
    "error: required option '--engine <address>' not specified",
  ],
  [
    "a new site's name",
    "fleet add Kiel --engine ssh://a@b",
    "sites.Kiel is no possible name: write lower case",
  ],
  ["a new site's engine", "fleet add kiel-9 --engine b", `sites.kiel-9.engine is "b": ${engines}`],
  [
    "a new site's label",
    "fleet add kiel-9 --engine ssh://a@b --label x=y",
    "sites.kiel-9.labels.x is no known label",
  ],
  [
    "a new site's profile",
    "fleet add kiel-9 --engine ssh://a@b --profile big",
    'profile is "big": allowed here',
  ],
  [
    "a new site's model",
    "fleet add kiel-9 --engine ssh://a@b --model none.yaml",
    `model is "none.yaml": ${noFile}`,
  ],
  [
    "a new site that is there",
    "fleet add kiel-1 --engine ssh://a@b",
    "sites.kiel-1 is declared already",
  ],
  [
    "a new site on another's stack",
    "fleet add kiel-9 --engine ssh://a@b --stack kiel-1",
    'stack is "kiel-1": site kiel-1 has it already',
  ],
];

const replays: Row[] = [
  ["no file", "replay", "error: missing required argument 'file'"],
  [
    "no such file",
    "replay none.csv --measurement battery",
    "none.csv is refused:\n  - there is no such file",
  ],
  ["a file of another kind", "replay docs/cli.md", "docs/cli.md is refused:"],
  ["no measurement", "replay day.csv", "--measurement is missing"],
  ["another measurement", "replay day.csv --measurement batery", "batery"],
  [
    "a model that is missing",
    "replay day.csv --model none.yaml",
    "none.yaml is refused:\n  - there is no such file",
  ],
  ["a stack that is missing", "replay day.csv --stack y", noSite("y")],
  ["no speed", "replay day.csv --speed 0", "Write a number over 0, such as 60, or max."],
  ["a web address", "replay day.csv --url http://a", "Write mqtt://, mqtts://, ws:// or wss://"],
  ["a unit of two levels", "replay day.csv --unit a/b", "Write one topic level"],
  ["half a tag", "replay day.csv --tag a", "Write NAME=VALUE, such as group_id=bess-1."],
  ["the row before the first", "replay day.csv --from 0", "Write a whole number of at least 1."],
  [
    "a line that is no JSON",
    "replay day.ndjson --measurement battery",
    "row 1 of day.ndjson (line 1) is refused:",
  ],
];

const repository = siteOf("backup: { to: /mnt/usb, password: abcdefghijklm }");
const data: Row[] = [
  [
    "a check of a pattern",
    "check --topic battery/+/status --payload {}",
    "- --topic is battery/+/status: a message's topic has no + and #",
  ],
  [
    "a check of nothing",
    "check",
    "- give one of --topic with --payload, --recording, and --listen",
  ],
  [
    "a recording without a message",
    "learn --recording day.ndjson",
    "day.ndjson is refused:\n  - it has no message with a value",
  ],
  ["a model's name", "learn --recording x --name A!", "Write lower case letters, digits and -."],
  [
    "an export from some day",
    "export --stack dev --from yesterday",
    "- --from is yesterday: write a day or a time in whole seconds",
  ],
  [
    "an export back in time",
    "export --stack dev --from 2026-02-01 --to 2026-01-01",
    "- --to is 2026-01-01: it is not after --from, 2026-02-01",
  ],
  [
    "a header of no CSV",
    "export --stack dev --from 2026-01-01 --format parquet --header-units",
    "- --header-units is given: a parquet file has no header",
  ],
  ["an import of nothing", "import --stack dev", "- there is no file: name files, or a database"],
  [
    "an import of no such file",
    "import --stack dev none.csv",
    "none.csv is refused:\n  - there is no such file",
  ],
  [
    "an import of a file of another kind",
    "import --stack dev day.ndjson",
    "- day.ndjson: its ending is unknown; .lp, .line, .txt and .csv are read",
  ],
  [
    "an import back in time",
    "import --stack dev day.csv --from 2026-02-01 --to 2026-01-01",
    "- --to is 2026-01-01: it is not after --from, 2026-02-01",
  ],
  [
    "an import's times",
    "import --stack dev day.csv --time DDMM",
    "or a pattern such as DD.MM.YYYY HH:mm:ss.",
  ],
  [
    "a database without its address",
    "import --stack dev --database x",
    "- --url is missing: write the other database's",
  ],
  [
    "a database's address that is none",
    "import --stack dev --database x --url ftp://a",
    "Write http:// or https://, a host and a port, and no user.",
  ],
  [
    "a token's file that is none",
    "import --stack dev --database x --url http://127.0.0.1:1 --token-file none",
    "--token-file none is refused:\n  - there is no such file",
  ],
  [
    "an address of no database",
    "import --stack dev day.csv --url http://127.0.0.1:1",
    "- --url and --token-file go with --database",
  ],
  [
    "a backup of a site without",
    "backup --stack x",
    "- --stack is x: its site has no backup",
    site("{ name: x }"),
  ],
  [
    "a password's file that is none",
    "backups --stack x --password-file none",
    "--password-file none is refused:\n  - there is no such file",
    repository,
  ],
  [
    "a restore as the site itself",
    "restore --stack x --as x",
    "- --as is x: that is the site itself; write another name, or leave --as out",
    repository,
  ],
  [
    "a restore at some day",
    "restore --stack x --at yesterday",
    "or the id of a backup.",
    repository,
  ],
  ["a mute without an end", "mute --stack dev", "- --for and --why are missing"],
  [
    "strays at the hub",
    "strays --stack hub",
    "--stack hub is refused:\n  - it is the hub, and this",
  ],
  [
    "a rollback in two ways",
    "rollback-data --stack dev --service influxdb --to 3.0 --as-is",
    "- give one of --to, --as-is and --cancel",
  ],
  [
    "half a table's new name",
    "migrate --stack dev --rename a",
    "Write NAME=VALUE, such as battery=string.",
  ],
  [
    "a fault of a site without a simulator",
    "simulate --stack x --scenario pack-silent",
    "- x has no simulator: set simulator.enabled: true and run up",
    site("{ name: x }"),
  ],
  [
    "a contact that the site lacks",
    "alerts test --stack dev --contact duty",
    "- the site has no contacts: write alerts.contacts",
  ],
  [
    "a mirror with a scheme",
    "images pin --mirror https://a",
    "Write a registry such as mirror.lan:5000, without https://",
  ],
  [
    "an image that moves",
    "images pin a:latest",
    "- the image is a:latest: write it with a tag other than latest",
  ],
];

const groups = {
  "a stack's file": stackFiles,
  "a site": sites,
  "a certificate": certificates,
  "a hub": hubs,
  "a model": models,
  "a command": commands,
  "a rehearsal": faults,
  "a fleet's command": fleets,
  "an inventory": inventories,
  "a replay": replays,
  "a site's data": data,
};
const rows = Object.entries(groups).flatMap(([group, all]) =>
  all.map((row): [string, Row] => [`${group}: ${row[0]}`, row]),
);

/** No mistake: it comes last. */
const control = "fleet add kiel-9 --engine ssh://bess@kiel-9.example --label region=north";

/** Programs that a command may look for: each notes that it was started, and does nothing. */
const stubs = ["pulumi", "docker", "ssh", "npm", "go"];

describe("a mistake is told once, before anything is written or started", () => {
  const checkout = new Checkout();
  afterAll(() => checkout.remove());
  let outcomes: Outcome[] = [];

  beforeAll(() => {
    const [folder, log, file] = ["stubs", "started", "mistakes.json"].map((name) =>
      checkout.at(`.cache/${name}`),
    ) as [string, string, string];
    mkdirSync(folder, { recursive: true });
    writeFileSync(log, "");
    for (const name of stubs) {
      const answers = name === "pulumi" ? '[ "$1" = version ] && echo v3.259.0 && exit\n' : "";
      const script = `#!/bin/sh\n${answers}echo "${name} $*" >> "$STARTED"\necho "${name} fails" >&2\nexit 1\n`;
      writeFileSync(`${folder}/${name}`, script);
      chmodSync(`${folder}/${name}`, 0o755);
    }
    writeFileSync(checkout.at("day.csv"), "a\n1\n");
    writeFileSync(checkout.at("day.ndjson"), "{\n");
    const mistakes = rows.map(([, [, line, , files = {}, more]]): Mistake => {
      return { args: line.split(" "), files, ...more };
    });
    writeFileSync(file, JSON.stringify([...mistakes, { args: control.split(" ") }]));
    const { stderr } = spawnSync(
      process.execPath,
      ["cli/bess.js", "../tests/support/mistakes", file],
      {
        cwd: checkout.at("."),
        encoding: "utf8",
        env: {
          ...checkout.person,
          PATH: [folder, checkout.person.PATH].join(delimiter),
          STARTED: log,
        },
      },
    );
    if (stderr) throw new Error(stderr);
    outcomes = JSON.parse(readFileSync(`${file}.outcomes`, "utf8"));
  }, 600_000);

  test("what writes is noticed", () =>
    expect(outcomes.at(-1)).toMatchObject({
      code: 0,
      written: ["fleet/fleet.yaml", "Pulumi.kiel-9.yaml"],
    }));

  test.each(rows.map(([name, row], i) => [name, row, i] as const))("%s", (_, row, i) => {
    const [, , told] = row;
    const outcome = outcomes[i];
    const said = `${outcome?.stderr}${outcome?.stdout}`;
    expect(said).toContain(told);
    expect(said.split(told)).toHaveLength(2);
    expect(said).not.toMatch(/^\s+at |Error: /m);
    expect(outcome).toMatchObject({ code: 1, written: [] });
    // What looks at this machine changes nothing.
    const looks = /^docker (--host \S+ )?(version |ps -aq --filter name=)|^pulumi plugin install /;
    expect(outcome?.started.filter((line) => !looks.test(line))).toEqual([]);
  });
});
