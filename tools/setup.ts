import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { images } from "../configs/images";

const root = join(__dirname, "..");
/** Programs that this project has built for itself. */
export const cache = join(root, ".cache/bin");

/** What was found, made or is missing; `note` is one line for a person. */
export interface Part {
  name: string;
  state: "found" | "installed" | "missing";
  note: string;
}

const run = (command: string, args: string[], options: { cwd?: string; seconds?: number; env?: NodeJS.ProcessEnv } = {}) =>
  spawnSync(command, args, { cwd: options.cwd, env: options.env, encoding: "utf8", timeout: (options.seconds ?? 10) * 1000 });

/** Where a program lies: in the project's cache, on the PATH, or where Debian keeps servers. */
function locate(name: string): string | undefined {
  return [cache, ...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"].map((folder) => join(folder, name)).find(existsSync);
}

/** A program of Debian's, installed where this may be done. */
function debian(name: string, packages: string[]): Part {
  const found = locate(name);
  if (found) return { name, state: "found", note: found };
  const missing: Part = { name, state: "missing", note: `install it: apt-get install ${packages.join(" ")}` };
  if (process.getuid?.() !== 0 || !locate("apt-get")) return missing;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  run("apt-get", ["update", "-qq"], { seconds: 300, env });
  const done = run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages], { seconds: 600, env });
  return done.status === 0 && locate(name) ? { name, state: "installed", note: "by apt-get" } : { ...missing, note: `${missing.note} (apt-get: ${lastLine(done.stderr)})` };
}

const telegrafVersion = /:([\d.]+)/.exec(images.telegraf)![1];

/** What the rendered configs use, and what the tests need beside it. */
const telegrafTags = [
  "custom",
  ...["mqtt_consumer", "internal", "cpu", "mem", "disk", "temp"].map((plugin) => `inputs.${plugin}`),
  ...["influxdb_v3", "health", "file"].map((plugin) => `outputs.${plugin}`),
  ...["starlark", "converter"].map((plugin) => `processors.${plugin}`),
  ...["json_v2", "value"].map((plugin) => `parsers.${plugin}`),
  "serializers.influx",
  "secretstores.docker",
].join(",");

/** Telegraf in the version that is deployed, from the Go module proxy where it is not here yet. */
function telegraf(): Part {
  const name = "telegraf";
  const found = locate(name);
  if (found && run(found, ["--version"]).stdout.includes(telegrafVersion)) return { name, state: "found", note: found };
  const missing: Part = { name, state: "missing", note: `install Telegraf ${telegrafVersion}, or Go to build it` };
  if (!locate("go")) return missing;
  const cwd = join(root, ".cache/telegraf");
  mkdirSync(cwd, { recursive: true });
  mkdirSync(cache, { recursive: true });
  if (!existsSync(join(cwd, "go.mod"))) run("go", ["mod", "init", "telegraf"], { cwd });
  const program = "github.com/influxdata/telegraf/cmd/telegraf";
  const got = run("go", ["get", `${program}@v${telegrafVersion}`], { cwd, seconds: 900 });
  if (got.status !== 0) return { ...missing, note: `${missing.note} (go get: ${lastLine(got.stderr)})` };
  const version = `-s -w -X github.com/influxdata/telegraf/internal.Version=${telegrafVersion}`;
  const built = run("go", ["build", "-mod=mod", "-tags", telegrafTags, "-ldflags", version, "-o", join(cache, name), program], { cwd, seconds: 1800 });
  return built.status === 0 ? { name, state: "installed", note: "built from the Go module proxy" } : { ...missing, note: `${missing.note} (go build: ${lastLine(built.stderr)})` };
}

const lastLine = (text: string | null) => text?.trim().split("\n").at(-1) ?? "no answer";

/** The Pulumi CLI. */
function pulumi(): Part {
  const found = locate("pulumi");
  return found
    ? { name: "pulumi", state: "found", note: `${run(found, ["version"]).stdout.trim()} at ${found}` }
    : { name: "pulumi", state: "missing", note: "install the Pulumi CLI: https://www.pulumi.com/docs/install/" };
}

/** The Docker CLI, with which a site's databases and tokens are made. Its engine may be a remote one, and is not asked here. */
function docker(): Part {
  const found = locate("docker");
  return found
    ? { name: "docker", state: "found", note: found }
    : { name: "docker", state: "missing", note: "install Docker's command line: https://docs.docker.com/engine/install/" };
}

/** OpenSSH, with which a site elsewhere is reached; that site's Docker is its own. */
function ssh(): Part {
  const found = locate("ssh");
  return found ? { name: "ssh", state: "found", note: found } : { name: "ssh", state: "missing", note: "install OpenSSH's client: apt-get install openssh-client" };
}

const sets = {
  deploy: [pulumi, docker],
  deployOverSsh: [pulumi, ssh],
  test: [
    () => debian("mosquitto", ["mosquitto", "mosquitto-clients"]),
    () => debian("influxd", ["influxdb"]),
    () => debian("sshd", ["openssh-server", "openssh-client"]),
    () => debian("jq", ["jq"]),
    telegraf,
  ],
};

/**
 * Makes sure of what a command needs, and says one line for each part.
 * @returns whether all is there.
 */
export function setUp(purpose: keyof typeof sets): boolean {
  const parts = sets[purpose].map((make) => {
    const part = make();
    console.log(`${part.state.padEnd(9)} ${part.name}: ${part.note}`);
    return part;
  });
  return parts.every((part) => part.state !== "missing");
}

/** Environment in which the project's own programs come first. */
export const environment = (): NodeJS.ProcessEnv => ({ ...process.env, PATH: [cache, process.env.PATH].join(delimiter) });
