import type { Allowances } from "../../configs/inventory";
import { type Resource, rules, violations } from "../../policy/rules";

/** Inputs of a container that keeps every rule. */
const goodInputs = {
  name: "dev-grafana",
  hostname: "grafana",
  image: "grafana/grafana:13.1.1",
  ports: [{ internal: 3000, external: 3000, ip: "127.0.0.1" }],
  memory: 512,
  memorySwap: 512,
  healthcheck: { tests: ["CMD", "true"] },
  logDriver: "json-file",
  logOpts: { "max-size": "10m", "max-file": "3" },
  envs: ["GF_SECURITY_ADMIN_PASSWORD__FILE=/run/secrets/password", "GF_USERS_ALLOW_SIGN_UP=false"],
};

const container = (change: object = {}): Resource => ({
  type: "docker:index/container:Container",
  name: "dev-grafana",
  inputs: { ...goodInputs, ...change },
});
const volume = (change: Partial<Resource> = {}): Resource => ({
  type: "docker:index/volume:Volume",
  name: "dev-grafana-data",
  inputs: { name: "dev-grafana-data" },
  ...change,
});
const image = (name: string): Resource => ({
  type: "docker:index/remoteImage:RemoteImage",
  name: "dev-grafana",
  inputs: { name },
});

const broken = (resource: Resource, allowances?: Allowances) =>
  violations([resource], allowances).map(({ rule, message }) => `${rule}: ${message}`);

test("a container that keeps all rules breaks none", () => expect(broken(container())).toEqual([]));

test.each<[string, Resource, string, string]>([
  [
    "an image without a tag",
    image("grafana/grafana"),
    "image-pinned",
    'the image is "grafana/grafana"',
  ],
  [
    "an image by latest",
    image("grafana/grafana:latest"),
    "image-pinned",
    "pin it by a tag other than latest",
  ],
  [
    "a registry's port taken for a tag",
    image("registry.example:5000/grafana"),
    "image-pinned",
    "registry.example:5000/grafana",
  ],
  [
    "a container of an unpinned image",
    container({ image: "grafana/grafana" }),
    "image-pinned",
    "pin it",
  ],
  [
    "a port on all addresses",
    container({ ports: [{ internal: 3000, external: 3000, ip: "0.0.0.0" }] }),
    "loopback-only",
    "port grafana:3000 is opened on 0.0.0.0",
  ],
  [
    "a port on no address, which is all",
    container({ ports: [{ internal: 3000, external: 3000 }] }),
    "loopback-only",
    "on every address",
  ],
  [
    "MQTT's port at another service",
    container({ ports: [{ internal: 1883, ip: "0.0.0.0" }] }),
    "loopback-only",
    "grafana:1883",
  ],
  [
    "another port of the broker",
    container({ hostname: "mosquitto", ports: [{ internal: 22, ip: "0.0.0.0" }] }),
    "loopback-only",
    "mosquitto:22",
  ],
  [
    "an address that only begins like loopback",
    container({ ports: [{ internal: 3000, ip: "127.0.0.1.evil" }] }),
    "loopback-only",
    "127.0.0.1.evil",
  ],
  ["all ports published", container({ publishAllPorts: true }), "loopback-only", "publishAllPorts"],
  [
    "the host's network",
    container({ networkMode: "host" }),
    "loopback-only",
    "networkMode is host",
  ],
  ["no memory limit", container({ memory: undefined }), "memory-limited", "no memory limit"],
  [
    "a memory limit of 0, which is none",
    container({ memory: 0, memorySwap: 0 }),
    "memory-limited",
    "no memory limit",
  ],
  [
    "swap beyond the limit",
    container({ memorySwap: 1024 }),
    "memory-limited",
    "memorySwap is 1024",
  ],
  ["no health check", container({ healthcheck: undefined }), "health-checked", "no health check"],
  [
    "a health check that is turned off",
    container({ healthcheck: { tests: ["NONE"] } }),
    "health-checked",
    "no health check",
  ],
  [
    "the engine's own log driver",
    container({ logDriver: undefined }),
    "logs-limited",
    "the engine's own",
  ],
  ["a log of any size", container({ logOpts: { "max-file": "3" } }), "logs-limited", "max-size"],
  [
    "a password in an environment variable",
    container({ envs: ["GF_SECURITY_ADMIN_PASSWORD=hunter2"] }),
    "no-secret-in-envs",
    "GF_SECURITY_ADMIN_PASSWORD holds a secret",
  ],
  [
    "a token, recognised by its value",
    container({ envs: ["INFLUX=apiv3_abc"] }),
    "no-secret-in-envs",
    "INFLUX holds a secret",
  ],
  [
    "a password in a URL",
    container({ envs: ["BROKER=mqtt://user:hunter2@host"] }),
    "no-secret-in-envs",
    "BROKER holds a secret",
  ],
  [
    "a variable that Pulumi marks as secret",
    container({ envs: ["[secret]"] }),
    "no-secret-in-envs",
    "an environment variable holds a secret",
  ],
  [
    "variables that Pulumi hides as a whole",
    container({ envs: "[secret]" }),
    "no-secret-in-envs",
    "deliver it as a file",
  ],
  [
    "a volume that is deleted with the stack",
    volume({ retained: false }),
    "volumes-kept",
    "would be deleted with the stack",
  ],
  [
    "a volume that the plan deletes",
    volume({ retained: false, deleted: true }),
    "volumes-kept",
    "would be deleted with its data",
  ],
])("%s breaks one rule", (_, resource, rule, message) => {
  expect(broken(resource)).toEqual([expect.stringMatching(new RegExp(`^${rule}: `))]);
  expect(broken(resource)[0]).toContain(message);
});

test("no message shows a secret", () => {
  expect(
    JSON.stringify(
      broken(container({ envs: ["API_TOKEN=hunter2", "URL=http://user:hunter2@host"] })),
    ),
  ).not.toContain("hunter2");
});

test.each<[string, Resource, Allowances | undefined]>([
  ["an image by its digest", image(`grafana/grafana@sha256:${"a".repeat(64)}`), undefined],
  ["a container of a pulled image", container({ image: `sha256:${"a".repeat(64)}` }), undefined],
  [
    "a container of an image that is not pulled yet",
    container({ image: "[known once it is made]" }),
    undefined,
  ],
  [
    "MQTT for all",
    container({
      hostname: "mosquitto",
      ports: [
        { internal: 1883, ip: "0.0.0.0" },
        { internal: 8883, ip: "0.0.0.0" },
      ],
    }),
    undefined,
  ],
  ["a port on IPv6's loopback", container({ ports: [{ internal: 3000, ip: "::1" }] }), undefined],
  [
    "a port that is allowed",
    container({ ports: [{ internal: 3000, ip: "0.0.0.0" }] }),
    { offLoopback: ["grafana:3000"] },
  ],
  ["a volume that is kept", volume({ retained: true, deleted: true }), undefined],
  ["a volume that may be kept", volume(), undefined],
  ["a volume that may go", volume({ retained: false }), { deletedVolumes: ["dev-grafana-data"] }],
  [
    "a container that the plan deletes",
    { ...container({ memory: undefined, ports: [{ internal: 1 }] }), deleted: true },
    undefined,
  ],
  [
    "a resource of another kind",
    {
      type: "random:index/randomPassword:RandomPassword",
      name: "x",
      inputs: { name: "grafana", envs: ["TOKEN=x"] },
    },
    undefined,
  ],
])("%s breaks no rule", (_, resource, allowances) =>
  expect(broken(resource, allowances)).toEqual([]),
);

test("an allowance is for what it names alone", () => {
  expect(
    broken(container({ hostname: "influxdb", ports: [{ internal: 8181, ip: "0.0.0.0" }] }), {
      offLoopback: ["grafana:3000"],
    }),
  ).toHaveLength(1);
});

test("every rule has a name of its own and a description", () => {
  expect(new Set(rules.map(({ name }) => name)).size).toBe(rules.length);
  expect(rules.every(({ description }) => description.endsWith("."))).toBe(true);
});
