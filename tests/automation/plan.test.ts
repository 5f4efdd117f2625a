import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { EngineEvent } from "@pulumi/pulumi/automation";
import {
  comparePlans,
  masked,
  planFromEvents,
  type Step,
  withRenderedFiles,
} from "../../automation";
import { renderedPlan } from "../../automation/rendered";

/**
 * Part of a real preview of Pulumi 3.259.0 and the Docker provider: other image, model, retention
 * and Grafana password.
 */
const events: EngineEvent[] = readFileSync(join(__dirname, "preview.ndjson"), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const plan = planFromEvents(events, { site: "kiel", wave: "canary" });

/** The one resource of this kind and name. */
function find<T extends { type: string; name: string }>(
  all: readonly T[],
  kind: string,
  name: string,
): T {
  const found = all.find((one) => one.type.endsWith(`:${kind}`) && one.name === name);
  if (!found) throw new Error(`there is no ${kind} ${name}`);
  return found;
}
const step = (kind: string, name: string) => find(plan.steps, kind, name);

/** An event of one step. */
const event = (op: string, change: object = {}) =>
  ({
    resourcePreEvent: {
      metadata: {
        op,
        urn: "urn:pulumi:s::p::docker:index/volume:Volume::v",
        type: "docker:index/volume:Volume",
        ...change,
      },
    },
  }) as EngineEvent;
const state = (change: object = {}) => ({ custom: true, inputs: { name: "v" }, ...change });

describe("a real preview's events", () => {
  test("are one step for each resource, however many the engine takes", () => {
    expect(
      plan.steps
        .map(({ op, type, name }) => `${op} ${type.slice(type.lastIndexOf(":") + 1)} ${name}`)
        .sort(),
    ).toEqual([
      "replace Container kiel-grafana",
      "replace Container kiel-telegraf",
      "replace RandomPassword kiel-grafana-admin",
      "replace RemoteImage kiel-telegraf",
      "same Command kiel-influxdb-token-telegraf",
      "same RandomId kiel-influxdb-token-telegraf",
      "same RemoteImage kiel-grafana",
      "same Volume kiel-influxdb-data",
      "update Command kiel-influxdb-schema",
      "update Dashboard kiel-grafana-bess-bess",
      "update Folder kiel-grafana",
    ]);
  });
  test("name what changes", () => {
    expect(step("Container", "kiel-telegraf").changed).toEqual([
      "image",
      "labels[0]",
      "labels[1]",
      "uploads",
    ]);
    expect(step("RemoteImage", "kiel-telegraf")).toMatchObject({
      changed: ["name"],
      old: { name: "telegraf:1.39.3-alpine" },
      new: { name: "real/telegraf:1.39.3" },
    });
  });
  test("name what the provider cannot name yet by the inputs that differ", () => {
    expect(step("Dashboard", "kiel-grafana-bess-bess").changed).toEqual(["configJson"]);
    expect(step("Folder", "kiel-grafana").changed).toEqual([]);
  });
  test("keep no secret and no mark of the engine, nor what a provider filled in", () => {
    expect(step("Container", "kiel-telegraf").new?.uploads).toBe("[secret]");
    expect(JSON.stringify(plan)).not.toMatch(
      /4dabf18193072939515e22adb298388d|04da6b54-80e4|__defaults|mustRun/,
    );
  });
  test("keep who is retained", () =>
    expect(step("Volume", "kiel-influxdb-data").retained).toBe(false));
});

test.each<[string, EngineEvent[], Partial<Step> | undefined]>([
  [
    "a creation has no former inputs",
    [event("create", { new: state() })],
    { op: "create", old: undefined, new: { name: "v" } },
  ],
  [
    "a deletion has no later inputs",
    [event("delete", { old: state({ retainOnDelete: true }) })],
    { op: "delete", new: undefined, retained: true },
  ],
  [
    "a replacement takes each side from the event that has it",
    [
      event("delete-replaced", { old: state() }),
      event("create-replacement", {
        old: state(),
        new: state({ inputs: { name: "w" } }),
        diffs: ["name"],
      }),
    ],
    { op: "replace", old: { name: "v" }, new: { name: "w" }, changed: ["name"] },
  ],
  ["what was read is as it was", [event("read", { new: state() })], { op: "same" }],
  [
    "a predecessor that waits for its deletion is no step",
    [
      event("same", { old: state(), new: state() }),
      event("delete", { old: state({ delete: true }) }),
    ],
    { op: "same" },
  ],
  ["a component is no step", [event("create", { new: state({ custom: false }) })], undefined],
  [
    "a provider is no step",
    [event("create", { type: "pulumi:providers:docker", new: state() })],
    undefined,
  ],
  [
    "other events are none",
    [{ sequence: 1, timestamp: 1, stdoutEvent: { message: "", color: "" } }],
    undefined,
  ],
])("%s", (_, given, expected) => {
  const { steps } = planFromEvents(given, { site: "s" });
  expect(steps).toEqual(expected ? [expect.objectContaining(expected)] : []);
});

test("masks a private key wherever it stands", () => {
  expect(masked({ a: [{ b: "-----BEGIN EC PRIVATE KEY-----\nabc" }], c: 1, d: null })).toEqual({
    a: [{ b: "[secret]" }],
    c: 1,
    d: null,
  });
});

describe("a rendered plan", () => {
  const rendered = (change: object = {}) =>
    renderedPlan("kiel", { name: "kiel", explorer: { enabled: false }, ...change });
  const compared = async (change: object, site = { site: "kiel" }) =>
    comparePlans(site, await rendered(), await rendered(change)).steps.filter(
      ({ op }) => op !== "same",
    );
  const describeSteps = (steps: Step[]) =>
    steps.map(({ op, name, changed }) => `${op} ${name} ${changed.join()}`.trim());

  test("is the same for the same config", async () => expect(await compared({})).toEqual([]));
  test("holds every config, and no value of a secret", async () => {
    const telegraf = find(await rendered(), "Container", "kiel-telegraf");
    expect(telegraf.inputs.uploads).toEqual([
      expect.objectContaining({
        file: "/etc/telegraf/telegraf.conf",
        content: expect.stringContaining("[[inputs.mqtt_consumer]]"),
      }),
      expect.objectContaining({ content: expect.stringContaining("def apply(") }),
      expect.objectContaining({ file: "/etc/telegraf/start.sh" }),
      expect.objectContaining({ file: "/etc/telegraf/voltage.conf" }),
      ...["mqtt_password", "monitor_password", "influxdb_token"].map((file) =>
        expect.objectContaining({
          file: `/run/secrets/${file}`,
          content: expect.stringMatching(/^\[secret [0-9a-f]{16}\]$/),
        }),
      ),
    ]);
  });
  test("tells a volume that is kept from one that goes", async () => {
    const kept = async (purge: boolean) =>
      new Set(
        (await rendered({ purge }))
          .filter(({ type }) => type.endsWith(":Volume"))
          .map(({ retained }) => retained),
      );
    expect([await kept(false), await kept(true)]).toEqual([new Set([true]), new Set([false])]);
  });
  test("shows an update where the real provider updates", async () => {
    const steps = await compared({ profile: "pi", retention: "30d" });
    expect(describeSteps(steps)).toContain("update kiel-grafana memory,memorySwap");
  });
  test("shows a replacement where the real provider replaces", async () => {
    expect(describeSteps(await compared({ grafana: { port: 3001 } }))).toContain(
      "replace kiel-grafana ports[0].external",
    );
  });
  test("follows a rotated secret to whoever uses it, and shows none", async () => {
    const steps = await compared({ rotate: { telegraf: "2" } });
    expect(describeSteps(steps).sort()).toEqual([
      expect.stringMatching(/^replace kiel-mosquitto uploads\[\d\]\.content$/),
      "replace kiel-mosquitto-telegraf keepers.rotation",
      "replace kiel-mosquitto-telegraf-salt keepers.rotation",
      expect.stringMatching(/^replace kiel-telegraf uploads\[\d\]\.content$/),
    ]);
    expect(JSON.stringify(steps)).not.toMatch(/\[secret [0-9a-f]|4dabf18193072939515e22adb298388d/);
  });
  test("refuses what the deployment refuses", async () => {
    await expect(rendered({ profile: "large" })).rejects.toThrow('profile is "large"');
    await expect(compared({})).resolves.toEqual([]);
  });
  test("shows the files that a real preview hides", async () => {
    const twin = comparePlans(
      { site: "kiel" },
      await rendered(),
      await rendered({ model: "configs/models/m5bat.yaml" }),
    );
    const joined = find(withRenderedFiles(plan, twin).steps, "Container", "kiel-telegraf");
    expect(joined.changed).toEqual([
      "image",
      "labels[0]",
      "labels[1]",
      "uploads[0].content",
      "uploads[1].content",
    ]);
    expect(JSON.stringify(joined.new?.uploads)).toContain("m5bat/+/evaluation");
  });
});
