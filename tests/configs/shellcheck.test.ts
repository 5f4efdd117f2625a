import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as backup from "../../configs/backup";
import * as vmbackup from "../../configs/vmbackup";
import { backupSchema } from "../../configs/backup-schema";
import { startScript as explorerStart } from "../../configs/explorer";
import { callScript, inheritScript, startScript as grafanaStart } from "../../configs/grafana";
import { clonesScript } from "../../configs/clones";
import { readyScript, statusScript } from "../../configs/containers";
import * as influxdb from "../../configs/influxdb";
import { deleteTablesScript, makeTablesScript, noteScript } from "../../configs/migration";
import { loadModel } from "../../configs/model";
import { sessionScript, startScript as mosquittoStart } from "../../configs/mosquitto";
import { profiles } from "../../configs/profiles";
import { clockTopic } from "../../configs/plan";
import { preflightScript } from "../../configs/preflight";
import {
  bootScript,
  clockScript,
  dockerScript,
  udevScript,
  updatesScript,
} from "../../configs/prepare";
import { retentionOf } from "../../configs/retention";
import { renderScript, scriptFolder } from "../../configs/scripts";
import { tablesScript } from "../../configs/tables";
import { holdSeconds, sessions, startScript as telegrafStart } from "../../configs/telegraf";
import { checkScript, gateMessage, publishScript } from "../../fleet/rollout/gate";
import { program } from "../support/programs";

/** What the real shellcheck finds in a script: of bash, unless its first line names another. */
function check(script: string, options: string[] = []): string {
  const shell = script.startsWith("#!") ? [] : ["--shell=bash"];
  const args = ["--format=gcc", ...shell, ...options, "-"];
  const { stdout, stderr } = spawnSync(program("shellcheck"), args, {
    cwd: scriptFolder,
    input: script,
    encoding: "utf8",
  });
  return stdout + stderr;
}

const stored = (file: string) => readFileSync(join(scriptFolder, file), "utf8");
const sourcedBy = (file: string) =>
  [...stored(file).matchAll(/^\. \.\/(\S+)$/gm)].flatMap(([, name]) => name ?? []);
const storedScripts = readdirSync(scriptFolder).filter((file) => file.endsWith(".sh"));

/** The findings that a stored script turns off, which its rendered text turns off no longer. */
const turnedOff = (file: string) =>
  [file, ...sourcedBy(file)]
    .flatMap((one) => [...stored(one).matchAll(/# shellcheck disable=(\S+)/g)])
    .map(([, code]) => `--exclude=${code}`);

const schema = (file: string) =>
  influxdb.schemaScript(influxdb.schema(loadModel(file), retentionOf({ profile: "pi" })));
const model = loadModel("configs/telemetry.yaml");
const schemaOf = influxdb.schema(model, retentionOf({ profile: "pi" }));
const copied = { db: "bess", from: "it's", to: "battery", columns: [], left: [], rules: {} };
const gateArgs = { grafanaPassword: "it's a secret", limitSeconds: 60 };
const udev = [
  { symlink: "bms", vendor: "0403", product: "6001", serial: "A50285BI" },
  { symlink: "meter", vendor: "10c4", product: "ea60" },
];

const hubBackup = { to: "/mnt/usb/hub", every: "1d" };
const folderBackup = { site: "kiel-1", backup: backupSchema.parse({ to: "/mnt/usb/bess" }) };

const volumes = { influxdb: "/a", grafana: "/b", mosquitto: "/c" };

const rendered: [file: string, of: string, script: string][] = [
  ["clones.sh", "any site", `#!/bin/sh\n${clonesScript("kiel-1", volumes)}`],
  ["backup-start.sh", "a site with a disk", backup.startScript(folderBackup)],
  ["vmbackup-start.sh", "a hub with a disk", vmbackup.startScript(hubBackup)],
  ["backup-now.sh", "any site", backup.nowScript()],
  ["backup-list.sh", "any site", `#!/bin/sh\n${backup.listScript(folderBackup)}`],
  [
    "backup-restore.sh",
    "any site",
    `#!/bin/sh\n${backup.restoreScript({ ...folderBackup, snapshot: "ab12cd34", overwrite: false, interface: true })}`,
  ],
  ["explorer-start.sh", "any site", explorerStart()],
  ["gate-check.sh", "any site", checkScript(gateMessage(model, "90d", 0), gateArgs)],
  ["gate-publish.sh", "any site", `#!/bin/sh\n${publishScript()}`],
  ["grafana-call.sh", "a body", callScript("POST", "/api/annotations", { text: "it's" })],
  ["grafana-inherit.sh", "three sources", inheritScript(["a", "b", "c"])],
  [
    "grafana-start.sh",
    "any site",
    grafanaStart({ site: "kiel-1", image: "grafana/grafana:13.1.1" }),
  ],
  ["mosquitto-session.sh", "any site", sessionScript(profiles.pi, sessions("kiel-1", model))],
  [
    "mosquitto-start.sh",
    "any site",
    mosquittoStart(profiles.dev, sessions("kiel-1", model), { site: "kiel-1" }),
  ],
  [
    "mosquitto-start.sh",
    "a site with a keepalive",
    mosquittoStart(profiles.dev, sessions("kiel-1", model), {
      site: "kiel-1",
      keepalives: [{ topic: "R/a b/keepalive", payload: "it's", seconds: 30 }],
    }),
  ],
  [
    "mosquitto-start.sh",
    "a site with a clock",
    mosquittoStart(
      profiles.dev,
      [...sessions("kiel-1", model), { id: "a", formerId: "b", topics: ["a", clockTopic] }],
      { site: "kiel-1" },
    ),
  ],
  ["host-boot.sh", "any site", bootScript()],
  ["host-clock.sh", "any host", clockScript()],
  ["host-docker.sh", "the user pi", dockerScript("pi")],
  ["host-docker.sh", "a user whose name must be quoted", dockerScript("o'brien b")],
  ["host-preflight.sh", "no image", preflightScript({ site: "pi", images: [] })],
  [
    "host-preflight.sh",
    "two images",
    preflightScript({ site: "pi", images: ["telegraf:1.39.3-alpine", "grafana/grafana:13.1.1"] }),
  ],
  ["host-udev.sh", "two rules", udevScript("pi", udev)],
  ["host-updates.sh", "any site", updatesScript()],
  ["influxdb-create-token.sh", "any site", influxdb.createTokenScript()],
  ["influxdb-ask.sh", "any site", influxdb.askScript()],
  ["influxdb-write.sh", "any database", influxdb.writeScript("bess")],
  ["influxdb-query.sh", "any query", influxdb.queryScript("pipeline", "SELECT 'it''s'")],
  ["influxdb-revoke-token.sh", "any site", influxdb.revokeTokenScript()],
  ["influxdb-schema.sh", "the default model", schema("configs/telemetry.yaml")],
  ["influxdb-schema.sh", "the m5bat model", schema("configs/models/m5bat.yaml")],
  ["influxdb-make-tables.sh", "two tables", makeTablesScript(schemaOf.tables.slice(0, 2))],
  [
    "influxdb-delete-tables.sh",
    "two tables",
    deleteTablesScript(
      [
        { db: "bess", table: "it's" },
        { db: "bess", table: "battery-before-1" },
      ],
      "now",
    ),
  ],
  [
    "influxdb-note-migration.sh",
    "a tag that has quotes",
    noteScript({ ...copied, rules: { rack: { constant: `it's "a"` } } }, false),
  ],
  [
    "influxdb-tables.sh",
    "any site",
    tablesScript({ databases: [{ db: "bess", retention_period: "90d" }] }),
  ],
  ["influxdb-health.sh", "any site", influxdb.healthScript()],
  ["influxdb-start.sh", "any site", influxdb.startScript({ node: "kiel-1" })],
  ["telegraf-start.sh", "a site over SSH", telegrafStart(holdSeconds)],
  ["service-ready.sh", "any site", `#!/bin/sh\n${readyScript()}`],
  ["service-status.sh", "any site", `#!/bin/sh\n${statusScript("pi")}`],
];

describe("shellcheck finds nothing in", () => {
  test.each(storedScripts)("%s, as it is stored", (file) => {
    expect(check(stored(file), ["--external-sources"])).toBe("");
  });

  test.each(rendered)("%s, rendered for %s", (file, _, script) => {
    expect(check(script, turnedOff(file))).toBe("");
  });

  test("but is asked in earnest", () => {
    expect(check("cat $1\n")).toMatch(/SC2086/);
  });
});

test("every stored script is rendered above, on its own or within another", () => {
  const names = [...rendered.map(([file]) => file), ...storedScripts.flatMap(sourcedBy)];
  expect(storedScripts.filter((file) => !names.includes(file))).toEqual([]);
});

describe("a script is rendered", () => {
  test("without what speaks to its reader and to shellcheck alone", () => {
    const texts = rendered.map(([, , script]) => script).join("");
    expect(texts).not.toMatch(/^\s*#:|# shellcheck |^\. \.\/|@\w+@/m);
  });

  test.each<[what: string, values: Parameters<typeof renderScript>[1], error: string]>([
    ["a missing value", {}, "explorer-start.sh needs a value of session"],
    ["a value of another kind", { session: [] }, "explorer-start.sh needs a value of session"],
    [
      "a value that it does not have",
      { session: "/a", data: "/b" },
      "explorer-start.sh does not use data",
    ],
  ])("but not with %s", (_, values, error) => {
    expect(() => renderScript("explorer-start.sh", values)).toThrow(error);
  });

  test("but not with a block that lacks its list", () => {
    const values = { mostLines: 1, site: "pi", sizeFile: "size" };
    expect(() => renderScript("host-preflight.sh", values)).toThrow("needs a list of images");
  });
});
