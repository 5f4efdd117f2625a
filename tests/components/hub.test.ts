import type { z } from "zod";
import { Hub } from "../../components/hub";
import { type HubSettings } from "../../components";
import type { hubSchema } from "../../configs/hub";
import type { HubSite } from "../../configs/hub-sites";
import { loadModel } from "../../configs/model";
import { rules } from "../../policy";
import { makeOnMocks, type MockedContainer, type RegisteredResource } from "../support/mocked-site";

const model = loadModel("configs/telemetry.yaml");
const site = (name: string): HubSite => ({ name, stack: name, labels: {}, wave: "rest", model });
const sites = [site("kiel-1"), site("kiel-2")];

/** The types that a program has are those that the schema takes. */
type Taken = z.input<typeof hubSchema>;
const isTaken: [HubSettings] extends [Taken] ? true : false = true;
const isOffered: [Taken] extends [HubSettings] ? true : false = true;

let registered: RegisteredResource[];
async function deploy(settings: HubSettings): Promise<Record<string, MockedContainer>> {
  registered = [];
  const made = await makeOnMocks(
    (opts) => new Hub("hub", { config: settings, sites }, opts),
    registered,
  );
  return made.containers;
}

const upload = (container: MockedContainer | undefined, file: string) =>
  container?.uploads.find((found) => found.file.endsWith(file))?.content ?? "";

describe("a hub on one machine", () => {
  let containers: Record<string, MockedContainer>;
  beforeAll(async () => {
    containers = await deploy({ backup: { to: "/mnt/usb/hub" }, revoked: ["kiel-2"] });
  });

  test("is its database, its door, Grafana and the backup", () =>
    expect(Object.keys(containers).sort()).toEqual([
      "grafana",
      "victoria-metrics",
      "vmauth",
      "vmbackup",
    ]));

  test("opens the door to other hosts, and nothing else", () => {
    const ports = Object.values(containers).flatMap(({ hostname, ports }) =>
      (ports ?? []).map(
        ({ internal, external, ip }) => `${hostname}:${internal} ${ip}:${external}`,
      ),
    );
    expect(ports.sort()).toEqual(["grafana:3000 127.0.0.1:3000", "vmauth:8427 0.0.0.0:8427"]);
  });

  test("keeps every rule that a site keeps", () => {
    const broken = registered.flatMap(({ type, name, inputs }) =>
      rules.flatMap((rule) => rule.check({ type, name, inputs }, {})),
    );
    expect(broken).toEqual([]);
  });

  test("lets in the sites of the inventory that are not revoked", () => {
    const users = upload(containers.vmauth, "users.yaml");
    expect(users).toMatch(/name: kiel-1\n\s+bearer_token: secret-hub-token-kiel-1/);
    expect(users).not.toContain("kiel-2");
  });

  test("has tokens in a secret file alone", () => {
    const shown = Object.values(containers).map((container) => ({
      ...container,
      uploads: container.uploads.filter(({ file }) => !file.startsWith("/run/secrets/")),
    }));
    expect(JSON.stringify(shown)).not.toMatch(/secret-hub-token/);
  });
});

test("a hub on several machines has a storage node on each, at its private address", async () => {
  await deploy({ storage: { nodes: ["ssh://bess@10.8.0.2", "ssh://bess@10.8.0.3"] } });
  const containers = registered.filter(({ type }) => type.endsWith(":Container"));
  const ports = containers.map(({ name, inputs }) => [
    name,
    ((inputs.ports ?? []) as { ip: string; internal: number }[]).map(
      ({ ip, internal }) => `${ip}:${internal}`,
    ),
  ]);
  expect(Object.fromEntries(ports)).toEqual({
    "hub-vmstorage-1": ["10.8.0.2:8400", "10.8.0.2:8401"],
    "hub-vmstorage-2": ["10.8.0.3:8400", "10.8.0.3:8401"],
    "hub-vminsert": [],
    "hub-vmselect": [],
    "hub-vmauth": ["0.0.0.0:8427"],
    "hub-grafana": ["127.0.0.1:3000"],
  });
  const hosts = registered.flatMap(({ type, inputs }) =>
    type === "pulumi:providers:docker" ? [inputs.host] : [],
  );
  expect(hosts).toEqual(expect.arrayContaining(["ssh://bess@10.8.0.2", "ssh://bess@10.8.0.3"]));
});

test("a hub before another's database runs the door and Grafana alone", async () => {
  const external = {
    write: "http://10.8.0.9:8480/insert/0/prometheus",
    query: "http://10.8.0.9:8481/select/0/prometheus",
  };
  const containers = await deploy({ external });
  expect(Object.keys(containers).sort()).toEqual(["grafana", "vmauth"]);
  expect(upload(containers.vmauth, "users.yaml")).toContain(
    "http://10.8.0.9:8480/insert/0/prometheus?extra_label=site=kiel-1",
  );
});

test("a program outside names a site and the path of its model, and is told what is wrong", async () => {
  expect([isTaken, isOffered]).toEqual([true, true]);
  const made = (settings: HubSettings) =>
    makeOnMocks(
      (opts) =>
        new Hub(
          "hub",
          {
            config: settings,
            sites: [{ name: "a", model: "configs/models/m5bat.yaml" }, { name: "b" }],
          },
          opts,
        ),
      (registered = []),
    );
  await made({});
  const fleet = registered.find(({ name }) => name === "hub-grafana-bess-hub-fleet");
  expect(JSON.stringify(fleet?.inputs)).toContain("bess_unit_");
  expect(JSON.stringify(fleet?.inputs)).toContain("bess_battery_soc");
  await expect(made({ memory: 1 })).rejects.toThrow("memory is 1: write 256 or more");
});
