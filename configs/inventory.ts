import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  isMap,
  isNode,
  isScalar,
  LineCounter,
  parse as parseYaml,
  parseDocument,
  stringify,
  type YAMLMap,
} from "yaml";
import { z } from "zod";
import { InputError, validate } from "./validation";
import { parseSite, secretKeys, type SiteConfig, siteSchema } from "./site";
import type { Allowances } from "../policy";

const root = join(__dirname, "..");

/** The fleet's inventory, relative to the project. */
export const inventoryFile = "fleet/fleet.yaml";

/** Part of a stack's `bess-telemetry:site`, as a person writes it. */
type Settings = Record<string, unknown>;

/** Labels of a site, such as `{ region: north }`. */
export type Labels = Record<string, string>;

const word = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,30}$/, "write lower case letters, digits and -, at most 31");
const labels = z.record(word, word);
const { name: siteName, engine, ...shareable } = siteSchema.shape;

/** What a site, a default or an override may set: keys of `bess-telemetry:site`. */
const shared = z.strictObject(shareable);

/** The same, with values that are checked later: a site's as a whole, with all that it is set to elsewhere. */
const settings = Object.fromEntries(
  Object.keys(shareable).map((key) => [key, z.unknown().optional()]),
);

/** The inventory's schema; docs/inventory.md is generated from it. */
export const fleetSchema = z.strictObject({
  allow: z
    .strictObject({
      offLoopback: z
        .array(
          z
            .string()
            .regex(
              /^[a-z0-9-]+:\d+$/,
              "write a container's host name and its own port, such as grafana:3000",
            ),
        )
        .default([])
        .describe("Ports that other hosts may reach, beside MQTT."),
      deletedVolumes: z
        .array(z.string())
        .default([])
        .describe("Volumes that may be deleted with their data."),
    })
    .prefault({})
    .describe("What is allowed beyond the rules of policy/."),
  labels: z
    .record(word, z.array(word).min(1, "list at least one value"))
    .describe("Every label, and the values it may have."),
  defaults: z.strictObject(settings).default({}).describe("Settings of every site."),
  overrides: z
    .array(
      z.strictObject({
        when: labels.describe("Labels that a site must have, all of them."),
        set: z.strictObject(settings).describe("What these sites are set to."),
      }),
    )
    .default([])
    .describe("Settings of the sites with given labels; a later one wins over an earlier one."),
  waves: z
    .array(
      z
        .strictObject({
          name: word.describe("Name of the wave."),
          when: labels.optional().describe("Takes the sites with all these labels."),
          share: z
            .string()
            .regex(/^([1-9]\d?|100) ?%$/, "write a share such as 10%")
            .optional()
            .describe(
              "Takes this share of the whole fleet, chosen by a hash of the names, and at least one site.",
            ),
        })
        .refine(
          (wave) => !(wave.when && wave.share),
          "give either when or share, or neither for all that are left",
        ),
    )
    .min(1, "name at least one wave")
    .describe(
      "In the order of a rollout. A site belongs to the first that takes it; one without when and share takes all that are left.",
    ),
  sites: z
    .record(
      siteName,
      z.strictObject({
        ...settings,
        engine: engine.unwrap().describe("Docker engine of the site; no two sites share a host."),
        labels: labels.default({}).describe("Its labels; each must be declared."),
        stack: word.optional().describe("Default: the site's name."),
      }),
    )
    .describe("The sites by name, a line each."),
});

type Inventory = z.output<typeof fleetSchema>;
type Wave = Inventory["waves"][number];

/** One site of the fleet. */
export interface FleetSite {
  name: string;
  /** Its Pulumi stack. */
  stack: string;
  /** Docker engine that it is deployed on. */
  engine: string;
  labels: Labels;
  wave: string;
  /** Its `bess-telemetry:site` as the inventory has it, without what its stack's file adds. */
  settings: Settings;
  /** The same, validated and with all defaults. */
  config: SiteConfig;
}

/** The fleet, each site with all that the inventory says of it. */
export interface Fleet {
  /** What the fleet allows itself beyond the rules of policy/. */
  allow: Allowances;
  /** Names, in the order of a rollout. */
  waves: string[];
  /** In the order of the file. */
  sites: FleetSite[];
}

const isSettings = (value: unknown): value is Settings =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Settings over others: objects are joined key by key, anything else is replaced. */
const over = (base: Settings, top: Settings): Settings =>
  Object.entries(top).reduce((joined, [key, value]) => {
    const below = joined[key];
    return {
      ...joined,
      [key]: isSettings(value) && isSettings(below) ? over(below, value) : value,
    };
  }, base);

const matches = (site: Labels, when: Labels) =>
  Object.entries(when).every(([label, value]) => site[label] === value);

/** A name's place in the order that shares are cut from: the same on every machine, and no matter where in the file it stands. */
const place = (name: string) => createHash("sha256").update(name).digest("hex");

/**
 * The wave of each site that one takes. A share is counted over the whole fleet and rounded up; a site more or less
 * moves at most one other across the end of each share.
 */
function wavesOf(
  waves: readonly Wave[],
  sites: readonly { name: string; labels: Labels }[],
): Map<string, string> {
  const taken = new Map<string, string>();
  const drawn = [...sites].sort((a, b) => (place(a.name) < place(b.name) ? -1 : 1));
  for (const { name, when, share } of waves) {
    const left = drawn.filter((site) => !taken.has(site.name));
    const takes = when
      ? left.filter((site) => matches(site.labels, when))
      : share
        ? left.slice(0, Math.ceil((sites.length * parseInt(share, 10)) / 100))
        : left;
    for (const site of takes) taken.set(site.name, name);
  }
  return taken;
}

/** What an engine's address says of the host: two users of one host are one host. */
const hostOf = (address: string) => address.replace(/^ssh:\/\/[^@]*@/, "ssh://");

/** Sites that share what no two may. `same` tells when two values are one. */
function duplicates(
  what: "stack" | "engine",
  sites: readonly Record<"name" | "stack" | "engine", string>[],
  same = (value: string) => value,
): string[] {
  const first = new Map<string, string>();
  return sites.flatMap(({ name, [what]: value }) => {
    const other = first.get(same(value));
    if (other === undefined) first.set(same(value), name);
    return other === undefined
      ? []
      : [
          `sites.${name}.${what} is "${value}": site ${other} has it already; every site needs its own`,
        ];
  });
}

/** Labels that are not declared, wherever they are written. */
function unknownLabels(
  declared: Inventory["labels"],
  written: [key: string, labels: Labels][],
): string[] {
  return written.flatMap(([key, found]) =>
    Object.entries(found).flatMap(([label, value]) => {
      if (!Object.hasOwn(declared, label))
        return [
          `${key}.${label} is no known label; allowed here: ${Object.keys(declared).join(", ") || "none, for labels is empty"}`,
        ];
      return declared[label].includes(value)
        ? []
        : [`${key}.${label} is "${value}": allowed here: ${declared[label].join(", ")}`];
    }),
  );
}

function labelFindings({ labels: declared, overrides, waves, sites }: Inventory): string[] {
  return unknownLabels(declared, [
    ...overrides.map(({ when }, i): [string, Labels] => [`overrides[${i}].when`, when]),
    ...waves.map(({ when = {} }, i): [string, Labels] => [`waves[${i}].when`, when]),
    ...Object.entries(sites).map(([name, site]): [string, Labels] => [
      `sites.${name}.labels`,
      site.labels,
    ]),
  ]);
}

function waveFindings({ waves, sites }: Inventory, taken: Map<string, string>): string[] {
  const rest = waves.findIndex(({ when, share }) => !when && !share);
  const shares = waves.reduce((sum, { share }) => sum + (share ? parseInt(share, 10) : 0), 0);
  return [
    ...waves.flatMap(({ name }, i) =>
      waves.findIndex((wave) => wave.name === name) < i
        ? [`waves[${i}].name is "${name}": an earlier wave has this name; every wave needs its own`]
        : [],
    ),
    ...(rest >= 0 && rest < waves.length - 1
      ? [`waves[${rest}] is "${waves[rest].name}", which takes all that are left: put it last`]
      : []),
    ...(shares > 100 ? [`waves have shares of ${shares}% together: at most 100% is allowed`] : []),
    ...Object.keys(sites).flatMap((name) =>
      taken.has(name)
        ? []
        : [
            `sites.${name} is in no wave: label it for one, or end waves with one that has neither when nor share`,
          ],
    ),
  ];
}

/** Findings in the settings, each told where it was written: in the defaults, an override, or a site. */
function settingFindings(inventory: Inventory): string[] {
  const told = new Set<string>();
  // What a default needs beside it, a site may have from elsewhere: ssh an engine, for instance.
  const written: [key: string, check: () => unknown][] = [
    ["defaults", () => validate(shared, inventory.defaults, inventoryFile, secretKeys)],
    ...inventory.overrides.map(({ set }, i): [string, () => unknown] => [
      `overrides[${i}].set`,
      () => validate(shared, set, inventoryFile, secretKeys),
    ]),
    ...Object.keys(inventory.sites).map((name): [string, () => unknown] => [
      `sites.${name}`,
      () => parseSite(settingsOf(inventory, name)),
    ]),
  ];
  return written.flatMap(([key, check]) =>
    findingsOf(check).flatMap((finding) => {
      if (told.has(finding)) return [];
      told.add(finding);
      return [`${key}.${finding}`];
    }),
  );
}

function findingsOf(check: () => unknown): string[] {
  try {
    check();
    return [];
  } catch (error) {
    if (error instanceof InputError) return error.findings;
    throw error;
  }
}

/** A site's settings: the defaults, each override by its labels, and its own. */
function settingsOf({ defaults, overrides, sites }: Inventory, name: string): Settings {
  const { labels: own, stack: _, ...site } = sites[name];
  const layers = [
    defaults,
    ...overrides.filter(({ when }) => matches(own, when)).map(({ set }) => set),
    site,
  ];
  return layers.reduce<Settings>(over, { name });
}

/**
 * The fleet that an inventory describes.
 * @param input the inventory as YAML reads it.
 * @param source what an error calls it.
 * @throws InputError with every finding: the key, its value and what is allowed.
 */
export function parseFleet(input: unknown, source = inventoryFile): Fleet {
  const inventory = validate(fleetSchema, input, source, secretKeys);
  const sites = Object.entries(inventory.sites).map(([name, site]) => ({
    name,
    stack: site.stack ?? name,
    engine: site.engine,
    labels: site.labels,
  }));
  const taken = wavesOf(inventory.waves, sites);
  const findings = [
    ...duplicates("stack", sites),
    ...duplicates("engine", sites, hostOf),
    ...labelFindings(inventory),
    ...waveFindings(inventory, taken),
    ...settingFindings(inventory),
  ];
  if (findings.length > 0) throw new InputError(source, findings);
  return {
    allow: inventory.allow,
    waves: inventory.waves.map(({ name }) => name),
    sites: sites.map((site) => {
      const found = settingsOf(inventory, site.name);
      return { ...site, wave: taken.get(site.name)!, settings: found, config: parseSite(found) };
    }),
  };
}

/**
 * Reads the fleet.
 * @param file path of the inventory. Default: the project's.
 * @throws InputError if it cannot be read, is no YAML, or breaks a rule of {@link parseFleet}.
 */
export function loadFleet(file = join(root, inventoryFile)): Fleet {
  const source = file.startsWith(root) ? file.slice(root.length + 1) : file;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new InputError(source, [(error as Error).message]);
  }
  return parseFleet(documentOf(text, source).toJS(), source);
}

/** The inventory with its comments and order. @throws InputError if it is no YAML, or declares a name twice. */
function documentOf(text: string, source: string) {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length === 0) return document;
  const findings = document.errors.map(({ code, message, pos: [at] }) => {
    const key = /^[^\s:#]+/.exec(text.slice(at))?.[0];
    return `line ${lines.linePos(at).line}: ${code === "DUPLICATE_KEY" ? `"${key}" is declared twice; every name is allowed once` : message}`;
  });
  throw new InputError(source, findings);
}

/** What a new site's line says, beside its name. */
export interface NewSite extends Settings {
  engine: string;
  labels: Labels;
  stack?: string;
}

/**
 * The inventory's text with one more site at the end of `sites`; comments and order stay.
 * @throws InputError if the fleet with it breaks a rule of {@link parseFleet}: a host that is taken for instance.
 */
export function addSite(text: string, name: string, site: NewSite, source = inventoryFile): string {
  const document = documentOf(text, source);
  const sites = document.get("sites");
  if (!isMap(sites))
    throw new InputError(source, ["sites is missing: write a map of sites by name"]);
  if (sites.items.some(({ key }) => String(isScalar(key) ? key.value : key) === name))
    throw new InputError(source, [
      `sites.${name} is declared already; every site needs its own name`,
    ]);
  const line = `${name}: ${stringify(site, { collectionStyle: "flow", lineWidth: 0 }).trim()}`;
  const extended = inserted(text, sites, line);
  parseFleet(documentOf(extended, source).toJS(), source);
  return extended;
}

/** Text with a line after a map's last entry, and after what is commented beside that. */
function inserted(text: string, map: YAMLMap, line: string): string {
  const last = map.items.at(-1);
  const [[start], [, end]] = [last?.key, last?.value ?? last?.key].map((node) =>
    isNode(node) ? node.range! : [0, 0],
  );
  if (map.flow || !last)
    throw new InputError(inventoryFile, [
      "sites is a map in braces, or empty: begin it with a site on a line of its own, as in the example",
    ]);
  const indent = text.slice(text.lastIndexOf("\n", start - 1) + 1, start);
  const endOfLine = text.indexOf("\n", text.slice(0, end).trimEnd().length);
  const at = endOfLine < 0 ? text.length : endOfLine;
  return `${text.slice(0, at)}\n${indent}${line}${text.slice(at)}`;
}

/** File of a stack: it holds what the inventory does not, secrets and the salt that they are encrypted with. */
export const stackFile = (stack: string) => `Pulumi.${stack}.yaml`;

/** Text of a new stack's file. */
export const newStackFile = (site: string) =>
  `# The config of site ${site} stands in ${inventoryFile}. Here stands only what is secret, mqtt.tls for instance.\nconfig: {}\n`;

const configKey = "bess-telemetry:site";

/** What a stack's file adds; a secret is `{ secure: … }`. */
function additions(file: string): Settings {
  const found: unknown = existsSync(file)
    ? parseYaml(readFileSync(file, "utf8"))?.config?.[configKey]
    : undefined;
  return isSettings(found) ? found : {};
}

/** Keys that both have, such as `mqtt.port`. */
function inBoth(one: Settings, other: Settings, prefix = ""): string[] {
  return Object.keys(one).flatMap((key) => {
    if (!(key in other)) return [];
    const [a, b] = [one[key], other[key]];
    return isSettings(a) && isSettings(b) ? inBoth(a, b, `${prefix}${key}.`) : [prefix + key];
  });
}

/**
 * A site's whole `bess-telemetry:site`: the inventory's, and what its stack's file adds, secrets still encrypted.
 * @param folder where the stacks' files are. Default: the project.
 * @throws InputError naming each key that stands in both: one fact has one place.
 */
export function stackConfig(
  { stack, settings: inventory }: Pick<FleetSite, "stack" | "settings">,
  folder = root,
): Settings {
  const added = additions(join(folder, stackFile(stack)));
  const twice = inBoth(added, inventory);
  if (twice.length > 0)
    throw new InputError(
      stackFile(stack),
      twice.map((key) => `${configKey}.${key} is set by ${inventoryFile} too: keep it there alone`),
    );
  return over(inventory, added);
}
