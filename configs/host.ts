import { z } from "zod";
import type { Model } from "./model";
import { renderScript } from "./scripts";
import { quoted, type Reach, unreachable } from "./ssh";
import { durationSeconds } from "./units";

// YAML reads an id of digits as a number, and drops its leading zeros.
const idRule = 'write four hex digits in quotes, such as "0403"';
const serialRule =
  "write the serial number in quotes, as udevadm info --attribute-walk shows ATTRS{serial}";
const usbId = z.string(idRule).regex(/^[0-9a-f]{4}$/, idRule);

/** What is done to the host of a site that is reached over SSH. */
export const hostSchema = z.strictObject({
  prepare: z
    .boolean()
    .default(false)
    .describe(
      "Whether `up` prepares the host: Docker Engine, its group and log limits, kernel " +
        "parameters and udev rules. The user of `engine` needs sudo without a password.",
    ),
  reboot: z
    .boolean()
    .default(false)
    .describe(
      "Whether `host.prepare` may reboot the host after a change of its kernel parameters.",
    ),
  updates: z
    .boolean()
    .default(false)
    .describe("Whether `host.prepare` turns on unattended security updates."),
  udev: z
    .array(
      z.strictObject({
        symlink: z
          .string()
          .regex(
            /^[A-Za-z][\w-]{0,31}$/,
            "write letters, digits, _ and -, starting with a letter, at most 32",
          )
          .meta({ description: "Name of the link in /dev.", examples: ["bms"] }),
        vendor: usbId.meta({
          description: "USB vendor id, as lsusb shows it.",
          examples: ["0403"],
        }),
        product: usbId.meta({
          description: "USB product id, as lsusb shows it.",
          examples: ["6001"],
        }),
        serial: z
          .string(serialRule)
          .regex(/^[\w.:-]+$/, serialRule)
          .optional()
          .meta({
            description: "Serial number of the adapter. Without it, any adapter with these ids.",
            examples: ["A50285BI"],
          }),
      }),
    )
    .default([])
    .describe("Stable names of USB serial adapters."),
});

/** How a host is to be prepared. */
export type HostConfig = z.output<typeof hostSchema>;
/** One USB serial adapter's stable name. */
export type UdevRule = HostConfig["udev"][number];

const GiB = 2 ** 30;
const KiB = 1024;

/** What keeping a site's data takes on disk. */
export interface Storage {
  bytes: number;
  inodes: number;
  /** How long it grows, in seconds. */
  retention: number;
}

/**
 * Bytes of a stored field. Measured on InfluxDB 3.10.1 with three decimals of noise, the least compressible that a
 * meter sends: 35 bytes for a message of 4.7 fields, its time and tags included.
 */
const bytesPerField = 8;

/**
 * What a model's data takes over the retention: InfluxDB keeps a folder with a Parquet file for each table and ten
 * minutes. A quarter is added for files that are not yet merged.
 * @param messageRate messages a second of all units together; they are shared out by the model's intervals.
 */
export function storage(model: Model, messageRate: number, retention: string): Storage {
  const seconds = durationSeconds(retention);
  const rates = model.measurements.map((m) => ({
    fields: m.fields.length,
    rate: 1 / durationSeconds(m.interval),
  }));
  const total = rates.reduce((sum, m) => sum + m.rate, 0);
  const fieldsPerMessage = rates.reduce((sum, m) => sum + (m.fields * m.rate) / total, 0);
  const files = Math.ceil(seconds / 600) * model.measurements.length;
  return {
    bytes: Math.ceil(
      1.25 * (messageRate * seconds * fieldsPerMessage * bytesPerField + files * 6 * KiB),
    ),
    inodes: Math.ceil(1.25 * files * 2),
    retention: seconds,
  };
}

/** Room for images, logs and the write-ahead log: the images take 2.5 GB unpacked. */
const imageRoom = 4 * GiB;
const workRoom = GiB;
const workInodes = 50_000;

/** What a stack asks of its host. */
export interface Required {
  site: string;
  /** Ports that the site opens, by their key. */
  ports: { key: string; address: string; port: number }[];
  storage: Storage;
  /** Images that must be on the engine already. */
  images: string[];
  /** Memory that the containers may take together, in MiB. */
  memoryMiB: number;
  /** Whether prepare may still mend what it can. */
  preparing: boolean;
}

/** Lines of `ss`, images and the like that are read at most. */
const mostLines = 200;

/** A bash script that reads, in one go, all that {@link findings} judges; it changes nothing. */
export const preflightScript = ({ site, images }: Pick<Required, "site" | "images">): string =>
  renderScript("host-preflight.sh", {
    mostLines,
    site,
    images: images.map((image) => ({ image: quoted(image) })),
  });

/** What the script has read: every value of each key. */
export type Facts = Map<string, string[]>;

/** The script's output, taken apart. */
export function parseFacts(text: string): Facts {
  const facts: Facts = new Map();
  for (const line of text.split("\n")) {
    const tab = line.indexOf("\t");
    if (tab > 0)
      facts.set(line.slice(0, tab), [
        ...(facts.get(line.slice(0, tab)) ?? []),
        line.slice(tab + 1).trim(),
      ]);
  }
  return facts;
}

/** What was found on a host. */
export interface Findings {
  /** Why it cannot carry the site, each with what to do. */
  refused: string[];
  /** What does not keep it from that, but should be known. */
  noted: string[];
}

/** Mark of a host that was not reached: it stands in the answer's place, with ssh's exit code. */
export const unreachedSign = "ssh";

/**
 * Judges what a host has answered to {@link preflightScript}.
 * @param now this machine's time, in seconds since 1970.
 */
export function judge(
  answer: { stdout: string; stderr: string },
  reach: Reach,
  required: Required,
  now: number,
): Findings {
  if (new RegExp(`^${unreachedSign}\t`, "m").test(answer.stdout))
    return { refused: [unreachable(reach, answer.stderr)], noted: [] };
  const facts = parseFacts(answer.stdout);
  // What is missing from half an answer would be taken for what is not there.
  if (!facts.has("end"))
    return {
      refused: ["its answer broke off: look at the link, and run the same command again"],
      noted: [],
    };
  return findings(facts, required, now);
}

/** What a person is told of a host that is refused. */
export const refusal = (engine: string, site: string, reasons: string[]): string =>
  `The host ${engine} cannot carry the site ${site}, and no container was touched:\n${reasons.map((reason) => `  - ${reason}`).join("\n")}`;

/** One finding; `prepared`: prepare mends it. */
interface Finding {
  text: string;
  prepared?: boolean;
}

/**
 * Judges a host.
 * @param now this machine's time, in seconds since 1970.
 */
export function findings(facts: Facts, required: Required, now: number): Findings {
  const all = [
    ...system(facts),
    ...kernel(facts),
    ...clock(facts, now),
    ...docker(facts),
    ...disk(facts, required.storage, now),
    ...ports(facts, required),
    ...images(facts),
    ...power(facts).refused,
    ...(required.preparing ? sudo(facts) : []),
  ];
  const refused = all
    .filter((found) => !(found.prepared && required.preparing))
    .map((found) => found.text);
  return { refused, noted: [...power(facts).noted, ...memory(facts, required)] };
}

const fact = (facts: Facts, key: string) => facts.get(key)?.[0] ?? "";
const numeric = (facts: Facts, key: string) => Number.parseInt(fact(facts, key), 10);

const reflash = "write Raspberry Pi OS Lite (64-bit) or Debian 12 or 13 to the card";

function system(facts: Facts): Finding[] {
  const [id, version, ...name] = fact(facts, "system").split(" ");
  const machine = fact(facts, "machine");
  const shown = name.join(" ") || id || "unknown";
  return [
    ...(["aarch64", "x86_64"].includes(machine)
      ? []
      : [
          { text: `its processor is run as ${machine}, for which there are no images: ${reflash}` },
        ]),
    ...(machine === "aarch64" && fact(facts, "bits") === "32"
      ? [{ text: `its programs are of 32 bits under a kernel of 64: ${reflash}` }]
      : []),
    ...(id === "debian" && ["12", "13"].includes(version)
      ? []
      : [{ text: `its system is ${shown}, on which nothing is tried: ${reflash}` }]),
  ];
}

function kernel(facts: Facts): Finding[] {
  const page = numeric(facts, "page");
  const pages = `its kernel has pages of ${page / KiB} KiB, with which InfluxDB 3 aborts: add the line ${bootLines.config} to /boot/firmware/config.txt and reboot`;
  const cgroup = `its kernel has no memory cgroup, so memory limits would do nothing: add ${bootLines.cmdline} to the line in /boot/firmware/cmdline.txt and reboot`;
  return [
    ...(page === 4096 ? [] : [{ text: pages, prepared: true }]),
    ...(fact(facts, "controllers").split(" ").includes("memory")
      ? []
      : [{ text: cgroup, prepared: true }]),
  ];
}

/** What a Raspberry Pi's boot files need: the kernel with pages of 4 KiB, and memory limits. */
export const bootLines = {
  config: "kernel=kernel8.img",
  cmdline: "cgroup_enable=memory cgroup_memory=1",
} as const;

/** Seconds that a host's clock may be off; reading it over a slow link takes some of them. */
const mostSkew = 15;

function clock(facts: Facts, now: number): Finding[] {
  const skew = Math.round(numeric(facts, "clock") - now);
  const off = Math.abs(skew) > mostSkew;
  const unsynchronised = fact(facts, "synchronised") === "no";
  if (!off && !unsynchronised) return [];
  const what = off
    ? `its clock is ${Math.abs(skew)} s ${skew > 0 ? "ahead of" : "behind"} this machine's`
    : "its clock is not synchronised";
  const remedy = "run sudo timedatectl set-ntp true there and check timedatectl on both";
  return [
    {
      text: `${what}, and messages without a time of their own would be stored wrongly: ${remedy}`,
    },
  ];
}

/** Oldest Docker Engine that the components are tried on. */
const oldestDocker = [20, 10];

// The answer to docker version is the version, or what went wrong.
const lacksDocker = (said: string) =>
  /not found|no such file/i.test(said) && !/docker\.sock/.test(said);
const dockerVersion = (said: string) => /^(\d+)\.(\d+)/.exec(said)?.slice(1).map(Number);

function docker(facts: Facts): Finding[] {
  const said = fact(facts, "docker");
  const [major, minor] = dockerVersion(said) ?? [];
  const user = fact(facts, "user");
  if (major !== undefined) {
    if (major > oldestDocker[0] || (major === oldestDocker[0] && minor >= oldestDocker[1]))
      return [];
    return [
      {
        text: `its Docker Engine is ${said}, older than ${oldestDocker.join(".")}: remove it, and install Docker's own package (docs/raspberry-pi.md)`,
      },
    ];
  }
  const outside = `${user} may not use its Docker Engine: run sudo usermod -aG docker ${user} there, and log in anew`;
  if (/permission denied/i.test(said)) return [{ text: outside, prepared: true }];
  if (lacksDocker(said))
    return [
      {
        text: "it has no Docker: set host.prepare: true, or install it (docs/raspberry-pi.md)",
        prepared: true,
      },
    ];
  return [
    {
      text: `its Docker Engine does not answer (${said || "no answer in 30 s"}): look at sudo systemctl status docker there`,
      prepared: true,
    },
  ];
}

const size = (bytes: number) => `${(bytes / GiB).toFixed(1)} GiB`;

function disk(facts: Facts, { bytes, inodes, retention }: Storage, now: number): Finding[] {
  const [free, inodesInAll, inodesFree] = fact(facts, "disk").split(/\s+/).map(Number);
  const since = numeric(facts, "since");
  // What a site has stored already is no longer free, and need not be.
  const begun = !Number.isNaN(since);
  const left = begun ? Math.max(0, 1 - (now - since) / retention) : 1;
  const bytesNeeded = bytes * left + workRoom + (begun ? 0 : imageRoom);
  const inodesNeeded = inodes * left + workInodes;
  const days = Math.round(retention / 86400);
  const remedy = `shorten retention, or use a larger disk`;
  const short = (has: string, needs: string) =>
    `its disk has ${has} free, and ${days} days of this model need ${needs}: ${remedy}`;
  // A file system such as btrfs makes inodes as it needs them, and says that it has none.
  const enoughInodes = inodesInAll === 0 || inodesFree >= inodesNeeded;
  return [
    ...(free >= bytesNeeded ? [] : [{ text: short(size(free), size(bytesNeeded)) }]),
    ...(enoughInodes
      ? []
      : [
          {
            text: `${short(`${inodesFree} inodes`, `${Math.ceil(inodesNeeded)}`)}, or make the file system with more of them (mkfs.ext4 -T news)`,
          },
        ]),
  ];
}

const anywhere = (address: string) => ["0.0.0.0", "*", "::"].includes(address);

/** Whether two addresses cannot have one port. ss prints * for a socket of both families, and [::] for one of IPv6 alone. */
function clash(one: string, other: string): boolean {
  const apart = ![one, other].includes("*") && one.includes(":") !== other.includes(":");
  return !apart && (anywhere(one) || anywhere(other) || one === other);
}

/** An address and a port as ss and Docker print them. */
function endpoint(text: string): { address: string; port: number } {
  const colon = text.lastIndexOf(":");
  return {
    address: text.slice(0, colon).replace(/^\[|\]$|%.*$/g, ""),
    port: Number(text.slice(colon + 1)),
  };
}

function ports(facts: Facts, required: Required): Finding[] {
  // An engine that does not answer may hold them for this very site.
  const said = fact(facts, "docker");
  if (!dockerVersion(said) && !lacksDocker(said)) return [];
  const containers = (facts.get("container") ?? []).map((line) => {
    const [site, name, published = ""] = line.split("|");
    return {
      site,
      name,
      ports: published
        .split(", ")
        .flatMap((entry) => (entry.includes("->") ? [endpoint(entry.split("->")[0]).port] : [])),
    };
  });
  const listening = (facts.get("listens") ?? []).map(endpoint);
  return required.ports.flatMap(({ key, address, port }) => {
    const taken = listening.some((other) => other.port === port && clash(other.address, address));
    const holder = containers.find((container) => container.ports.includes(port));
    if (!taken || holder?.site === required.site) return [];
    const by = holder ? ` by the container ${holder.name}` : "";
    return [
      {
        text: `its port ${port} is taken${by}: stop what listens there (sudo ss -ltnp 'sport = :${port}'), or change ${key}`,
      },
    ];
  });
}

function images(facts: Facts): Finding[] {
  const lacking = facts.get("lacks") ?? [];
  if (lacking.length === 0 || !dockerVersion(fact(facts, "docker"))) return [];
  return [
    {
      text: `its engine lacks ${lacking.join(", ")}, and images.pull is never: run npm run images -- load --stack with this site's stack`,
    },
  ];
}

/** Bits of `vcgencmd get_throttled`. */
const underVoltage = { now: 1 << 0, sinceBoot: 1 << 16 } as const;

function power(facts: Facts): { refused: Finding[]; noted: string[] } {
  const throttled = Number(fact(facts, "throttled") || 0);
  const uptime = numeric(facts, "uptime");
  const up = uptime < 3600 ? `${Math.floor(uptime / 60)} min` : `${Math.floor(uptime / 3600)} h`;
  const supply = "use the Raspberry Pi's own supply and a short cable";
  const low = throttled & underVoltage.now;
  const wasLow = throttled & underVoltage.sinceBoot;
  return {
    refused: low
      ? [
          {
            text: `its supply voltage is too low now, which damages what is written to a card: ${supply}`,
          },
        ]
      : [],
    noted: [
      ...(wasLow && !low
        ? [`its supply voltage was too low since it started ${up} ago: ${supply}`]
        : []),
      ...(uptime < 120
        ? [`it started ${uptime} s ago; if nobody restarted it, look at journalctl -b -1 -e`]
        : []),
    ],
  };
}

function memory(facts: Facts, { memoryMiB }: Required): string[] {
  const has = Math.round(numeric(facts, "memory") / KiB);
  return has >= memoryMiB
    ? []
    : [
        `it has ${has} MiB of memory, and the profile's limits add up to ${memoryMiB} MiB: choose a smaller profile`,
      ];
}

function sudo(facts: Facts): Finding[] {
  const user = fact(facts, "user");
  if (fact(facts, "sudo") === "yes") return [];
  const remedy = `run echo '${user} ALL=(ALL) NOPASSWD: ALL' | sudo tee /etc/sudoers.d/010_${user} there, or prepare it by hand (docs/raspberry-pi.md)`;
  return [
    { text: `${user} may not use sudo without a password, which host.prepare needs: ${remedy}` },
  ];
}
