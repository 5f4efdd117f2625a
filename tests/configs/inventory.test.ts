import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { parse as parseYaml } from "yaml";
import {
  addSite,
  type FleetSite,
  inventoryFile,
  loadFleet,
  parseFleet,
} from "../../configs/inventory";
import { temporaryFolder } from "../support/programs";
import { refusalOf } from "../support/refusal";

const refusal = (work: () => unknown) => refusalOf(work).message;

const root = join(__dirname, "../..");
const example = readFileSync(join(root, inventoryFile), "utf8");

/** A small fleet; `change` replaces parts of it. */
const fleet = (change: object = {}) => ({
  labels: { region: ["north", "west"], ring: ["canary"] },
  defaults: { profile: "pi", mqtt: { address: "0.0.0.0" } },
  overrides: [{ when: { region: "north" }, set: { retention: "60d", mqtt: { port: 1884 } } }],
  waves: [
    { name: "canary", when: { ring: "canary" } },
    { name: "early", share: "10%" },
    { name: "rest" },
  ],
  sites: {
    a: { engine: "ssh://bess@a.example", labels: { region: "north", ring: "canary" } },
    b: { engine: "ssh://bess@b.example", labels: { region: "west" }, retention: "7d" },
    c: { engine: "ssh://bess@c.example", labels: { region: "north" }, mqtt: { port: 1885 } },
  },
  ...change,
});
const withSites = (sites: object) => fleet({ sites: { ...fleet().sites, ...sites } });
function siteOf(input: unknown, name: string): FleetSite {
  const found = parseFleet(input).sites.find((site) => site.name === name);
  if (!found) throw new Error(`${name} is not in the fleet`);
  return found;
}

describe("a site's config", () => {
  test("is the defaults, the overrides by its labels, and its own line, in this order", () => {
    expect(siteOf(fleet(), "a").settings).toEqual({
      name: "a",
      engine: "ssh://bess@a.example",
      profile: "pi",
      retention: "60d",
      mqtt: { address: "0.0.0.0", port: 1884 },
    });
    expect(siteOf(fleet(), "b").settings).toMatchObject({
      retention: "7d",
      mqtt: { address: "0.0.0.0" },
    });
    expect(siteOf(fleet(), "c").settings).toMatchObject({
      mqtt: { address: "0.0.0.0", port: 1885 },
    });
  });
  test("is validated, with all defaults of a site", () =>
    expect(siteOf(fleet(), "a").config).toMatchObject({
      grafana: { port: 3000 },
      mqtt: { port: 1884 },
    }));
  test("belongs to the stack of its name, or to the one it names", () => {
    expect([
      siteOf(fleet(), "a").stack,
      siteOf(withSites({ d: { engine: "ssh://u@d", stack: "old-d" } }), "d").stack,
    ]).toEqual(["a", "old-d"]);
  });
  test("may need what another line gives it, and is refused without that at the site that lacks it", () => {
    const shared = {
      defaults: { ssh: { jump: "ops@jump.example" }, host: { prepare: true } },
      overrides: [{ when: { region: "north" }, set: { host: { updates: true } } }],
    };
    expect(siteOf(fleet(shared), "a").config).toMatchObject({
      ssh: { jump: "ops@jump.example" },
      host: { prepare: true, updates: true },
    });
    expect(
      refusal(() =>
        parseFleet({ ...withSites({ d: { engine: "unix:///var/run/docker.sock" } }), ...shared }),
      ),
    ).toContain(
      'sites.d.ssh.jump is "ops@jump.example": only a site with an engine ssh://user@host has it',
    );
  });
  test("of a later override wins over an earlier one", () => {
    const overrides = ["1d", "2d"].map((retention) => ({
      when: { ring: "canary" },
      set: { retention },
    }));
    expect(siteOf(fleet({ overrides }), "a").settings.retention).toBe("2d");
  });
});

describe("the project's own example", () => {
  test("is a fleet whose waves all have a site", () => {
    const { waves, sites } = loadFleet();
    expect(waves.filter((wave) => !sites.some((site) => site.wave === wave))).toEqual([]);
  });
  test("says that it is one", () => expect(example).toMatch(/^# An EXAMPLE/m));
});

test.each<[string, unknown, string]>([
  [
    "a host of two sites",
    withSites({ d: { engine: "ssh://bess@a.example" } }),
    'sites.d.engine is "ssh://bess@a.example": site a has it already',
  ],
  [
    "a host of two sites, by another user",
    withSites({ d: { engine: "ssh://root@a.example" } }),
    "site a has it already",
  ],
  [
    "a stack of two sites",
    withSites({ d: { engine: "ssh://u@d", stack: "a" } }),
    'sites.d.stack is "a": site a has it already',
  ],
  [
    "a wave by an unknown label",
    fleet({ waves: [{ name: "w", when: { rnig: "canary" } }, { name: "rest" }] }),
    "waves[0].when.rnig is no known label; allowed here: region, ring",
  ],
  [
    "a wave by an unknown value",
    fleet({ waves: [{ name: "w", when: { ring: "canry" } }, { name: "rest" }] }),
    'waves[0].when.ring is "canry": allowed here: canary',
  ],
  [
    "an override by an unknown label",
    fleet({ overrides: [{ when: { x: "y" }, set: {} }] }),
    "overrides[0].when.x is no known label",
  ],
  [
    "a site with an unknown label",
    withSites({ d: { engine: "ssh://u@d", labels: { regoin: "north" } } }),
    "sites.d.labels.regoin is no known label",
  ],
  [
    "a label named like a method of all objects",
    withSites({ d: { engine: "ssh://u@d", labels: { constructor: "x" } } }),
    "sites.d.labels.constructor is no known label",
  ],
  [
    "a site in no wave",
    fleet({ waves: [{ name: "canary", when: { ring: "canary" } }] }),
    "sites.b is in no wave",
  ],
  [
    "a wave after that which takes all",
    fleet({ waves: [{ name: "all" }, { name: "late", share: "5%" }] }),
    'waves[0] is "all", which takes all that are left: put it last',
  ],
  [
    "two waves of one name",
    fleet({ waves: [{ name: "w", share: "5%" }, { name: "w" }] }),
    'waves[1].name is "w"',
  ],
  [
    "shares beyond the whole",
    fleet({
      waves: [
        { name: "a", share: "60%" },
        { name: "b", share: "60%" },
      ],
    }),
    "120% together: at most 100%",
  ],
  [
    "a wave by label and share",
    fleet({ waves: [{ name: "w", when: {}, share: "5%" }] }),
    "give either when or share",
  ],
  [
    "a share without its sign",
    fleet({ waves: [{ name: "w", share: "0.1" }] }),
    'waves[0].share is "0.1": write a share such as 10%',
  ],
  ["no wave", fleet({ waves: [] }), "name at least one wave"],
  ["a site without an engine", withSites({ d: {} }), "sites.d.engine is not set"],
  [
    "a name that no container can have",
    withSites({ D_1: { engine: "ssh://u@d" } }),
    "sites.D_1 is no possible name: write lower case letters",
  ],
  [
    "an unknown key",
    fleet({ site: {} }),
    "site is no known key; allowed here: allow, confirm, labels, defaults, overrides, waves, sites",
  ],
  [
    "an unknown key of a site",
    withSites({ d: { engine: "ssh://u@d", mqt: {} } }),
    "sites.d.mqt is no known key; allowed here: ssh, host, profile",
  ],
  [
    "an unknown key deep in a site",
    withSites({ d: { engine: "ssh://u@d", mqtt: { prot: 1 } } }),
    "sites.d.mqtt.prot is no known key; allowed here: address, port",
  ],
  [
    "a value that no site may have",
    fleet({ overrides: [{ when: {}, set: { profile: "large" } }] }),
    'overrides[0].set.profile is "large"',
  ],
  [
    "an engine for all",
    fleet({ defaults: { engine: "ssh://u@d" } }),
    "defaults.engine is no known key",
  ],
  [
    "an allowance that names no port",
    fleet({ allow: { offLoopback: ["grafana"] } }),
    "write a container's host name and its own port",
  ],
])("%s is refused", (_, input, told) => expect(refusal(() => parseFleet(input))).toContain(told));

describe("one host, however it is spelled,", () => {
  const findings = (one: string, other: string) =>
    refusal(() => parseFleet(fleet({ sites: { a: { engine: one }, b: { engine: other } } })));

  test.each([
    ["with the port of SSH", "ssh://bess@kiel.example", "ssh://bess@kiel.example:22"],
    ["with zeros before the port", "ssh://bess@kiel.example:2222", "ssh://bess@kiel.example:02222"],
    ["in upper case", "ssh://bess@kiel.example", "ssh://bess@KIEL.Example"],
    ["with a dot at its end", "ssh://bess@kiel.example", "ssh://bess@kiel.example."],
    ["by another user, and all of these", "ssh://bess@kiel.example", "ssh://root@Kiel.example.:22"],
    ["by a longer IPv6 address", "ssh://bess@[2001:db8::7]", "ssh://bess@[2001:0DB8:0:0:0:0:0:7]"],
    ["by a shorter IPv4 address", "ssh://bess@10.0.0.7", "ssh://bess@10.7"],
    ["by its loopback", "ssh://bess@localhost", "ssh://bess@127.0.0.1"],
    ["by IPv6's loopback", "ssh://bess@127.0.0.1", "ssh://bess@[::1]"],
    ["by a tunnel's name", "tcp://localhost:2375", "tcp://127.0.0.1:2375"],
    ["by a longer path", "unix:///var/run/docker.sock", "unix:///run//docker.sock"],
  ])("is refused %s", (_, one, other) =>
    expect(findings(one, other)).toContain(
      `sites.b.engine is "${other}": site a has it already, as "${one}"; every site needs its own`,
    ),
  );
  test.each([
    ["another port", "ssh://bess@kiel.example", "ssh://bess@kiel.example:2222"],
    ["another name", "ssh://bess@kiel.example", "ssh://bess@kiel.example.org"],
    ["another address", "ssh://bess@[2001:db8::7]", "ssh://bess@[2001:db8::8]"],
    ["another socket", "unix:///run/docker.sock", "unix:///run/user/1000/docker.sock"],
    ["a tunnel to another engine", "tcp://127.0.0.1:2375", "tcp://127.0.0.1:2376"],
  ])("is not %s", (_, one, other) => {
    const { sites } = parseFleet(fleet({ sites: { a: { engine: one }, b: { engine: other } } }));
    expect(sites).toHaveLength(2);
  });
});

test("what is wrong for all sites is told once, where it was written", () => {
  expect(refusal(() => parseFleet(fleet({ defaults: { retention: "soon" } }))).split("\n")).toEqual(
    [
      "fleet/fleet.yaml is refused:",
      '  - defaults.retention is "soon": write a duration such as 90d',
    ],
  );
});

test("a private key in the wrong place is not shown", () => {
  expect(
    refusal(() =>
      parseFleet(
        withSites({
          d: { engine: "ssh://u@d", mqtt: { tls: { key: "-----BEGIN PRIVATE KEY-----\nabcdef" } } },
        }),
      ),
    ),
  ).not.toContain("abcdef");
});

describe("a file that is no inventory", () => {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());
  const loaded = (text: string) => {
    const file = join(folder.path, "fleet.yaml");
    writeFileSync(file, text);
    return refusal(() => loadFleet(file));
  };
  test("as it names a site twice is refused by line", () => {
    const line = example.trimEnd().split("\n").length + 1;
    expect(loaded(`${example}  kiel-1: { engine: ssh://u@x }\n`)).toContain(
      `line ${line}: "kiel-1" is declared twice`,
    );
  });
  test("as it is no YAML is refused by line", () =>
    expect(loaded("sites: {\n  a: [}")).toMatch(/line \d+: /));
  test("as it is empty is refused", () => expect(loaded("")).toContain("is refused"));
  test("as it is missing is refused", () =>
    expect(refusal(() => loadFleet(join(folder.path, "none.yaml")))).toContain(
      "there is no such file",
    ));
});

describe("a share", () => {
  const many = (names: string[]) =>
    fleet({
      sites: Object.fromEntries(
        names.map((name) => [name, { engine: `ssh://bess@${name}.example` }]),
      ),
    });
  const early = (names: string[]) =>
    new Set(
      parseFleet(many(names))
        .sites.filter(({ wave }) => wave === "early")
        .map(({ name }) => name),
    );
  const names = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9]{0,6}$/), {
    minLength: 1,
    maxLength: 40,
  });

  test("is that part of the fleet, rounded up", () => {
    fc.assert(
      fc.property(names, (found) => expect(early(found).size).toBe(Math.ceil(found.length / 10))),
      { numRuns: 20 },
    );
  });
  test("does not depend on the order of the file", () => {
    fc.assert(
      fc.property(names, (found) => expect(early([...found].reverse())).toEqual(early(found))),
      { numRuns: 20 },
    );
  });
  test("moves at most one site when one is added", () => {
    fc.assert(
      fc.property(names, (found) => {
        const [before, after] = [early(found.slice(1)), early(found)];
        expect([...before].filter((name) => !after.has(name)).length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 20 },
    );
  });
  test("leaves out who has a wave by label", () => {
    const canaries = parseFleet(
      fleet({
        waves: [
          { name: "canary", when: { ring: "canary" } },
          { name: "all", share: "100%" },
        ],
      }),
    ).sites;
    expect(canaries.map(({ name, wave }) => [name, wave])).toEqual([
      ["a", "canary"],
      ["b", "all"],
      ["c", "all"],
    ]);
  });
});

describe("a new site", () => {
  const site = { engine: "ssh://bess@kiel-3.example", labels: { region: "north", hardware: "pi" } };

  test("is a block more, and all else stays as it was", () => {
    const block = [
      "  kiel-3:",
      "    engine: ssh://bess@kiel-3.example",
      "    labels: { region: north, hardware: pi }",
      "",
    ].join("\n");
    const extended = addSite(example, "kiel-3", site);
    expect(extended.split(block)).toHaveLength(2);
    expect(extended.replace(block, "")).toBe(example);
    expect(parseFleet(parseYaml(extended)).sites.at(-1)).toMatchObject({
      name: "kiel-3",
      wave: expect.any(String),
    });
  });
  test.each<[string, object]>([
    ["few settings", {}],
    ["no labels", { labels: {} }],
    ["nested settings", { mqtt: { address: "0.0.0.0", websocket: { enabled: true } } }],
    [
      "more than a line holds",
      {
        host: {
          prepare: true,
          udev: ["bms", "meter"].map((symlink) => ({
            symlink,
            vendor: "0403",
            product: "6001",
            serial: "A50285BI",
          })),
        },
      },
    ],
  ])("with %s is as the formatter leaves it", (_, change) => {
    const input = addSite(example, "kiel-3", { ...site, ...change });
    const args = ["--stdin-filepath", inventoryFile];
    const formatter = join(root, "node_modules/.bin/oxfmt");
    const { stdout } = spawnSync(formatter, args, { cwd: root, input, encoding: "utf8" });
    expect(stdout).toBe(input);
  });
  test.each([
    ["after a site in block style", "sites:\n  a:\n    engine: ssh://u@a\n    labels: {}\n# end\n"],
    ["after a line with a comment", "sites:\n  a: { engine: ssh://u@a } # the first\n"],
    ["after a last line without its end", "sites:\n  a: { engine: ssh://u@a }"],
    [
      "before what follows the sites",
      "sites:\n  a: { engine: ssh://u@a }\n\nwaves: [{ name: all }]\nlabels: {}\n",
    ],
  ])("stands %s", (_, text) => {
    const whole = text.includes("waves") ? text : `labels: {}\nwaves: [{ name: all }]\n${text}`;
    const extended = addSite(whole, "b", { engine: "ssh://u@b", labels: {} });
    expect(parseFleet(parseYaml(extended)).sites.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(extended.replace("\n  b:\n    engine: ssh://u@b", "")).toBe(whole);
  });
  test.each<[string, () => unknown, string]>([
    ["of a taken name", () => addSite(example, "kiel-1", site), "sites.kiel-1 is declared already"],
    [
      "on a taken host",
      () => addSite(example, "kiel-3", { ...site, engine: "ssh://bess@kiel-1.example" }),
      "site kiel-1 has it already",
    ],
    [
      "with an unknown label",
      () => addSite(example, "kiel-3", { ...site, labels: { region: "south" } }),
      'sites.kiel-3.labels.region is "south": allowed here: north, west',
    ],
    [
      "in a map in braces",
      () => addSite("sites: {}\n", "a", site),
      "begin it with a site on a line of its own",
    ],
    ["without a fleet", () => addSite("labels: {}\n", "a", site), "sites is missing"],
  ])("%s is refused", (_, work, told) => expect(refusal(work)).toContain(told));
});
