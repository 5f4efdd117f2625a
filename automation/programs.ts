import { spawn } from "node:child_process";
import { existsSync, mkdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import pLimit from "p-limit";
import { hubImages, images } from "../configs/images";
import { showProgress } from "./progress";

const root = join(__dirname, "..");
/** Programs that this project has built for itself. */
export const cache = join(root, ".cache/bin");

/** What was found, made or is missing; `note` is one line for a person. */
export interface Part {
  name: string;
  state: "found" | "installed" | "missing";
  note: string;
}

/** How a program ended; without an exit code it could not be started, or took too long. */
interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program. @param options `seconds`: when it is killed, 10 by default. */
const run = (
  command: string,
  args: string[],
  options: { cwd?: string; seconds?: number; env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> =>
  new Promise((resolve) => {
    const { seconds = 10, ...settings } = options;
    const text = { stdout: "", stderr: "" };
    const child = spawn(command, args, {
      ...settings,
      timeout: seconds * 1000,
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.on("data", (data: Buffer) => (text.stdout += data.toString()));
    child.stderr.on("data", (data: Buffer) => (text.stderr += data.toString()));
    child.once("error", ({ message }) => resolve({ status: null, stdout: "", stderr: message }));
    child.once("close", (status) => resolve({ status, ...text }));
  });

/** Where a program lies: on the PATH, in the project's cache, or where Debian keeps servers. */
function locations(name: string): string[] {
  return [...(process.env.PATH ?? "").split(delimiter), cache, "/usr/sbin"]
    .map((folder) => join(folder, name))
    .filter(existsSync);
}

/** Where a program lies first. */
export const locate = (name: string): string | undefined => locations(name)[0];

/** A program of Debian's, installed where this may be done. */
async function debian(name: string, packages: string[]): Promise<Part> {
  const found = locate(name);
  if (found) return { name, state: "found", note: found };
  const failed = await install(packages);
  return failed === undefined && locate(name)
    ? { name, state: "installed", note: "by apt-get" }
    : { name, state: "missing", note: failed ?? `${packages.join(" ")} have no ${name}` };
}

/** apt-get runs once at a time: another one would find its files locked. */
const oneApt = pLimit(1);

/** Has the machine's apt-get look for newer packages, once. */
let updated: Promise<Ended> | undefined;

/** Installs packages of Debian's where this may be done. @returns what a person has to do. */
async function install(packages: string[]): Promise<string | undefined> {
  const advice = `install it: apt-get install ${packages.join(" ")}`;
  if (process.getuid?.() !== 0 || !locate("apt-get")) return advice;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await (updated ??= oneApt(() => run("apt-get", ["update", "-qq"], { seconds: 300, env })));
  const args = ["install", "-y", "-qq", "--no-install-recommends", ...packages];
  const done = await oneApt(() => run("apt-get", args, { seconds: 600, env }));
  return done.status === 0 ? undefined : `${advice} (apt-get: ${lastLine(done.stderr)})`;
}

/** The version that an image's tag names. */
const versionOf = (image: string) => image.replace(/^.*:v?([\d.]+).*$/, "$1");

const mosquittoVersion = versionOf(images.mosquitto);

/** What the tests use of Mosquitto: broker, clients, and the plugin that keeps the queue. */
const mosquittoParts = [
  "mosquitto",
  "mosquitto_pub",
  "mosquitto_sub",
  "mosquitto_persist_sqlite.so",
] as const;

/** Debian's packages that Mosquitto is fetched and built with. */
const mosquittoPackages = ["cmake", "g++", "make", "libcjson-dev", "libsqlite3-dev", "libssl-dev"];

/**
 * Mosquitto in the version that is deployed: Debian 12 has 2.0, which lacks the plugin. It is built
 * from the source package of a newer Debian, which an apt configuration of its own fetches.
 */
async function mosquitto(): Promise<Part> {
  const name = "mosquitto";
  const path = join(cache, name);
  const { stdout } = await run(path, ["-h"]);
  if (
    stdout.includes(`version ${mosquittoVersion}`) &&
    mosquittoParts.every((part) => existsSync(join(cache, part)))
  )
    return { name, state: "found", note: path };
  const advice =
    (await run("dpkg", ["-s", ...mosquittoPackages])).status === 0
      ? undefined
      : await install(mosquittoPackages);
  if (advice) return { name, state: "missing", note: advice };
  console.error(`building  ${name}: ${mosquittoVersion}, from Debian's source package`);
  const failed = await buildMosquitto();
  return failed
    ? { name, state: "missing", note: `${mosquittoVersion} could not be built (${failed})` }
    : { name, state: "installed", note: `${mosquittoVersion}, built into ${cache}` };
}

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Lists of a newer Debian alone, in a folder of their own: the machine's stay as they are. */
const newerDebian = join(root, ".cache/debian");

/** A command line of apt-get that knows these lists. */
const newerApt = (...args: string[]): [string, ...string[]] => [
  "apt-get",
  "-qq",
  `-oDir::Etc::sourcelist=${newerDebian}/sources.list`,
  "-oDir::Etc::sourceparts=/dev/null",
  `-oDir::State::lists=${newerDebian}/lists`,
  `-oDir::Cache=${newerDebian}`,
  "-oAPT::Sandbox::User=",
  ...args,
];

/** Fetches the lists. @returns why they could not be had. */
async function listNewerDebian(): Promise<string | undefined> {
  const advice = existsSync(keyring) ? undefined : await install(["debian-archive-keyring"]);
  if (advice) return advice;
  rmSync(newerDebian, { recursive: true, force: true });
  for (const folder of ["lists/partial", "archives/partial"])
    mkdirSync(join(newerDebian, folder), { recursive: true });
  const origin = `[signed-by=${keyring}] http://deb.debian.org/debian forky main`;
  writeFileSync(join(newerDebian, "sources.list"), `deb-src ${origin}\ndeb ${origin}\n`);
  return runAll([newerApt("update")], newerDebian);
}
let listed: ReturnType<typeof listNewerDebian> | undefined;

/**
 * Has a newer Debian's apt-get do something in an empty folder that has a folder `source`.
 * @returns why it failed.
 */
async function fromNewerDebian(cwd: string, ...args: string[]): Promise<string | undefined> {
  const refused = await (listed ??= listNewerDebian());
  if (refused) return refused;
  rmSync(cwd, { recursive: true, force: true });
  for (const folder of [join(cwd, "source"), cache]) mkdirSync(folder, { recursive: true });
  return oneApt(() => runAll([newerApt(...args)], cwd));
}

/** Runs one program after the other, until one fails. @returns why that did. */
async function runAll(steps: [string, ...string[]][], cwd: string): Promise<string | undefined> {
  for (const [command, ...args] of steps) {
    const done = await run(command, args, { cwd, seconds: 1200 });
    if (done.status !== 0) return `${command}: ${lastLine(done.stderr)}`;
  }
  return undefined;
}

/** Builds {@link mosquittoParts} into the cache. @returns why it failed. */
async function buildMosquitto(): Promise<string | undefined> {
  const cwd = join(root, ".cache/mosquitto");
  const left = ["APPS", "DOCS", "LTO", "TESTS", "HTTP_API", "CTRL_SHELL", "PLUGIN_EXAMPLES"];
  const settings = [
    ...left.map((part) => `WITH_${part}=OFF`),
    "CMAKE_BUILD_TYPE=Release",
    // The programs find their library beside them.
    "CMAKE_BUILD_WITH_INSTALL_RPATH=ON",
    "CMAKE_INSTALL_RPATH=$ORIGIN",
    `CMAKE_RUNTIME_OUTPUT_DIRECTORY=${cache}`,
    `CMAKE_LIBRARY_OUTPUT_DIRECTORY=${cache}`,
  ];
  const archive = `mosquitto_${mosquittoVersion}.orig.tar.gz`;
  const targets = mosquittoParts.map((part) => part.replace(/\.so$/, ""));
  return (
    (await fromNewerDebian(cwd, "source", "--download-only", "mosquitto")) ??
    runAll(
      [
        ["tar", "-xf", archive, "--strip-components=1", "-C", "source"],
        ["cmake", "-S", "source", "-B", "build", ...settings.map((setting) => `-D${setting}`)],
        ["cmake", "--build", "build", "--parallel", "2", "--target", ...targets],
      ],
      cwd,
    )
  );
}

/** Programs of a package of a newer Debian, copied into the cache. @returns why they could not be. */
async function unpackDebian(
  name: string,
  programs: readonly string[],
): Promise<string | undefined> {
  const cwd = join(root, ".cache", name);
  return (
    (await fromNewerDebian(cwd, "download", name)) ??
    runAll(
      [
        ["sh", "-c", `dpkg-deb -x ${name}_*.deb source`],
        ["cp", ...programs.map((program) => `source/usr/bin/${program}`), cache],
      ],
      cwd,
    )
  );
}

const resticVersion = versionOf(images.backup);

/** restic in the version that is deployed, from the package of a newer Debian. */
async function restic(): Promise<Part> {
  const name = "restic";
  for (const path of locations(name))
    if ((await run(path, ["version"])).stdout.includes(` ${resticVersion} `))
      return { name, state: "found", note: path };
  const missing = (why: string): Part => ({
    name,
    state: "missing",
    note: `install restic ${resticVersion}: https://restic.readthedocs.io (${why})`,
  });
  if (!locate("apt-get")) return missing("this machine has no apt-get to fetch it");
  console.error(`fetching  ${name}: ${resticVersion}, from Debian's package`);
  const failed = await unpackDebian(name, [name]);
  return failed
    ? missing(failed)
    : { name, state: "installed", note: `${resticVersion}, copied into ${cache}` };
}

const victoriaMetricsVersion = versionOf(hubImages["victoria-metrics"]);

/** What the tests use of VictoriaMetrics: the database, its agent and its door, and its backup. */
const victoriaMetricsPrograms = [
  "victoria-metrics",
  "vmagent",
  "vmauth",
  "vmbackup",
  "vmrestore",
] as const;

/** VictoriaMetrics in the version that the hub deploys, from the package of a newer Debian. */
async function victoriaMetrics(): Promise<Part> {
  const name = "victoria-metrics";
  // Debian's programs do not know their version: what was unpacked is written down beside them.
  const note = join(cache, `${name}-${victoriaMetricsVersion}`);
  const parts = [note, ...victoriaMetricsPrograms.map((program) => join(cache, program))];
  if (parts.every(existsSync)) return { name, state: "found", note: join(cache, name) };
  const missing = (why: string): Part => ({
    name,
    state: "missing",
    note:
      `${victoriaMetricsVersion} comes from Debian's package ${name}, of testing (${why}); ` +
      "the tests of the hub need it",
  });
  if (!locate("apt-get")) return missing("this machine has no apt-get to fetch it");
  console.error(`fetching  ${name}: ${victoriaMetricsVersion}, from Debian's package`);
  const failed = await unpackDebian(name, victoriaMetricsPrograms);
  if (failed) return missing(failed);
  const { stdout } = await run("sh", ["-c", `ls ${join(root, ".cache", name)}/*.deb`]);
  if (!stdout.includes(`_${victoriaMetricsVersion}`))
    return missing(`Debian has ${stdout.trim().split("/").at(-1)}`);
  writeFileSync(note, "");
  return { name, state: "installed", note: `${victoriaMetricsVersion}, copied into ${cache}` };
}

/** Caddy, in whatever version the machine or a newer Debian has. */
async function caddy(): Promise<Part> {
  const name = "caddy";
  const path = locate(name);
  if (path) return { name, state: "found", note: path };
  console.error(`fetching  ${name}: from Debian's package`);
  const failed = locate("apt-get") ? await unpackDebian(name, [name]) : "no apt-get to fetch it";
  return failed
    ? { name, state: "missing", note: `install Caddy: https://caddyserver.com (${failed})` }
    : { name, state: "installed", note: `copied into ${cache}` };
}

const telegrafVersion = versionOf(images.telegraf);

const telegrafInputs = [
  "mqtt_consumer",
  "internal",
  "cpu",
  "mem",
  "disk",
  "temp",
  "timex",
  "file",
] as const;

/** What the rendered configs use, and what the tests need beside it. */
const telegrafTags = [
  "custom",
  ...telegrafInputs.map((plugin) => `inputs.${plugin}`),
  ...["influxdb_v3", "health", "file"].map((plugin) => `outputs.${plugin}`),
  ...["starlark", "converter"].map((plugin) => `processors.${plugin}`),
  ...["json_v2", "value"].map((plugin) => `parsers.${plugin}`),
  "serializers.influx",
  "secretstores.docker",
].join(",");

/**
 * A Go program in one version, from the Go module proxy where it is not here yet.
 * @param title how a person calls it.
 * @param hasAll whether one of the version has all that is needed.
 */
async function goProgram(
  name: string,
  title: string,
  from: { version: string; program: string; flags: string[] },
  hasAll: (path: string) => Promise<boolean> = () => Promise.resolve(true),
): Promise<Part> {
  for (const path of locations(name))
    if ((await run(path, ["--version"])).stdout.includes(from.version) && (await hasAll(path)))
      return { name, state: "found", note: path };
  const missing: Part = {
    name,
    state: "missing",
    note: `install ${title} ${from.version}, or Go to build it`,
  };
  if (!locate("go")) return missing;
  const failed = await build(name, from);
  return failed
    ? { ...missing, note: `${missing.note} (${failed})` }
    : { name, state: "installed", note: "built from the Go module proxy" };
}

/** Telegraf in the version that is deployed. One of an earlier checkout may lack an input. */
const telegraf = () =>
  goProgram(
    "telegraf",
    "Telegraf",
    {
      version: telegrafVersion,
      program: "github.com/influxdata/telegraf/cmd/telegraf",
      flags: [
        "-tags",
        telegrafTags,
        "-ldflags",
        `-s -w -X github.com/influxdata/telegraf/internal.Version=${telegrafVersion}`,
      ],
    },
    async (path) => {
      const known = (await run(path, ["plugins", "inputs"])).stdout.split(/\s+/);
      return telegrafInputs.every((plugin) => known.includes(`inputs.${plugin}`));
    },
  );

/** What checks the workflows in .github. */
const actionlint = () => {
  const version = "1.7.12";
  const flags = ["-ldflags", `-s -w -X github.com/rhysd/actionlint.version=${version}`];
  return goProgram("actionlint", "actionlint", {
    version,
    program: "github.com/rhysd/actionlint/cmd/actionlint",
    flags,
  });
};

let foundPython: Promise<Part> | undefined;
/** Python, whose package index two of the parts come from. */
const python = () => (foundPython ??= debian("python3", ["python3"]));

/** Of zizmor's wheels for Linux. */
const zizmorHashes = [
  "0cdd38fca6eb34ceb567548548d706332e3535ea66894b9168c048e03207b68c",
  "84a6acb975accc13408786a2bd274b572537ca19c933ebbc13e78f3988562071",
];

/** Unpacks a wheel of the Python package index, pinned by its hashes. @returns why it failed. */
async function unpackWheel(
  name: string,
  version: string,
  hashes: string[],
): Promise<string | undefined> {
  const cwd = join(root, ".cache", name);
  mkdirSync(cwd, { recursive: true });
  await python();
  const pinned = [`${name}==${version}`, ...hashes.map((hash) => `--hash=sha256:${hash}`)];
  writeFileSync(join(cwd, "requirements.txt"), pinned.join(" "));
  const pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--upgrade"];
  const from = ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", "requirements.txt"];
  return runAll([["python3", ...pip, "--target", "files", ...from]], cwd);
}

/** What looks for holes in the workflows. */
const zizmor = async (): Promise<Part> => {
  const [name, version] = ["zizmor", "1.32.0"];
  for (const path of locations(name))
    if ((await run(path, ["--version"])).stdout.includes(version))
      return { name, state: "found", note: path };
  mkdirSync(cache, { recursive: true });
  const failed =
    (await unpackWheel(name, version, zizmorHashes)) ??
    (await runAll([["cp", `.cache/${name}/files/bin/${name}`, cache]], root));
  return failed
    ? { name, state: "missing", note: `install zizmor ${version}: docs.zizmor.sh (${failed})` }
    : { name, state: "installed", note: `${version}, from the Python package index` };
};

/** GitLab's JSON Schema of its pipelines, which check-jsonschema brings along. */
export const gitlabSchema = join(
  root,
  ".cache/check-jsonschema/files/check_jsonschema/builtin_schemas/vendor/gitlab-ci.json",
);
const gitlab = async (): Promise<Part> => {
  const name = "GitLab's schema";
  if (existsSync(gitlabSchema)) return { name, state: "found", note: gitlabSchema };
  const failed = await unpackWheel("check-jsonschema", "0.39.0", [
    "14ce5c94871c551268ea948ffe21e9f1464dc48fb20bf9a4c13deeaaf756cf9b",
  ]);
  return failed
    ? {
        name,
        state: "missing",
        note: `check-jsonschema of the Python package index has it (${failed})`,
      }
    : { name, state: "installed", note: "from the Python package index" };
};

/** A build takes every core; what another one needs is fetched meanwhile. */
const oneBuild = pLimit(1);

/** Builds a Go program into the cache, in a module of its own. @returns why it failed. */
async function build(
  name: string,
  from: { version: string; program: string; replace?: string; flags: string[] },
): Promise<string | undefined> {
  const cwd = join(root, ".cache", name);
  mkdirSync(cwd, { recursive: true });
  mkdirSync(cache, { recursive: true });
  rmSync(join(cwd, "go.mod"), { force: true });
  const steps = [
    ["mod", "init", name],
    ...(from.replace ? [["mod", "edit", `-replace=${from.replace}`]] : []),
    ["get", `${from.program}@v${from.version}`],
    // Symbols for a debugger take a fifth of the time, and the linker would strip them.
    [
      "build",
      "-mod=mod",
      "-gcflags=all=-dwarf=false",
      ...from.flags,
      "-o",
      join(cache, name),
      from.program,
    ],
  ];
  for (const step of steps) {
    const go = () => run("go", step, { cwd, seconds: 1800 });
    const done = await (step[0] === "build" ? oneBuild(go) : go());
    if (done.status !== 0) return `go ${step[0]}: ${lastLine(done.stderr)}`;
  }
  return undefined;
}

const lastLine = (text: string) => text.trim().split("\n").at(-1) || "no answer";

/** The command line that the SDK was tried with: an older one lacks some of what it asks for. */
const pulumiVersion: string = require("@pulumi/pulumi/package.json").version;

/** Whether a version has the SDK's major number, and its minor number or a later one. */
function fits(version: string): boolean {
  const [[major, minor = 0], [wantedMajor, wantedMinor = 0]] = [numbersOf(version), wanted];
  return major === wantedMajor && minor >= wantedMinor;
}
const numbersOf = (version: string) => version.replace(/^v/, "").split(".").map(Number);
const wanted = numbersOf(pulumiVersion);

/** The Pulumi CLI: the user's own where it fits, else one in the cache, downloaded or built. */
async function pulumi(): Promise<Part> {
  const name = "pulumi";
  for (const path of locations(name)) {
    const version = (await run(path, ["version"])).stdout.trim();
    if (version && fits(version)) return { name, state: "found", note: `${version} at ${path}` };
  }
  const missing: Part = {
    name,
    state: "missing",
    note: `install the Pulumi CLI ${pulumiVersion} or newer: https://www.pulumi.com/docs/install/`,
  };
  console.error(`fetching  ${name}: ${pulumiVersion}, into ${cache}`);
  const refused = await download();
  if (refused === undefined)
    return { name, state: "installed", note: `${pulumiVersion}, downloaded from get.pulumi.com` };
  if (!locate("go"))
    return { ...missing, note: `${missing.note}, or Go to build it (get.pulumi.com: ${refused})` };
  console.error(
    `building  ${name}: get.pulumi.com cannot be had (${refused}); ` +
      "from the Go module proxy, which takes minutes",
  );
  const failed = await build(name, {
    version: pulumiVersion,
    program: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    // Pulumi's own go.mod replaces it too, and a replacement counts in the main module alone.
    replace:
      "github.com/atotto/clipboard=" +
      "github.com/tgummerer/clipboard@v0.0.0-20241001131231-d02d263e614e",
    flags: [
      "-ldflags",
      `-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${pulumiVersion}`,
    ],
  });
  return failed
    ? { ...missing, note: `${missing.note} (${failed})` }
    : { name, state: "installed", note: `${pulumiVersion}, built from the Go module proxy` };
}

/** Pulumi's own installer, with its language hosts. @returns why it could not be had. */
async function download(): Promise<string | undefined> {
  try {
    // The installer itself waits for minutes where nothing answers.
    const answer = await fetch("https://get.pulumi.com/install.sh", {
      method: "HEAD",
      signal: AbortSignal.timeout(10_000),
    });
    if (!answer.ok) return `answers ${answer.status}`;
    // Loaded only here: it takes half a second.
    const { PulumiCommand } =
      require("@pulumi/pulumi/automation") as typeof import("@pulumi/pulumi/automation");
    await PulumiCommand.install({ root: dirname(cache) });
    return undefined;
  } catch (error) {
    const { message, cause } = error as Error & { cause?: Error };
    return lastLine(cause?.message || message);
  }
}

const languageHost = "pulumi-language-nodejs";

/** What the Pulumi CLI runs the program with: a CLI that was built from its source has none. */
function runtime(): Part {
  const name = "pulumi's Node.js runtime";
  const beside = locations("pulumi").map((path) => join(dirname(realpathSync(path)), languageHost));
  const found = locate(languageHost) ?? beside.find(existsSync);
  if (found) return { name, state: "found", note: found };
  return {
    name,
    state: "missing",
    note:
      `no ${languageHost} on the PATH or beside pulumi: install Pulumi's own package, ` +
      "which has it: https://www.pulumi.com/docs/install/",
  };
}

/** The npm packages of the providers that a site's program uses. */
const providerPackages = [
  "@pulumi/docker",
  "@pulumi/command",
  "@pulumi/random",
  "@pulumiverse/grafana",
];

/**
 * The providers' plugins, in the versions that the packages ask for: where each lies, and what
 * installs it.
 * @param home Pulumi's own folder. Default: as Pulumi has it.
 */
export const providerPlugins = (
  home = process.env.PULUMI_HOME ?? join(homedir(), ".pulumi"),
): { path: string; install: string[] }[] =>
  providerPackages.map((name) => {
    const { pulumi: plugin } = require(`${name}/package.json`) as {
      pulumi: { name: string; version: string; server?: string };
    };
    const args = ["plugin", "install", "resource", plugin.name, plugin.version];
    return {
      path: join(home, "plugins", `resource-${plugin.name}-v${plugin.version}`),
      install: plugin.server ? [...args, "--server", plugin.server] : args,
    };
  });

/** The providers' plugins; what is missing is fetched. */
async function providers(): Promise<Part> {
  const name = "providers";
  const wanted = providerPlugins();
  const lacking = wanted.filter(({ path }) => !existsSync(path));
  for (const { path, install: args } of lacking) {
    console.error(`fetching  provider: pulumi ${args.join(" ")}`);
    const env = { ...environment(), PULUMI_SKIP_UPDATE_CHECK: "true" };
    const done = await run("pulumi", args, { seconds: 300, env });
    if (done.status !== 0)
      return {
        name,
        state: "missing",
        note:
          `run pulumi ${args.join(" ")} where the network reaches its server, ` +
          `or copy ${path} from a machine that has it (${lastLine(done.stderr)})`,
      };
  }
  return lacking.length > 0
    ? { name, state: "installed", note: "by pulumi plugin install" }
    : { name, state: "found", note: "the plugins of package-lock.json" };
}

/**
 * The Docker engine of this environment, which a stack that names none is deployed on.
 * @param engine another one's address.
 */
export async function docker(engine?: string): Promise<Part> {
  const name = "docker";
  const found = locate(name);
  if (!found)
    return {
      name,
      state: "missing",
      note: "install Docker: https://docs.docker.com/engine/install/",
    };
  const at = engine === undefined ? [] : ["--host", engine];
  const version = [...at, "version", "--format", "{{.Server.Version}}"];
  const answer = await run(found, version, { seconds: 5 });
  return answer.status === 0
    ? { name, state: "found", note: `${found}, engine ${answer.stdout.trim()}` }
    : {
        name,
        state: "missing",
        note:
          `start its engine${engine === undefined ? "" : `, or write another one than ${engine}`}: ` +
          lastLine(answer.stderr),
      };
}

/** Docker's command line alone: the engine is the stack's own, and answers to the deployment. */
function dockerClient(): Part {
  const name = "docker client";
  const found = locate("docker");
  return found
    ? { name, state: "found", note: found }
    : {
        name,
        state: "missing",
        note: "install Docker's command line: https://docs.docker.com/engine/install/",
      };
}

/** OpenSSH, with which a site elsewhere is reached; that site's Docker is its own. */
function ssh(): Part {
  const name = "ssh";
  const found = locate(name);
  return found
    ? { name, state: "found", note: found }
    : { name, state: "missing", note: "install OpenSSH's client: apt-get install openssh-client" };
}

/** The npm packages, which cli/bess.js has installed by now. */
const packages = (): Part => ({
  name: "packages",
  state: "found",
  note: "node_modules, as package-lock.json asks",
});

/** What is made sure of, where the work is at an engine of its own. */
type Make = (engine?: string) => Part | Promise<Part>;

const work = {
  here: [packages, pulumi, providers, docker],
  overSsh: [packages, pulumi, providers, ssh],
};

const sets = {
  /** Pulumi's command line runs the program. */
  deploy: [...work.here, runtime],
  deployOverSsh: [...work.overSsh, runtime],
  /** It works from the state alone. */
  operate: work.here,
  operateOverSsh: work.overSsh,
  /** The program is run without the command line's runtime. */
  fleet: [packages, pulumi, dockerClient],
  rehearse: [packages, pulumi],
  test: [
    packages,
    pulumi,
    mosquitto,
    restic,
    victoriaMetrics,
    caddy,
    () => debian("busybox", ["busybox"]),
    python,
    () => debian("influxd", ["influxdb"]),
    () => debian("git", ["git"]),
    () => debian("sshd", ["openssh-server", "openssh-client"]),
    () => debian("jq", ["jq"]),
    () => debian("shellcheck", ["shellcheck"]),
    () => debian("docker-registry", ["docker-registry"]),
    telegraf,
    actionlint,
    zizmor,
    gitlab,
  ],
} satisfies Record<string, Make[]>;

/** Sets whose parts do not need each other. */
const atOnce: readonly (keyof typeof sets)[] = ["test"];

/** One line for a person. */
export const describePart = ({ name, state, note }: Part) => `${state.padEnd(9)} ${name}: ${note}`;

/**
 * Makes sure of what a command needs, and prints one line for each part: to standard error, for
 * standard output may be a report.
 * @param engine address of the Docker engine. Default: this environment's.
 * @returns whether all is there.
 */
export async function setUp(purpose: keyof typeof sets, engine?: string): Promise<boolean> {
  let complete = true;
  const parts: Make[] = sets[purpose];
  const begun = atOnce.includes(purpose) ? parts.map(async (make) => make(engine)) : [];
  for (const [i, make] of parts.entries()) {
    const part = await showProgress("setting up", begun[i] ?? Promise.resolve(make(engine)));
    console.error(describePart(part));
    complete &&= part.state !== "missing";
  }
  return complete;
}

/** Environment in which the project's own programs come first. */
export const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: [cache, process.env.PATH].join(delimiter),
});
