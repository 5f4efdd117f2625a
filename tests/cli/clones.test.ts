import { mkdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter } from "node:path";
import { stringify } from "yaml";
import { Checkout } from "../support/checkout";
import { standInForDocker } from "../support/docker";

const checkout = new Checkout();
const path = process.env.PATH;
beforeAll(() => {
  mkdirSync(checkout.at("bin"));
  process.env.PATH = [checkout.at("bin"), path].join(delimiter);
  const images = { influxdb: "influxdb:3.12.2-core" };
  writeFileSync(
    checkout.at("Pulumi.near.yaml"),
    stringify({ config: { "bess-telemetry:site": { name: "kiel-1", images } } }),
  );
});
afterAll(() => {
  process.env.PATH = path;
  checkout.remove();
});

const bess = (...args: string[]) => checkout.bess(...args);
const link = (name: string) => {
  try {
    return readlinkSync(checkout.at(name));
  } catch {
    return undefined;
  }
};

/** A site whose volumes are a folder: what is run in the containers is run there. */
function atSite({ influxdb = "running" } = {}): void {
  rmSync(checkout.at("data"), { recursive: true, force: true });
  mkdirSync(checkout.at("data/.clones/3.12.2-core"), { recursive: true });
  const about = "2026-11-27T12:00:00Z 3.13.0-core\n";
  writeFileSync(checkout.at("data/.clones/3.12.2-core/about"), about);
  writeFileSync(checkout.at("data/.clones/3.12.2-core/rows"), "x".repeat(60_000_000));
  symlinkSync("3.13.0-core", checkout.at("data/.version"));
  // The script's own arguments come after the volume's path.
  const inside =
    "while [ $# -gt 0 ] && [ $1 != /var/lib/influxdb3 ]; do shift; done; shift; " +
    `sh -s -- influxdb ${checkout.at("data")} "$@"`;
  standInForDocker(checkout.at("bin"), {
    "Status}} {{.Image}} {{.Config.User}} kiel-1-influxdb": `echo '${influxdb} sha256:ab 1500:1500'`,
    "{{.Image}}": "exit 1",
    "kiel-1-influxdb": inside,
  });
}

test("are listed, whether or not the container runs", async () => {
  for (const influxdb of ["running", "restarting"]) {
    atSite({ influxdb });
    const { code, stdout, stderr } = await bess("clones", "--stack", "near");
    expect([stderr, stdout.split("\n").map((line) => line.split(/ {2,}/))]).toEqual([
      "",
      [
        ["SERVICE", "DATA OF", "CLONE", "TAKEN", "BEFORE", "ALONE TAKES"],
        ["influxdb", "3.13.0-core", "3.12.2-core", "2026-11-27T12:00:00Z", "3.13.0-core", "0.1 GB"],
        [""],
      ],
    ]);
    expect(code).toBe(0);
    expect(readFileSync(checkout.at("bin/asked"), "utf8")).toContain(
      influxdb === "running"
        ? "exec -i kiel-1-influxdb sh -s -- influxdb /var/lib/influxdb3 list"
        : "run --rm -i --network none --volumes-from kiel-1-influxdb --user 1500:1500 --entrypoint sh sha256:ab -s -- influxdb",
    );
  }
});

test("are asked for, with what is lost and what is left to do, and no more", async () => {
  atSite();
  const asked = await bess("rollback-data", "--stack", "near", "--service", "influxdb");
  expect([asked.stderr, asked.code, link("data/.clones/.requested")]).toEqual([
    "",
    0,
    "3.12.2-core",
  ]);
  expect(asked.stdout).toBe(
    "influxdb of kiel-1 gets its data of 2026-11-27T12:00:00Z, as 3.12.2-core left them, once a " +
      "version older than 3.13.0-core is deployed: rows that were stored after the clone was taken " +
      "are in no query then. They are kept aside in the volume, under .set-aside.\n" +
      "next:\n  npx bess up --stack kiel-1\n" +
      "undone by: npx bess rollback-data --stack kiel-1 --service influxdb --cancel\n",
  );
  const [listed] = JSON.parse(
    (await bess("clones", "--stack", "near", "--json")).stdout,
  ) as object[];
  expect(listed).toMatchObject({ requested: "3.12.2-core", returned: false });
  await bess("rollback-data", "--stack", "near", "--service", "influxdb", "--as-is");
  expect(link("data/.clones/.requested")).toBe("as-is");
  await bess("rollback-data", "--stack", "near", "--service", "influxdb", "--cancel");
  expect(link("data/.clones/.requested")).toBeUndefined();
});

test.each<[what: string, args: string[], said: string]>([
  [
    "another clone",
    ["--service", "influxdb", "--to", "3.1"],
    '--to is "3.1": the clones of influxdb are 3.12.2-core',
  ],
  ["a service without a container", ["--service", "grafana"], "kiel-1 has no data of grafana"],
  [
    "two wishes",
    ["--service", "influxdb", "--as-is", "--cancel"],
    "give one of --to, --as-is and --cancel",
  ],
  [
    "a service without data",
    ["--service", "telegraf"],
    "Allowed choices are influxdb, grafana, mosquitto",
  ],
])("%s is refused", async (_, args, said) => {
  atSite();
  const { code, stderr } = await bess("rollback-data", "--stack", "near", ...args);
  expect(stderr).toContain(said);
  expect([code, link("data/.clones/.requested")]).toEqual([1, undefined]);
});

test("a site that is not reached is told", async () => {
  standInForDocker(checkout.at("bin"), { inspect: "exit 1" });
  const { code, stderr } = await bess("clones", "--stack", "near");
  expect([code, stderr]).toEqual([
    1,
    "kiel-1 has no data that are cloned: run up, and look again\n",
  ]);
});
