import { paths as influxdb } from "./influxdb";
import { bootLines } from "./prepare";
import { renderScript } from "./scripts";
import { quoted, type SshTarget, unreachableMessage } from "./ssh";
import { fillLevels, type Storage } from "./storage";
import { gigabytes } from "./units";

const KiB = 1024;

/** Disk space for the images, which take 2.5 GB unpacked. */
const imageBytes = 4e9;
/** Disk space for logs and InfluxDB's write-ahead log. */
const workBytes = 1e9;
const workInodes = 50_000;

/** What a site needs of its host. */
export interface HostRequirements {
  site: string;
  /** Ports that the site opens, each with its configuration key. */
  ports: { key: string; address: string; port: number }[];
  storage: Storage;
  /** Bytes that the site's data may take. */
  budget: number;
  /** Images that must be on the engine already. */
  images: string[];
  /** Sum of the containers' memory limits, in MiB. */
  memoryMiB: number;
  /** Whether `host.prepare` is still to run: what it mends is no error then. */
  preparing: boolean;
}

/** Lines of one kind that the script prints at most, such as listening sockets. */
const mostLines = 200;

/** A bash script that reads all that {@link checkHost} needs, in one go. It changes nothing. */
export const preflightScript = ({
  site,
  images,
}: Pick<HostRequirements, "site" | "images">): string =>
  renderScript("host-preflight.sh", {
    mostLines,
    site,
    sizeFile: influxdb.size,
    images: images.map((image) => ({ image: quoted(image) })),
  });

/** What the script has printed: the values of each key. */
export type PreflightOutput = Map<string, string[]>;

/** Parses what {@link preflightScript} has printed: a key, a tab and a value on each line. */
export function parsePreflight(text: string): PreflightOutput {
  const output: PreflightOutput = new Map();
  for (const line of text.split("\n")) {
    const tab = line.indexOf("\t");
    if (tab <= 0) continue;
    const key = line.slice(0, tab);
    output.set(key, [...(output.get(key) ?? []), line.slice(tab + 1).trim()]);
  }
  return output;
}

/** Whether a host can carry a site. */
export interface PreflightResult {
  /** Why it cannot, each with a remedy. */
  errors: string[];
  /** What an operator should know, though the site can run. */
  warnings: string[];
}

/** Key of the line that is printed in place of the script's output if ssh fails: its exit code. */
export const unreachableMarker = "ssh";

/**
 * Checks the answer of a host to {@link preflightScript}.
 * @param now this machine's time, in seconds since 1970.
 */
export function evaluatePreflight(
  answer: { stdout: string; stderr: string },
  target: SshTarget,
  requirements: HostRequirements,
  now: number,
): PreflightResult {
  const output = parsePreflight(answer.stdout);
  if (output.has(unreachableMarker))
    return { errors: [unreachableMessage(target, answer.stderr)], warnings: [] };
  // Half an answer would look like a host that lacks the other half.
  if (!output.has("end"))
    return {
      errors: ["its answer broke off: check the link, and run the same command again"],
      warnings: [],
    };
  return checkHost(output, requirements, now);
}

/** The error message for a host that cannot carry its site. */
export const preflightErrorMessage = (engine: string, site: string, errors: string[]): string =>
  [
    `The host ${engine} cannot carry the site ${site}, and no container was touched:`,
    ...errors.map((error) => `  - ${error}`),
  ].join("\n");

interface Problem {
  message: string;
  /** Whether `host.prepare` mends it. Default: false. */
  mended?: boolean;
}

/**
 * Checks a host.
 * @param now this machine's time, in seconds since 1970.
 */
export function checkHost(
  output: PreflightOutput,
  requirements: HostRequirements,
  now: number,
): PreflightResult {
  const problems = [
    ...checkSystem(output),
    ...checkKernel(output),
    ...checkClock(output, now),
    ...checkDocker(output),
    ...checkDisk(output, requirements.storage, now),
    ...checkPorts(output, requirements),
    ...checkImages(output),
    ...checkPower(output),
    ...(requirements.preparing ? checkSudo(output) : []),
  ];
  const errors = problems.filter(({ mended }) => !(mended && requirements.preparing));
  return {
    errors: errors.map(({ message }) => message),
    warnings: [
      ...(requirements.preparing ? [] : orderWarnings(output)),
      ...powerWarnings(output),
      ...memoryWarnings(output, requirements),
      ...fillWarnings(output, requirements),
    ],
  };
}

const valueOf = (output: PreflightOutput, key: string) => output.get(key)?.[0] ?? "";
const numberOf = (output: PreflightOutput, key: string) =>
  Number.parseInt(valueOf(output, key), 10);

const reflash = "write Raspberry Pi OS Lite (64-bit) or Debian 12 or 13 to the card";

function checkSystem(output: PreflightOutput): Problem[] {
  const [id = "", version = "", ...name] = valueOf(output, "system").split(" ");
  const title = name.join(" ") || id || "unknown";
  const machine = valueOf(output, "machine");
  const problems: Problem[] = [];
  if (!["aarch64", "x86_64"].includes(machine))
    problems.push({
      message: `its processor is run as ${machine}, for which there are no images: ${reflash}`,
    });
  if (machine === "aarch64" && valueOf(output, "bits") === "32")
    problems.push({
      message: `its programs are of 32 bits under a kernel of 64: ${reflash}`,
    });
  if (id !== "debian" || !["12", "13"].includes(version))
    problems.push({
      message: `its system is ${title}, which is not tested: ${reflash}`,
    });
  return problems;
}

function checkKernel(output: PreflightOutput): Problem[] {
  const page = numberOf(output, "page");
  const problems: Problem[] = [];
  if (page !== 4096)
    problems.push({
      message:
        `its kernel has pages of ${page / KiB} KiB, with which InfluxDB 3 aborts: ` +
        `add the line ${bootLines.config} to /boot/firmware/config.txt and reboot`,
      mended: true,
    });
  if (!valueOf(output, "controllers").split(" ").includes("memory"))
    problems.push({
      message:
        "its kernel has no memory cgroup, so memory limits would do nothing: " +
        `add ${bootLines.cmdline} to the line in /boot/firmware/cmdline.txt and reboot`,
      mended: true,
    });
  return problems;
}

/** Seconds that a host's clock may be off; reading it over a slow link takes some of them. */
const mostSkew = 15;

function checkClock(output: PreflightOutput, now: number): Problem[] {
  const skew = Math.round(numberOf(output, "clock") - now);
  const off = Math.abs(skew) > mostSkew;
  if (!off && valueOf(output, "synchronised") !== "no") return [];
  const state = off
    ? `its clock is ${Math.abs(skew)} s ${skew > 0 ? "ahead of" : "behind"} this machine's`
    : "its clock is not synchronised";
  return [
    {
      message:
        `${state}, and messages without a time of their own would be stored wrongly: ` +
        "run sudo timedatectl set-ntp true there and check timedatectl on both",
      mended: !off,
    },
  ];
}

function orderWarnings(output: PreflightOutput): string[] {
  if (valueOf(output, "ordered") === "yes") return [];
  return [
    "its Docker does not wait for the clock at a start, so its containers may begin in the past: " +
      "set host.prepare: true, or let it wait by hand (docs/raspberry-pi.md)",
  ];
}

/** Oldest Docker Engine that the components are tested on. */
const oldestDocker = { major: 20, minor: 10 };

// The answer to docker version is the version, or an error message.
const lacksDocker = (answer: string) =>
  /not found|no such file/i.test(answer) && !/docker\.sock/.test(answer);

function dockerVersion(answer: string): { major: number; minor: number } | undefined {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(answer) ?? [];
  return major === undefined ? undefined : { major: Number(major), minor: Number(minor) };
}

function checkDocker(output: PreflightOutput): Problem[] {
  const answer = valueOf(output, "docker");
  const version = dockerVersion(answer);
  if (version) return checkDockerVersion(answer, version);
  const user = valueOf(output, "user");
  if (/permission denied/i.test(answer))
    return [
      {
        message:
          `${user} may not use its Docker Engine: ` +
          `run sudo usermod -aG docker ${user} there, and log in anew`,
        mended: true,
      },
    ];
  if (lacksDocker(answer))
    return [
      {
        message: "it has no Docker: set host.prepare: true, or install it (docs/raspberry-pi.md)",
        mended: true,
      },
    ];
  return [
    {
      message:
        `its Docker Engine does not answer (${answer || "no answer in 30 s"}): ` +
        "check sudo systemctl status docker there",
      mended: true,
    },
  ];
}

function checkDockerVersion(
  answer: string,
  { major, minor }: { major: number; minor: number },
): Problem[] {
  const oldest = oldestDocker;
  if (major > oldest.major || (major === oldest.major && minor >= oldest.minor)) return [];
  return [
    {
      message:
        `its Docker Engine is ${answer}, older than ${oldest.major}.${oldest.minor}: ` +
        "remove it, and install Docker's own package (docs/raspberry-pi.md)",
    },
  ];
}

function checkDisk(
  output: PreflightOutput,
  { telemetry, queue, inodes, retention }: Storage,
  now: number,
): Problem[] {
  const [freeBytes = NaN, allInodes = NaN, freeInodes = NaN] = valueOf(output, "disk")
    .split(/\s+/)
    .map(Number);
  const created = numberOf(output, "since");
  // What a site has stored already is no longer free, and need not be.
  const exists = !Number.isNaN(created);
  const toCome = exists ? Math.max(0, 1 - (now - created) / retention) : 1;
  const bytesNeeded = telemetry * toCome + workBytes + (exists ? 0 : queue + imageBytes);
  const inodesNeeded = Math.ceil(inodes * toCome + workInodes);
  const days = Math.round(retention / 86400);
  const tooSmall = (free: string, needed: string) =>
    `its disk has ${free} free, and ${days} days of this model need ${needed}: ` +
    "shorten retention, or use a larger disk";
  const problems: Problem[] = [];
  if (!(freeBytes >= bytesNeeded))
    problems.push({ message: tooSmall(gigabytes(freeBytes), gigabytes(bytesNeeded)) });
  // A file system such as btrfs makes inodes as it needs them, and reports none.
  if (allInodes !== 0 && !(freeInodes >= inodesNeeded))
    problems.push({
      message:
        `${tooSmall(`${freeInodes} inodes`, `${inodesNeeded}`)}, ` +
        "or make the file system with more of them (mkfs.ext4 -T news)",
    });
  return problems;
}

/** Warns where the disk, or the site's part of it, is nearly full. */
function fillWarnings(
  output: PreflightOutput,
  { site, storage, budget }: Pick<HostRequirements, "site" | "storage" | "budget">,
): string[] {
  const [free = NaN, , , used = NaN] = valueOf(output, "disk").split(/\s+/).map(Number);
  const data = numberOf(output, "data") + storage.queue;
  return [
    ...fillWarning("its disk", used, used + free),
    ...fillWarning(`the data of ${site}`, data, budget),
  ];
}

function fillWarning(what: string, used: number, all: number): string[] {
  const percent = Math.floor((100 * used) / all);
  if (!(percent >= fillLevels.warning)) return [];
  const urgency =
    percent >= fillLevels.critical ? "act now, for nothing is stored on a full disk: " : "";
  return [
    `${what} takes ${gigabytes(used)} of ${gigabytes(all)}, ${percent} %: ` +
      `${urgency}shorten retention, or use a larger disk`,
  ];
}

const isWildcard = (address: string) => ["0.0.0.0", "*", "::"].includes(address);

/**
 * Whether two addresses cannot both have one port. ss prints * for a socket of both IP versions,
 * and [::] for one of IPv6 alone.
 */
function overlap(one: string, other: string): boolean {
  const bothVersions = one === "*" || other === "*";
  if (!bothVersions && one.includes(":") !== other.includes(":")) return false;
  return isWildcard(one) || isWildcard(other) || one === other;
}

/** An address and a port as ss and Docker print them. */
function parseAddress(text: string): { address: string; port: number } {
  const colon = text.lastIndexOf(":");
  return {
    address: text.slice(0, colon).replace(/^\[|\]$|%.*$/g, ""),
    port: Number(text.slice(colon + 1)),
  };
}

/** A line of `docker ps`: site, name and published ports, such as `0.0.0.0:1883->1883/tcp`. */
function parseContainer(line: string): { site: string; name: string; ports: number[] } {
  const [site = "", name = "", published = ""] = line.split("|");
  const hostSides = published.split(", ").flatMap((entry) => {
    const arrow = entry.indexOf("->");
    return arrow === -1 ? [] : [entry.slice(0, arrow)];
  });
  return { site, name, ports: hostSides.map((address) => parseAddress(address).port) };
}

function checkPorts(output: PreflightOutput, { site, ports }: HostRequirements): Problem[] {
  // An engine that does not answer may hold them for this very site.
  const docker = valueOf(output, "docker");
  if (!dockerVersion(docker) && !lacksDocker(docker)) return [];
  const containers = (output.get("container") ?? []).map(parseContainer);
  const listening = (output.get("listens") ?? []).map(parseAddress);
  return ports.flatMap(({ key, address, port }) => {
    const taken = listening.some((other) => other.port === port && overlap(other.address, address));
    const holder = containers.find((container) => container.ports.includes(port));
    if (!taken || holder?.site === site) return [];
    const by = holder ? ` by the container ${holder.name}` : "";
    const message =
      `its port ${port} is taken${by}: ` +
      `stop what listens there (sudo ss -ltnp 'sport = :${port}'), or change ${key}`;
    return [{ message }];
  });
}

function checkImages(output: PreflightOutput): Problem[] {
  const missing = output.get("lacks") ?? [];
  if (missing.length === 0 || !dockerVersion(valueOf(output, "docker"))) return [];
  return [
    {
      message:
        `its engine lacks ${missing.join(", ")}, and images.pull is never: ` +
        "run npx bess images load --stack with this site's stack",
    },
  ];
}

/** Bits of `vcgencmd get_throttled`. */
const underVoltage = { now: 1 << 0, sinceBoot: 1 << 16 } as const;

const throttledBits = (output: PreflightOutput) => Number(valueOf(output, "throttled") || 0);
const betterSupply = "use the Raspberry Pi's own supply and a short cable";

function checkPower(output: PreflightOutput): Problem[] {
  if (!(throttledBits(output) & underVoltage.now)) return [];
  return [
    {
      message:
        "its supply voltage is too low now, which damages what is written to a card: " +
        betterSupply,
    },
  ];
}

function powerWarnings(output: PreflightOutput): string[] {
  const bits = throttledBits(output);
  const uptime = numberOf(output, "uptime");
  const up = uptime < 3600 ? `${Math.floor(uptime / 60)} min` : `${Math.floor(uptime / 3600)} h`;
  const warnings: string[] = [];
  if (bits & underVoltage.sinceBoot && !(bits & underVoltage.now))
    warnings.push(`its supply voltage was too low since it started ${up} ago: ${betterSupply}`);
  if (uptime < 120)
    warnings.push(
      `it started ${uptime} s ago; if nobody restarted it, look at journalctl -b -1 -e`,
    );
  return warnings;
}

function memoryWarnings(output: PreflightOutput, { memoryMiB }: HostRequirements): string[] {
  const total = Math.round(numberOf(output, "memory") / KiB);
  if (total >= memoryMiB) return [];
  return [
    `it has ${total} MiB of memory, and the profile's limits add up to ${memoryMiB} MiB: ` +
      "choose a smaller profile",
  ];
}

function checkSudo(output: PreflightOutput): Problem[] {
  if (valueOf(output, "sudo") === "yes") return [];
  const user = valueOf(output, "user");
  return [
    {
      message:
        `${user} may not use sudo without a password, which host.prepare needs: ` +
        `run echo '${user} ALL=(ALL) NOPASSWD: ALL' | sudo tee /etc/sudoers.d/010_${user} there, ` +
        "or prepare it by hand (docs/raspberry-pi.md)",
    },
  ];
}
