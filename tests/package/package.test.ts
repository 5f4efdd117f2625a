import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { homeWithoutLogs } from "../../automation/backend";
import { Engine, type Rehearsal, rehearse } from "../../rehearsal";
import { keyPair } from "../support/key-pairs";
import { deployOnMocks, type MockedContainer } from "../support/mocked-site";
import { temporaryFolder } from "../support/programs";

const root = join(__dirname, "../..");
const run = promisify(execFile);
const tls = keyPair();

/** What consumer/deploy.js prints. */
interface Deployed {
  package: string;
  preview: Record<string, number>;
  after: Record<string, number>;
  outputs: Record<string, { value: unknown; secret: boolean }>;
}

const folder = temporaryFolder();
const project = join(folder.path, "project");
const engines = join(folder.path, "engines");
const installed = join(project, "node_modules/bess-telemetry");
let rehearsal: Rehearsal | undefined;

/** Packs this checkout, and installs the tarball beside links to the checkout's dependencies. */
async function install() {
  cpSync(join(__dirname, "consumer"), project, { recursive: true });
  mkdirSync(installed, { recursive: true });
  for (const name of readdirSync(join(root, "node_modules")))
    if (!name.startsWith(".") && name !== "bess-telemetry")
      symlinkSync(join(root, "node_modules", name), join(project, "node_modules", name));
  await run("npm", ["pack", "--offline", "--pack-destination", folder.path], { cwd: root });
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const tarball = join(folder.path, `bess-telemetry-${version}.tgz`);
  await run("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed]);
}

/** @param program of the consumer. Default: its index. */
const deploy = async (stack: string, program = "index"): Promise<Deployed> => {
  rehearsal ??= await rehearse({ folder: engines });
  const state = join(folder.path, "state");
  mkdirSync(state, { recursive: true });
  const config = {
    certificate: { value: tls.certificate },
    key: { value: tls.key, secret: true },
  };
  const args = ["deploy.js", stack, JSON.stringify(config), program];
  const { stdout } = await run(process.execPath, args, {
    cwd: project,
    env: {
      ...process.env,
      ...rehearsal.environment,
      PATH: [join(root, ".cache/bin"), process.env.PATH].join(delimiter),
      PULUMI_BACKEND_URL: `file://${state}`,
      PULUMI_CONFIG_PASSPHRASE: "rehearsed",
      ...homeWithoutLogs(join(folder.path, "home")),
      PULUMI_SKIP_UPDATE_CHECK: "true",
    },
    maxBuffer: 2 ** 26,
  });
  return JSON.parse(stdout) as Deployed;
};

test("Pulumi's runner still starts index.ts in this checkout", () => {
  // Its cmd/run/run.js reads exports["."], of that `default`, and only without exports `main`.
  const { exports, main } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  expect([exports["."].default, main]).toEqual(["./index.ts", "index.ts"]);
});

describe("the packed package, in a program outside this checkout", () => {
  beforeAll(install, 300_000);
  afterAll(() => {
    rehearsal?.close();
    folder.remove();
  });

  test("holds JavaScript, types and the data that is read at run time, and no test", () => {
    const files = readdirSync(join(installed, "dist"), { recursive: true }).map(String);
    const folders = readdirSync(join(installed, "dist"));
    expect(folders.sort()).toEqual([
      "alerts",
      "components",
      "configs",
      "dashboards",
      "rollup",
      "simulator",
    ]);
    expect(files).toEqual(
      expect.arrayContaining([
        "components/index.js",
        "components/index.d.ts",
        "configs/telemetry.yaml",
        "configs/models/m5bat.yaml",
        "configs/scripts/influxdb-start.sh",
        "simulator/bundle.js",
        "rollup/bundle.js",
      ]),
    );
    expect(files.filter((file) => /(?<!\.d)\.ts$|test/.test(file))).toEqual([]);
  });

  test("type-checks, refuses what a site does not have, and is compiled", async () => {
    await run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", project]);
    expect(readdirSync(join(project, "build"))).toContain("index.js");
  }, 300_000);

  describe("that is previewed and deployed on rehearsed providers", () => {
    let deployed: Deployed;
    beforeAll(async () => {
      deployed = await deploy("kiel-1");
    }, 300_000);

    test("comes from the tarball", () => {
      expect(deployed.package).toBe(join(installed, "dist/components/index.js"));
    });

    test("makes every container at the engine", () => {
      const { containers } = Engine.open(engines).state;
      expect(Object.keys(containers).sort()).toEqual([
        "kiel-1-explorer",
        "kiel-1-grafana",
        "kiel-1-influxdb",
        "kiel-1-mosquitto",
        "kiel-1-rollup",
        "kiel-1-simulator",
        "kiel-1-telegraf",
      ]);
    });

    test("is previewed as it is deployed, and changes nothing a second time", () => {
      expect(deployed.preview).toEqual({ create: expect.any(Number) });
      expect(deployed.after).toEqual({ same: deployed.preview.create });
    });

    test("has the revisions of this checkout, but where it transforms", async () => {
      const { containers } = await deployOnMocks({
        name: "kiel-1",
        simulator: { enabled: true },
        mqtt: { tls },
      });
      const revisionOf = ({ labels }: MockedContainer) =>
        labels.find(({ label }) => label === "bess-telemetry.revision")?.value;
      const { mosquitto, influxdb, telegraf, explorer, rollup, grafana, simulator } = containers;
      const inOrder = [mosquitto, influxdb, telegraf, rollup, explorer, grafana, simulator];
      const here = inOrder.map(revisionOf);
      const there = String(deployed.outputs.revision?.value).split("-");
      expect(there.map((revision, index) => revision === here[index])).toEqual([
        true,
        true,
        false,
        true,
        true,
        true,
        true,
      ]);
    });

    test("keeps the program's secrets", () => {
      expect(deployed.outputs.grafanaPassword?.secret).toBe(true);
      const state = join(folder.path, "state/.pulumi/stacks/consumer/kiel-1.json");
      expect(readFileSync(state, "utf8")).not.toContain("PRIVATE KEY");
    });
  });

  describe("that has a hub, and a site with its token from the hub's stack", () => {
    let hub: Deployed;
    let site: Deployed;
    beforeAll(async () => {
      hub = await deploy("hub", "hub");
      site = await deploy("kiel-2", "site-of-hub");
    }, 300_000);

    test("are deployed, and change nothing a second time", () => {
      expect(hub.after).toEqual({ same: hub.preview.create });
      expect(Object.keys(site.after)).toEqual(["same"]);
    });

    test("gives the site the token that the hub has made, and keeps it a secret", () => {
      expect(hub.outputs.siteTokens?.secret).toBe(true);
      const tokens = hub.outputs.siteTokens?.value as Record<string, string> | undefined;
      const token = tokens?.["kiel-2"];
      expect(token).toMatch(/^\w{40}$/);
      expect(site.outputs.token).toEqual({ value: token, secret: true });
      const state = readFileSync(
        join(folder.path, "state/.pulumi/stacks/consumer/kiel-2.json"),
        "utf8",
      );
      expect(state).not.toContain(token);
    });
  });
});
