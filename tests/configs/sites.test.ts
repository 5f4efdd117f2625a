import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withSecretPlaceholders } from "../../configs/secret-placeholders";
import { findSite, listSites, newStackFile, openedSite, siteConfig } from "../../configs/sites";
import { temporaryFolder } from "../support/programs";
import { keyPair } from "../support/key-pairs";
import { refusalOf } from "../support/refusal";

const refusal = (work: () => unknown) => refusalOf(work).message;

const folder = temporaryFolder();
afterAll(() => folder.remove());
beforeEach(() => {
  rmSync(folder.path, { recursive: true });
  mkdirSync(join(folder.path, "fleet"), { recursive: true });
});

const write = (file: string, text: string) => writeFileSync(join(folder.path, file), text);
/** YAML reads JSON. */
const stackFile = (stack: string, site: object) =>
  write(`Pulumi.${stack}.yaml`, JSON.stringify({ config: { "bess-telemetry:site": site } }));
const inventory = (sites: object) =>
  write(
    "fleet/fleet.yaml",
    JSON.stringify({ labels: {}, waves: [{ name: "all" }], defaults: { profile: "pi" }, sites }),
  );
const find = (name: string) => findSite(name, folder.path);

describe("a stack's site", () => {
  test("is in its own file, without any inventory", () => {
    stackFile("dev", { name: "dev", profile: "dev" });
    expect(find("dev")).toEqual({
      stack: "dev",
      settings: { name: "dev", profile: "dev" },
      sources: ["stack file"],
    });
  });
  test("is in the inventory alone", () => {
    inventory({ a: { engine: "ssh://u@a" } });
    expect(find("a")).toEqual({
      stack: "a",
      settings: { name: "a", profile: "pi", engine: "ssh://u@a" },
      sources: ["inventory"],
    });
  });
  test("is the file's over the inventory's, key by key", () => {
    inventory({ a: { engine: "ssh://u@a", retention: "7d", mqtt: { port: 1884 } } });
    const tls = { port: 8884, certificate: "PEM", key: { secure: "v1:abc" } };
    stackFile("a", { retention: "9d", mqtt: { tls } });
    expect(find("a")).toEqual({
      stack: "a",
      settings: {
        name: "a",
        profile: "pi",
        engine: "ssh://u@a",
        retention: "9d",
        mqtt: { port: 1884, tls },
      },
      sources: ["inventory", "stack file"],
    });
  });
  test("is refused where the file moves it to the host of another one", () => {
    inventory({ a: { engine: "ssh://u@a" }, b: { engine: "ssh://u@b" } });
    stackFile("a", { engine: "ssh://root@B:22" });
    expect(refusal(() => find("a"))).toContain(
      'engine is "ssh://root@B:22": site b of fleet/fleet.yaml has it already',
    );
    stackFile("a", { engine: "ssh://root@a:22" });
    expect(find("a").settings.engine).toBe("ssh://root@a:22");
  });
  test("is the inventory's where the file says nothing yet", () => {
    inventory({ a: { engine: "ssh://u@a" } });
    write("Pulumi.a.yaml", newStackFile("a"));
    expect(find("a").sources).toEqual(["inventory"]);
  });
  test("is found by organization and project, which Pulumi is given again", () => {
    inventory({ a: { engine: "ssh://u@a" } });
    expect(find("acme/bess-telemetry/a")).toMatchObject({
      stack: "acme/bess-telemetry/a",
      settings: { name: "a" },
    });
  });
  test("is found by the site's name, in the inventory and in a stack's file", () => {
    inventory({ a: { engine: "ssh://u@a", stack: "old-a" } });
    stackFile("lab-1", { name: "lab" });
    expect([find("a").stack, find("acme/p/a").stack, find("lab").stack]).toEqual([
      "old-a",
      "acme/p/old-a",
      "lab-1",
    ]);
  });
  test("is the stack's where one stack has the name of another stack's site", () => {
    inventory({
      a: { engine: "ssh://u@a", stack: "b" },
      b: { engine: "ssh://u@b", stack: "c" },
    });
    expect(find("b").settings.name).toBe("a");
  });
  test("is not chosen where two stacks have a site of that name", () => {
    stackFile("lab-1", { name: "lab" });
    stackFile("lab-2", { name: "lab" });
    expect(refusal(() => find("lab"))).toContain("of the stacks lab-1 and lab-2: name one");
  });
  test("is read anew where the inventory has changed", () => {
    inventory({ a: { engine: "ssh://u@a" } });
    find("a");
    inventory({ a: { engine: "ssh://u@other" } });
    expect(find("a").settings.engine).toBe("ssh://u@other");
  });
});

describe("a stack without a site", () => {
  test("is told in one line, with the nearest names that have one", () => {
    inventory(
      Object.fromEntries(
        ["kiel-1", "kiel-2", "aachen-1", "luebeck-1"].map((name) => [
          name,
          { engine: `ssh://u@${name}` },
        ]),
      ),
    );
    stackFile("kiel-10", { name: "kiel-10" });
    expect(refusal(() => find("kiel-9"))).toBe(
      "Stack kiel-9 has no site in Pulumi.kiel-9.yaml or fleet/fleet.yaml. " +
        "The nearest that have one: kiel-1, kiel-2, kiel-10.",
    );
  });
  test("is told where there is none at all", () => {
    write("Pulumi.new.yaml", newStackFile("new"));
    expect(refusal(() => find("new"))).toMatch(/ and no other stack has one\.$/);
  });
  test("is told to the program too", () => {
    stackFile("dev", { name: "dev" });
    expect(refusal(() => openedSite("def", undefined, folder.path))).toContain("one: dev.");
  });
});

test("the program runs on what Pulumi has decrypted, over the inventory", () => {
  inventory({ a: { engine: "ssh://u@a" } });
  stackFile("a", { mqtt: { tls: { key: { secure: "v1:abc" } } } });
  const own = { mqtt: { tls: { key: "PEM" } } };
  expect([
    openedSite("a", own, folder.path),
    openedSite("a", undefined, folder.path).mqtt,
    openedSite("new", { name: "new" }, folder.path),
  ]).toEqual([
    { name: "a", profile: "pi", engine: "ssh://u@a", ...own },
    { tls: { key: { secure: "v1:abc" } } },
    { name: "new" },
  ]);
});

test("all sites are listed with where each is written", () => {
  inventory({ b: { engine: "ssh://u@b" }, a: { engine: "ssh://u@a", stack: "z" } });
  stackFile("b", { retention: "9d" });
  stackFile("dev", { name: "dev" });
  write("Pulumi.empty.yaml", "config: {}\n");
  write("Pulumi.yaml", "name: bess-telemetry\n");
  expect(listSites(folder.path).map(({ stack, sources }) => `${stack}: ${sources.join()}`)).toEqual(
    ["b: inventory,stack file", "dev: stack file", "z: inventory"],
  );
});

describe("a site's configuration, without its secrets", () => {
  test("has all defaults, and a placeholder for each secret", () => {
    const key = { secure: "v1:abc" };
    const { certificate } = keyPair();
    stackFile("pi", { name: "pi", mqtt: { tls: { certificate, key } } });
    const { grafana, mqtt } = siteConfig(find("pi"));
    expect([grafana.port, mqtt.tls?.key]).toEqual([3000, withSecretPlaceholders(key)]);
  });
  test("has another placeholder for another secret, and none shows its own", () => {
    const [one, other] = ["v1:abc", "v1:abd"].map((secure) => withSecretPlaceholders({ secure }));
    expect(one).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    expect([one === other, String(one).includes("abc")]).toEqual([false, false]);
  });
  test.each<[string, string, RegExp]>([
    ["no YAML", "config: [\n", /^Pulumi\.pi\.yaml is refused/],
    [
      "no map",
      "config: { bess-telemetry:site: pi }\n",
      /^Pulumi\.pi\.yaml is refused:\n {2}- config\.bess-telemetry:site is "pi": write the keys of /,
    ],
    [
      "nothing",
      "config: { bess-telemetry:site: }\n",
      /^Pulumi\.pi\.yaml is refused:\n {2}- config\.bess-telemetry:site is empty: write the keys /,
    ],
    [
      "a mistyped key",
      "config: { bess-telemetry:sitee: { name: pi } }\n",
      /^Pulumi\.pi\.yaml is refused:\n {2}- config\.bess-telemetry:sitee is no known key; allowed here: bess-telemetry:site, bess-telemetry:hub$/,
    ],
    [
      "a mistyped namespace",
      "config: { bess-telemtry:site: { name: pi } }\n",
      /- config\.bess-telemtry:site is no known key; allowed here: bess-telemetry:site, bess-telemetry:hub$/,
    ],
    [
      "a key that Pulumi does not know",
      "confg: { bess-telemetry:site: { name: pi } }\n",
      /^Pulumi\.pi\.yaml is refused:\n {2}- confg is no known key; allowed here: config, /,
    ],
    [
      "a wrong engine",
      "config:\n  bess-telemetry:site: { name: pi, engine: http://host }\n",
      /^bess-telemetry:site of pi \(Pulumi\.pi\.yaml\).*\n.*engine is "http:\/\/host": write unix/,
    ],
  ])("is refused for %s", (_, text, message) => {
    write("Pulumi.pi.yaml", text);
    expect(refusal(() => siteConfig(find("pi")))).toMatch(message);
  });
});
