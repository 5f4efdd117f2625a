import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import type { SiteArgs, SiteTransform } from "../../components";
import { transformableFiles, transformText } from "../../components/transform";
import { type Service, services } from "../../configs/images";
import {
  deployOnMocks,
  isSecret,
  type MockedContainer,
  type MockedSite,
  type RegisteredResource,
} from "../support/mocked-site";

const dev: SiteArgs = {
  name: "dev",
  simulator: { enabled: true },
  interface: { image: "registry.example/interface:1.4.0", host: "kiel-1.example" },
  backup: { to: "/mnt/usb/bess", password: "of 12 letters or more" },
};
const telegrafConf = "/etc/telegraf/telegraf.conf";

const deploy = (transform?: SiteTransform, args: SiteArgs = dev) =>
  deployOnMocks({ ...args, transform });
const revisionOf = ({ labels }: MockedContainer) =>
  labels.find(({ label }) => label === "bess-telemetry.revision")?.value;
const containerOf = ({ registered }: MockedSite, service: Service) =>
  registered.find(({ type, name }) => type.endsWith(":Container") && name === `dev-${service}`);
const textOf = ({ uploads }: MockedContainer, path: string) =>
  uploads.find(({ file }) => file === path)?.content;

describe("a site without a transform", () => {
  test.each<[string, SiteTransform]>([
    ["an empty one", {}],
    ["an empty one of each service", Object.fromEntries(services.map((name) => [name, {}]))],
    ["one that changes nothing", { telegraf: { container: () => undefined } }],
    ["one that returns each text as it is", { telegraf: { files: { [telegrafConf]: (t) => t } } }],
    ["one of a service that it does not run", { explorer: { container: { cpus: "1" } } }],
  ])("has the same resources as with %s", async (_, transform) => {
    const args = { ...dev, explorer: { enabled: false } };
    const [before, after] = [await deploy(undefined, args), await deploy(transform, args)];
    expect(after.registered).toEqual(before.registered);
  });
});

describe("a transform of a container", () => {
  let before: MockedSite;
  beforeAll(async () => {
    before = await deploy();
  });

  test("merges arguments, and gives that service alone a new revision", async () => {
    const after = await deploy({ telegraf: { container: { cpus: "0.5", memory: 300 } } });
    const { labels: _, ...unchanged } = before.containers.telegraf;
    expect(after.containers.telegraf).toMatchObject({ ...unchanged, cpus: "0.5", memory: 300 });
    expect(services.filter((name) => differs(after, name, revisionOf))).toEqual(["telegraf"]);
  });

  test("may be a function that changes arguments and options in place", async () => {
    const seen: string[] = [];
    const after = await deploy({
      grafana: {
        container: (args, opts, name) => {
          seen.push(name);
          args.ports = pulumi
            .output(args.ports)
            .apply((ports = []) => ports.map((port) => ({ ...port, ip: "127.0.0.2" })));
          opts.retainOnDelete = true;
        },
      },
    });
    expect(seen).toEqual(["dev-grafana"]);
    expect(after.containers.grafana.ports).toEqual([
      expect.objectContaining({ ip: "127.0.0.2", internal: 3000 }),
    ]);
    expect(containerOf(after, "grafana")?.retained).toBe(true);
    expect(differs(after, "grafana", revisionOf)).toBe(true);
  });

  test("adds labels to the site's own", async () => {
    const label = { label: "com.example.backup", value: "daily" };
    const after = await deploy({ influxdb: { container: { labels: [label] } } });
    expect(after.containers.influxdb.labels.map((found) => found.label)).toEqual([
      "com.example.backup",
      "bess-telemetry.site",
      "bess-telemetry.revision",
    ]);
  });

  test("keeps a secret argument out of the revision, and encrypted in the state", async () => {
    const withSecret = (secret: string) =>
      deploy({ grafana: { container: { envs: pulumi.secret([`GF_SMTP_PASSWORD=${secret}`]) } } });
    const [one, two] = [await withSecret("one"), await withSecret("two")];
    expect(revisionOf(one.containers.grafana)).toBe(revisionOf(two.containers.grafana));
    const { envs, labels } = containerOf(one, "grafana")?.inputs ?? {};
    expect([isSecret(envs), isSecret(labels)]).toEqual([true, false]);
  });

  const differs = (after: MockedSite, name: Service, of: (container: MockedContainer) => unknown) =>
    of(after.containers[name]) !== of(before.containers[name]);
});

describe("a transform of a file", () => {
  test("is what the container gets, and gives its service a new revision", async () => {
    const before = await deploy();
    const after = await deploy({
      telegraf: { files: { [telegrafConf]: (text) => `${text}\n[[inputs.net]]\n` } },
    });
    const [from, to] = [before.containers.telegraf, after.containers.telegraf];
    expect(textOf(to, telegrafConf)).toBe(`${textOf(from, telegrafConf)}\n[[inputs.net]]\n`);
    expect(revisionOf(to)).not.toBe(revisionOf(from));
    expect(after.containers.grafana).toEqual(before.containers.grafana);
  });

  test("that returns no text fails, and names the file", () => {
    const broken: (text: string) => string = JSON.parse;
    expect(() => transformText(telegrafConf, broken, "1")).toThrow(
      `transform of ${telegrafConf} is refused:\n  - it returns number, not a text`,
    );
  });

  test("may name every file that holds no secret", async () => {
    const { openFiles } = await deploy();
    const named = Object.entries(transformableFiles).map(([service, files]) => [
      `dev-${service}`,
      [...files],
    ]);
    expect(openFiles).toEqual(Object.fromEntries(named));
  });
});

describe("is refused before anything is made, with what is allowed:", () => {
  const text = (value: string) => value;
  test.each<[string, object, string]>([
    [
      "an unknown service",
      { telegraff: {} },
      "telegraff is no known key; allowed here: mosquitto, telegraf, influxdb, rollup, explorer, grafana",
    ],
    [
      "an unknown file",
      { telegraf: { files: { "/etc/telegraf.conf": text } } },
      `telegraf.files./etc/telegraf.conf is no known key; allowed here: ${telegrafConf}`,
    ],
    [
      "a file that holds a secret",
      { telegraf: { files: { "/run/secrets/mqtt_password": text } } },
      "telegraf.files./run/secrets/mqtt_password is no known key",
    ],
    [
      "an argument that is the site's own",
      { telegraf: { container: { image: "telegraf:latest" } } },
      "name, image, uploads stay the site's own",
    ],
    [
      "a text in place of a function",
      { telegraf: { files: { [telegrafConf]: "[agent]" } } },
      "write a function that takes the file's text",
    ],
  ])("%s", async (_, transform, message) => {
    const registered: RegisteredResource[] = [];
    await expect(deployOnMocks({ ...dev, transform }, registered)).rejects.toThrow(message);
    expect(registered).toEqual([]);
  });

  test.each<[string, SiteTransform, string]>([
    [
      "a function that sets what is the site's own",
      {
        telegraf: { container: (args) => void Object.assign(args, { name: "mine" }) as undefined },
      },
      "name stays the site's own",
    ],
    [
      "a function that ends later",
      { telegraf: { container: () => Promise.resolve() as never } },
      "it returns something",
    ],
  ])("%s", async (_, transform, message) => {
    await expect(deploy(transform)).rejects.toThrow(message);
  });
});

test("docs/transform.md lists every file that may be changed", () => {
  const rows = Object.entries(transformableFiles).map(([service, files]) => {
    const listed = files.map((path) => `\`${path}\``).join(", ") || "none";
    return `| \`${service}\` | ${listed} |`;
  });
  const page = readFileSync("docs/transform.md", "utf8").split("\n");
  expect(page.filter((line) => line.startsWith("| `"))).toEqual(rows);
});
