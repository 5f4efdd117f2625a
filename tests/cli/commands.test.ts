import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bess } from "../../cli/program";
import { exitCodes } from "../../cli/exit-codes";
import type { BessCommand } from "../../cli/command";
import { localBackend } from "../../automation";
import { Checkout } from "../support/checkout";
import { keyPair } from "../support/key-pairs";

const root = join(__dirname, "../..");
// A whole deployment is rehearsed below.
jest.setTimeout(120_000);

const checkout = new Checkout();
afterAll(() => checkout.remove());

/** Every command, by what follows `bess`. */
const commands = (command: BessCommand, path: string[] = []): [string, BessCommand][] =>
  command.bessCommands.flatMap((sub) => {
    const name = [...path, sub.name()];
    return [[name.join(" "), sub] as [string, BessCommand], ...commands(sub, name)];
  });
const all = commands(bess());

describe("the help", () => {
  test("lists every command with a line and an example, and the exit codes", async () => {
    const { code, stdout } = await checkout.bess("--help");
    expect(code).toBe(0);
    for (const command of bess().bessCommands)
      expect(stdout).toMatch(new RegExp(`^  ${command.name()} +[A-Z].*\\.\\n +npx bess `, "m"));
    for (const [number, meaning] of exitCodes)
      expect(stdout).toMatch(new RegExp(`^ *${number}  ${meaning}$`, "m"));
  });
  test.each(all)("of %s has an example of that command", (name, command) => {
    expect(command.description()).toMatch(/\.$/);
    const lines = command.examples.map(({ line }) => line);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.filter((line) => !line.startsWith(`npx bess ${name}`))).toEqual([]);
  });
  test("of a stack option says the same everywhere", () => {
    const described = all
      .filter(([name]) => name !== "fleet add")
      .flatMap(([, { options }]) => options.filter(({ long }) => long === "--stack"))
      .map(({ description }) => description);
    expect(described.length).toBeGreaterThan(7);
    expect(new Set(described).size).toBe(1);
  });
  test("does not load Pulumi's SDK", async () => {
    const loaded = `process.on("exit", () => console.error(Object.keys(require.cache)
      .filter((file) => file.includes("@pulumi/pulumi/") && !file.endsWith("package.json")).length + " files of the SDK"));`;
    writeFileSync(checkout.at("count.js"), loaded);
    const { stderr } = spawnSync(
      process.execPath,
      ["-r", "./count.js", "cli/bess.js", "list", "--json"],
      { cwd: checkout.at("."), encoding: "utf8" },
    );
    expect(stderr).toContain("0 files of the SDK");
  });
});

test("npx finds the program in a checkout, and leaves its packages alone", () => {
  // npm links the checkout into its cache and works in its node_modules: never a link to another's.
  const folder = join(root, ".cache", `npx-${process.pid}`);
  const packages = realpathSync(join(root, "node_modules"));
  mkdirSync(folder, { recursive: true });
  try {
    execFileSync("sh", ["-c", 'git archive HEAD | tar -x -C "$0"', folder], { cwd: root });
    execFileSync("cp", ["-al", packages, join(folder, "node_modules")]);
    const { stdout, status } = spawnSync("npx", ["bess", "--help"], {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, npm_config_cache: join(folder, "cache"), npm_config_offline: "true" },
    });
    expect(stdout).toMatch(/^Usage: bess <command> \[options\]\n/);
    expect(status).toBe(0);
    expect(existsSync(join(folder, "node_modules/commander"))).toBe(true);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("list shows every stack, the hub too, and where its site is written", async () => {
  writeFileSync(
    checkout.at("Pulumi.kiel-2.yaml"),
    "config:\n  bess-telemetry:site:\n    retention: 9d\n",
  );
  const { stdout, code } = await checkout.bess("list", "--json");
  rmSync(checkout.at("Pulumi.kiel-2.yaml"));
  expect(code).toBe(0);
  const stacks = JSON.parse(stdout) as { stack: string }[];
  expect(stacks.filter(({ stack }) => ["dev", "hub", "kiel-1", "kiel-2"].includes(stack))).toEqual([
    { stack: "dev", site: "dev", profile: "dev", from: ["stack file"] },
    { stack: "hub", hub: "hub", from: ["stack file"] },
    {
      stack: "kiel-1",
      site: "kiel-1",
      engine: "ssh://bess@kiel-1.example",
      profile: "pi",
      from: ["inventory"],
    },
    expect.objectContaining({ stack: "kiel-2", from: ["inventory", "stack file"] }),
  ]);
});

describe("a site that is in the inventory alone", () => {
  // Its host is not there, but the stack is then.
  beforeAll(() => {
    checkout.pretendPulumi();
    return checkout.bess("up", "--yes", "--stack", "kiel-1");
  });

  test("is rehearsed", async () => {
    const { code, stdout } = await checkout.bess("rehearse", "up", "--stack", "kiel-1");
    expect(stdout).toMatch(/On ssh:\/\/bess@kiel-1\.example there would be:\n {2}kiel-1-/);
    expect(code).toBe(0);
  });
  test("is previewed without contact to it", async () => {
    const { code, stdout } = await checkout.bess("preview", "--stack", "kiel-1", "--offline");
    expect(stdout).toMatch(/^ +\+ \d+ to create$/m);
    expect(code).toBe(0);
  });
  test.each([
    ["open", ["open"]],
    ["images load", ["images", "load", "--file", "package.json"]],
    ["refresh", ["refresh", "--yes"]],
    ["down", ["down", "--yes"]],
  ])("is looked for at its host by %s", async (_, args) => {
    const { code, stderr } = await checkout.bess(...args, "--stack", "kiel-1");
    expect(stderr).toMatch(/kiel-1\.example/);
    expect(stderr).not.toMatch(/Pulumi\.kiel-1\.yaml|^\s+at /m);
    expect(code).toBe(1);
  });
});

test("a key that fits no certificate is told once its secret can be opened", async () => {
  checkout.pretendPulumi();
  const up = () => checkout.bess("up", "--yes", "--stack", "kiel-2");
  await up();
  const [pair, other] = [keyPair(), keyPair()];
  const tls = "bess-telemetry:site.mqtt.tls";
  const env = { ...checkout.person, ...localBackend(checkout.at(".pulumi-state")) };
  const set = (...args: string[]) =>
    execFileSync("pulumi", ["config", "set", "--stack", "kiel-2", "--path", ...args], {
      cwd: checkout.at("."),
      env,
    });
  set(`${tls}.certificate`, "--", pair.certificate);
  set("--secret", `${tls}.key`, "--", other.key);
  const { code, stdout, stderr } = await up();
  rmSync(checkout.at("Pulumi.kiel-2.yaml"));
  expect(stderr.split("\n").filter((line) => !line.startsWith("found  "))).toEqual([
    expect.stringMatching(/^bess-telemetry:site of kiel-2 .* is refused:$/),
    "  - mqtt.tls.key is [secret]: it is not the key of mqtt.tls.certificate",
    "",
  ]);
  expect([code, stdout]).toEqual([1, ""]);
});

test("a name that no site has is one line everywhere, with the nearest names", async () => {
  const lines = [
    ["up"],
    ["preview"],
    ["preview", "--offline"],
    ["refresh"],
    ["down"],
    ["open"],
    ["images", "save"],
    ["images", "load", "--file", "package.json"],
    ["replay", "day.csv"],
    ["rehearse", "up"],
  ];
  for (const args of lines) {
    const { code, stderr } = await checkout.bess(...args, "--stack", "kiel-9");
    const told = stderr.split("\n").filter((line) => line && !line.startsWith("found  "));
    expect([args, code, told]).toEqual([
      args,
      1,
      [expect.stringMatching(/^Stack kiel-9 has no site in .* kiel-1, kiel-2, dev\.$/)],
    ]);
  }
});

test("a rehearsal is of the engine that DOCKER_HOST names, where the site names none", async () => {
  process.env.DOCKER_HOST = "unix:///nowhere.sock";
  const { code, stdout } = await checkout.bess("rehearse", "up", "--stack", "dev");
  delete process.env.DOCKER_HOST;
  expect(stdout).toMatch(/^On unix:\/\/\/nowhere\.sock there would be:$/m);
  expect(code).toBe(0);
});

test("NO_COLOR is handed to Pulumi", async () => {
  process.env.NO_COLOR = "1";
  const { stdout } = await checkout.bess("preview", "--stack", "kiel-1", "--offline");
  delete process.env.NO_COLOR;
  expect(stdout).toMatch(/to create/);
  // oxlint-disable-next-line no-control-regex -- the escape character begins each colour
  expect(stdout).not.toMatch(/\u001b\[/);
});
