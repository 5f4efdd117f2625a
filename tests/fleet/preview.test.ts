import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { localBackend, type RenderedResource, rehearsedStack, renderSite } from "../../automation";
import { renderedPlan } from "../../automation/rendered";
import { loadFleet } from "../../configs/inventory";
import { siteKey } from "../../configs/sites";
import { commentLimit, formatComment, groupSites } from "../../fleet/report";
import { digestsOf, isApart } from "../../fleet/preview/code";
import { anonymousSettings, namedData, namesOf, standIns } from "../../fleet/preview/names";
import { PlanStore } from "../../fleet/preview/plans";
import { differences } from "../../fleet/preview/standing";
import type { previewReport } from "../../fleet/preview/report";
import type { StackState } from "../../fleet/state";
import { Checkout } from "../support/checkout";
import { temporaryFolder } from "../support/programs";
import { stateUnder } from "../support/states";

jest.setTimeout(600_000);

const checkout = new Checkout();
const folder = temporaryFolder();
afterAll(() => {
  checkout.remove();
  folder.remove();
});

const inventory = `labels: {}
defaults: { profile: pi, explorer: { enabled: false } }
waves: [{ name: rest }]
sites:
  kiel-1: { engine: "ssh://bess@kiel-1.example" }
  kiel-2: { engine: "ssh://bess@kiel-2.example" }
  kiel-3: { engine: "ssh://bess@kiel-3.example" }
  kiel-4: { engine: "ssh://bess@kiel-4.example" }
`;
const backend = checkout.at(".cache/backend");
const stateOf = (site: string) => join(backend, ".pulumi/stacks/bess-telemetry", `${site}.json`);

/** One site is deployed by Pulumi's engine; three have its state under their own names. */
async function deployed(): Promise<StackState> {
  writeFileSync(checkout.at("fleet/fleet.yaml"), inventory);
  const [first, ...others] = loadFleet(checkout.at("fleet/fleet.yaml")).sites;
  if (!first) throw new Error("the inventory has no site");
  await rehearsedStack(first.stack, {
    folder: backend,
    config: { [siteKey]: first.settings },
    program: checkout.at("index.ts"),
  }).up();
  const text = readFileSync(stateOf(first.stack), "utf8");
  const { resources } = await renderSite(first.stack, first.settings);
  for (const { name, stack } of others)
    writeFileSync(stateOf(stack), stateUnder(text, resources, first.name, name));
  checkout.git("commit", "-q", "-a", "-m", "four sites");
  return (JSON.parse(text) as { checkpoint: { latest: StackState } }).checkpoint.latest;
}

let state: StackState;
beforeAll(async () => void (state = await deployed()));
afterEach(() => checkout.git("checkout", "-q", "."));

const settings = { name: "kiel-1", engine: "ssh://bess@kiel-1.example", profile: "pi" };
const own = { ...settings, explorer: { enabled: false } };

/** Rendered with stand-ins for its names. */
const sharedPlan = (of: Record<string, unknown>) =>
  renderedPlan(standIns.stack, anonymousSettings(of), {});

/** Without digests: of what is secret, and of what is made from the names themselves. */
const withoutDigests = (resources: readonly RenderedResource[]): string =>
  JSON.stringify(resources, (key, value: unknown) =>
    key === "labels" || key === "revision" ? undefined : value,
  ).replaceAll(/[0-9a-f]{16}|\b(\w+)-[0-9a-f]{8}\b/g, "<digest>");

describe("a plan that sites share", () => {
  test.each([
    ["as the example has it", settings],
    ["with a local engine", { name: "dev", simulator: { enabled: true } }],
    ["with a port of the engine's own", { ...settings, engine: "ssh://bess@10.0.0.7:2222" }],
    [
      "with everything",
      {
        ...settings,
        host: { prepare: true },
        backup: { to: "/mnt/usb/bess", password: "of 12 letters or more" },
        mqtt: { gateways: { ems: { topics: ["bess/#"] } } },
        purge: true,
      },
    ],
  ])("is that of each of them under its own names, %s", async (_, of) => {
    const names = namesOf("a-stack", of);
    const shared = namedData(await sharedPlan(of), names);
    expect(withoutDigests(shared)).toBe(withoutDigests(await renderedPlan("a-stack", of)));
  });
});

describe("a state", () => {
  const changed = (change: (state: StackState) => void): StackState => {
    const copy = structuredClone(state);
    change(copy);
    return copy;
  };
  const container = (of: StackState, name: string) => {
    const found = of.resources?.find(({ urn }) => urn?.endsWith(`:Container::kiel-1-${name}`));
    if (!found) throw new Error(`no container ${name}`);
    return found;
  };
  const encrypted = {
    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    ciphertext: "v1:AAAA",
  };
  /** As a real provider leaves it. */
  const hidden = (of: StackState) => {
    for (const resource of of.resources ?? [])
      if (resource.inputs && "uploads" in resource.inputs)
        Object.assign(resource.inputs, { uploads: encrypted, __defaults: [] });
  };
  const names = namesOf("kiel-1", own);
  const found = async (of: StackState) =>
    differences(of, await sharedPlan(own), names).map(({ resource, path }) =>
      [resource.slice(resource.lastIndexOf("::") + 2), path].filter(Boolean).join(" "),
    );

  test("is as the plan leaves it, under stand-ins and under its own names", async () => {
    expect(await found(state)).toEqual([]);
    expect(differences(state, await renderedPlan("kiel-1", own))).toEqual([]);
    expect(await found(changed(hidden))).toEqual([]);
  });
  test.each<[string, string[], (of: StackState) => void]>([
    [
      "an input",
      ["kiel-1-grafana memory"],
      (of) => Object.assign(container(of, "grafana").inputs ?? {}, { memory: 1 }),
    ],
    [
      "an image",
      ["kiel-1-telegraf image"],
      (of) => Object.assign(container(of, "telegraf").inputs ?? {}, { image: "sha256:other" }),
    ],
    [
      "a config that the provider hides",
      ["kiel-1-telegraf labels[1].value"],
      (of) => {
        hidden(of);
        Object.assign(container(of, "telegraf").inputs ?? {}, {
          labels: [
            { label: "bess-telemetry.site", value: "kiel-1" },
            { label: "bess-telemetry.revision", value: "000000000000" },
          ],
        });
      },
    ],
    [
      "a container that is half made",
      ["kiel-1-rollup"],
      (of) => Object.assign(container(of, "rollup"), { outputs: {} }),
    ],
    [
      "one that is missing",
      ["kiel-1-rollup-ready triggers[0]", "kiel-1-rollup"],
      (of) => void of.resources?.splice(of.resources.indexOf(container(of, "rollup")), 1),
    ],
    [
      "one that waits to be deleted",
      ["kiel-1-rollup"],
      (of) => void of.resources?.push({ ...container(of, "rollup"), delete: true }),
    ],
    [
      "a cut-off operation",
      ["kiel-1-rollup"],
      (of) =>
        Object.assign(of, {
          pending_operations: [{ type: "creating", resource: container(of, "rollup") }],
        }),
    ],
  ])("differs by %s", async (_, differing, change) =>
    expect(await found(changed(change))).toEqual(differing),
  );
});

describe("the store of plans", () => {
  const resources = [
    { type: "a:b:C", name: "x", inputs: { text: "y".repeat(9000) }, retained: true },
  ];
  test("gives back what it was given, also to the next process", () => {
    const plan = new PlanStore(folder.path).keep("key", resources);
    const next = new PlanStore(folder.path);
    expect(next.find("key")).toBe(plan);
    expect(next.load(plan)).toEqual(resources);
  });
  test.each([
    ["a plan", (store: PlanStore, plan: string) => store.file(plan)],
    ["a key", (store: PlanStore) => join(store.folder, "keys", "cut")],
  ])("takes %s that is half written for none, and writes it anew", (_, fileOf) => {
    const store = new PlanStore(folder.path);
    const plan = store.keep("cut", resources);
    truncateSync(fileOf(store, plan), 40);
    expect(store.find("cut")).toBeUndefined();
    expect(new PlanStore(folder.path).keep("cut", resources)).toBe(plan);
    expect(store.find("cut")).toBe(plan);
  });
});

describe("the digest of the code", () => {
  test("is the same of two checkouts, and changes with the code alone", () => {
    const before = digestsOf(checkout.at("."));
    checkout.change("README.md", /^#/, "##");
    checkout.change("fleet/fleet.yaml", "profile: pi", "profile: server");
    expect(digestsOf(checkout.at("."))).toEqual(before);
    checkout.change("configs/models/m5bat.yaml", /^/, "# a comment\n");
    const model = digestsOf(checkout.at("."));
    expect([model.code === before.code, model.models === before.models]).toEqual([true, false]);
    checkout.change("configs/mosquitto.ts", "sys_interval 10", "sys_interval 20");
    expect(digestsOf(checkout.at(".")).code).not.toBe(before.code);
  });
  test("leaves out no file that a program is made of", async () => {
    const { files } = await renderSite("kiel-1", own);
    expect(files.filter(isApart)).toEqual(["configs/telemetry.yaml"]);
  });
});

/** Previews what is changed in the working tree. */
async function preview(...args: string[]) {
  const { code, stdout, stderr } = await checkout.bessAs(
    localBackend(backend),
    "fleet",
    "preview",
    "--since=HEAD",
    "--json=.cache/preview.json",
    "--markdown=.cache/preview.md",
    ...args,
  );
  if (stdout || !/^(found|installed) /.test(stderr)) throw new Error(stdout + stderr);
  type Report = ReturnType<typeof previewReport>;
  const { table, kinds, sites, changed } = JSON.parse(
    readFileSync(checkout.at(".cache/preview.json"), "utf8"),
  ) as Report;
  const of = (site: string) => table.find((row) => row.site === site)?.kind;
  return {
    code,
    totals: [changed, sites],
    comment: readFileSync(checkout.at(".cache/preview.md"), "utf8"),
    previewed: table.filter((row) => row.previewed).map(({ site }) => site),
    kinds,
    of,
  };
}

describe("a preview", () => {
  test("asks the engine at the site alone that changes, and at one that is not at base", async () => {
    checkout.change("fleet/fleet.yaml", 'kiel-2.example"', 'kiel-2.example", retention: 80d');
    const drifted = readFileSync(stateOf("kiel-3"), "utf8");
    writeFileSync(stateOf("kiel-3"), drifted.replace('"memory":384', '"memory":385'));
    const { totals, previewed, kinds, of, comment, code } = await preview();
    writeFileSync(stateOf("kiel-3"), drifted);
    expect(totals).toEqual([2, 4]);
    expect(previewed).toEqual(["kiel-2", "kiel-3"]);
    expect(of("kiel-1")).toBe(of("kiel-4"));
    expect(kinds.map(({ differs }) => differs)).toEqual([[], ["kiel-3-grafana: memory"], []]);
    expect(comment).toContain("**Previewed at 2 of 4 sites**; 2 stay as they are.");
    expect(comment).toContain(
      "- **Not as the base left it**: in the state `kiel-3-grafana: memory`",
    );
    expect(comment).toContain("its memory limit changes from 385 to 384 MiB");
    expect(code).toBe(1);
  });

  test("previews one site of a kind, and tells the lost data of all", async () => {
    checkout.change("fleet/fleet.yaml", "profile: pi", "profile: pi, retention: 80d");
    const confirmed = "{ sites: [kiel-4], change: retention 90d -> 80d }";
    checkout.change("fleet/fleet.yaml", "waves:", `confirm: [${confirmed}]\nwaves:`);
    const { previewed, kinds, comment, code } = await preview();
    expect(previewed).toEqual(["kiel-1", "kiel-4"]);
    expect(kinds.map(({ sites, violations }) => [sites, violations.length])).toEqual([
      [3, 1],
      [1, 0],
    ]);
    expect(comment).toContain(
      "Previewed at `kiel-1`; 2 sites change likewise: `kiel-2`, `kiel-3`.",
    );
    expect(comment).toContain(
      '{ sites: [kiel-1, kiel-2, kiel-3], change: "retention 90d -> 80d" }',
    );
    expect(code).toBe(1);
    const all = await preview("--all");
    expect(all.previewed).toEqual(["kiel-1", "kiel-2", "kiel-3", "kiel-4"]);
    expect(all.kinds.map(({ sentences }) => sentences)).toEqual(
      kinds.map(({ sentences }) => sentences),
    );
  });
});

test("a comment about 10,000 sites fits what GitHub takes, its summary first", async () => {
  const sites = Array.from({ length: 10_000 }, (_, i) => `site-${String(i).padStart(5, "0")}`);
  const [group] = await groupSites([
    { site: "site-00000", steps: [{ ...step, name: "site-00000-x" }] },
  ]);
  if (!group) throw new Error("no group");
  const groups = sites.slice(0, 300).map((site, i) => ({
    ...group,
    sites: i === 0 ? [site, ...sites.slice(300)] : [site],
    previewed: [site],
  }));
  const made = formatComment(groups, { method: "Previewed at 300 of 10000 sites." });
  expect(Buffer.byteLength(made)).toBeLessThanOrEqual(commentLimit);
  expect(made.split("\n").slice(1, 4)).toEqual([
    "## 10000 of 10000 sites change",
    "",
    "Previewed at 300 of 10000 sites.",
  ]);
  expect(made).toContain("9700 sites change likewise");
});

const step = {
  op: "update" as const,
  urn: "urn:pulumi:s::p::x:y:Z::z",
  type: "x:y:Z",
  changed: ["a"],
  retained: false,
  old: { a: 1 },
  new: { a: 2 },
};
