import { createHash } from "node:crypto";
import { join } from "node:path";
import { isMap, isNode, isScalar, stringify, type YAMLMap } from "yaml";
import * as z from "zod";
import { parseYaml, readText, yamlDocument } from "./files";
import { engineKey } from "./ssh";
import { findingsOf, InputError, text, validate } from "./validation";
import { parseSite, onlyOverSsh, secretKeys, type SiteConfig, siteSchema } from "./site";

const root = join(__dirname, "..");

/** The fleet's inventory, relative to the project. */
export const inventoryFile = "fleet/fleet.yaml";

/** Part of a stack's `bess-telemetry:site`, as a person writes it. */
export type Settings = Record<string, unknown>;

/** A change that loses data, as it is confirmed for some sites. */
export interface Confirmation {
  sites: readonly string[];
  /** The change as a preview names it, such as `retention 365d -> 10d`. */
  change: string;
}

/** What a fleet allows itself beyond the rules of policy/; nothing by default. */
export interface Allowances {
  /** Ports that other hosts may reach, such as `grafana:3000`: a container's name and own port. */
  offLoopback?: readonly string[];
  /** Names of volumes that may be deleted with their data. */
  deletedVolumes?: readonly string[];
  /** Changes that lose data, each for the sites that it names. */
  confirm?: readonly Confirmation[];
}

/** Labels of a site, such as `{ region: north }`. */
export type Labels = Record<string, string>;

const location = z.strictObject({
  latitude: z
    .number()
    .min(-90)
    .max(90)
    .meta({ description: "Degrees north of the equator.", examples: [54.32] }),
  longitude: z
    .number()
    .min(-180)
    .max(180)
    .meta({ description: "Degrees east of Greenwich.", examples: [10.13] }),
});

/** Where a site is. */
export type Location = z.output<typeof location>;

const word = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,30}$/, "write lower case letters, digits and -, at most 31");
const labels = z.record(word, word).meta({ examples: [{ region: "north" }] });
const { name: siteName, engine, ...shareable } = siteSchema.shape;

/** What a site, a default or an override may set: keys of `bess-telemetry:site`. */
const shared = z.strictObject(shareable);

/**
 * The same, with values that are checked later: a site's as a whole, with all that it is set to
 * elsewhere.
 */
const settings = Object.fromEntries(
  // keyOfSite: the JSON Schema of the inventory has the site's own schema of the key in its place.
  Object.keys(shareable).map((key) => [key, z.unknown().meta({ keyOfSite: key }).optional()]),
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
        .meta({
          description:
            "Ports that other hosts may reach, beside the broker's: " +
            "the container's host name and its own port.",
          examples: [["grafana:3000"]],
        }),
      deletedVolumes: z
        .array(z.string())
        .default([])
        .meta({
          description: "Volumes that may be deleted with their data.",
          examples: [["kiel-1-grafana-data"]],
        }),
    })
    .prefault({})
    .describe("Exceptions from the rules of policy/."),
  confirm: z
    .array(
      z.strictObject({
        sites: z
          .array(siteName)
          .min(1, "name at least one site")
          .meta({ description: "Sites at which it is confirmed.", examples: [["kiel-1"]] }),
        change: z
          .string()
          .regex(/^[a-z.]+ .* -> \S/, "copy the change from the preview: retention 365d -> 10d")
          .meta({
            description: "The change, word for word as the preview names it.",
            examples: ["retention 365d -> 10d"],
          }),
      }),
    )
    .default([])
    .describe(
      "Changes that lose data, each confirmed for the sites that it names and for its old and new " +
        "value. Once it is done everywhere, it must be removed: previews and rollouts refuse one " +
        "that confirms nothing.",
    ),
  labels: z.record(word, z.array(word).min(1, "list at least one value")).meta({
    description: "Every label of the fleet, and the values that it may have.",
    examples: [{ region: ["north", "west"] }],
  }),
  defaults: z
    .strictObject(settings)
    .default({})
    .meta({
      description: "Settings of every site.",
      examples: [{ profile: "pi", mqtt: { address: "0.0.0.0" } }],
    }),
  overrides: z
    .array(
      z.strictObject({
        when: labels.describe("Labels that a site must have, all of them."),
        set: z
          .strictObject(settings)
          .meta({ description: "Settings of these sites.", examples: [{ retention: "180d" }] }),
      }),
    )
    .default([])
    .describe("Settings of the sites with given labels; a later one wins over an earlier one."),
  waves: z
    .array(
      z
        .strictObject({
          name: word.meta({ description: "Name of the wave.", examples: ["canary"] }),
          when: labels.optional().meta({
            description: "Takes the sites that have all these labels.",
            examples: [{ ring: "canary" }],
          }),
          share: text(/^([1-9]\d?|100) ?%$/, "write a share such as 10%")
            .optional()
            .meta({
              description:
                "Takes this share of the whole fleet, at least one site. " +
                "A hash of the names chooses them.",
              unit: "% of the fleet's sites",
              examples: ["10%"],
            }),
        })
        .refine(
          (wave) => !(wave.when && wave.share),
          "give either when or share, or neither for all that are left",
        )
        .meta({ not: { required: ["when", "share"] } }),
    )
    .min(1, "name at least one wave")
    .describe(
      "Waves in the order of a rollout. A site belongs to the first wave that takes it. " +
        "A wave with neither `when` nor `share` takes the rest.",
    ),
  sites: z
    .record(
      siteName,
      z
        .strictObject({
          ...settings,
          engine: engine.unwrap().meta({
            description: "Docker Engine of the site. No two sites share a host.",
            examples: ["ssh://bess@kiel-1.example"],
          }),
          labels: labels
            .default({})
            .describe("Labels of the site. `labels` declares each of them, and its values."),
          location: location
            .optional()
            .describe(
              "Where the site is on a hub's map ([hub.md](hub.md)). Without it: not on it.",
            ),
          stack: word.optional().meta({
            description: "Pulumi stack of the site. Without it: the site's name.",
            examples: ["kiel-1-prod"],
          }),
        })
        .meta(onlyOverSsh),
    )
    .describe("The sites, by their names."),
});

type Inventory = z.output<typeof fleetSchema>;
type Wave = Inventory["waves"][number];
type InventorySite = Inventory["sites"][string];

/** One site of the fleet. */
export interface FleetSite {
  name: string;
  /** Its Pulumi stack. */
  stack: string;
  /** Docker engine that it is deployed on. */
  engine: string;
  labels: Labels;
  wave: string;
  /** Where it is on a hub's map. */
  location?: Location | undefined;
  /** Its `bess-telemetry:site` as the inventory has it, without what its stack's file adds. */
  settings: Settings;
  /** The same, validated and with all defaults. */
  config: SiteConfig;
}

/** The fleet, each site with all that the inventory says of it. */
export interface Fleet {
  /** What the fleet allows itself beyond the rules of policy/, and what it has confirmed. */
  allow: Allowances;
  /** Names, in the order of a rollout. */
  waves: string[];
  /** In the order of the file. */
  sites: FleetSite[];
}

/** Whether a value is a map of settings. */
export const isSettings = (value: unknown): value is Settings =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Settings over others: objects are joined key by key, anything else is replaced. */
export const mergeSettings = (base: Settings, top: Settings): Settings =>
  Object.entries(top).reduce((joined, [key, value]) => {
    const below = joined[key];
    return {
      ...joined,
      [key]: isSettings(value) && isSettings(below) ? mergeSettings(below, value) : value,
    };
  }, base);

const matches = (site: Labels, when: Labels) =>
  Object.entries(when).every(([label, value]) => site[label] === value);

/**
 * A name's place in the order that shares are cut from: the same on every machine, and wherever in
 * the file the name stands.
 */
const drawOrder = (name: string) => createHash("sha256").update(name).digest("hex");

/**
 * The wave of each site that one takes. A share is counted over the whole fleet and rounded up; a
 * site more or less moves at most one other across the end of each share.
 */
function wavesOf(
  waves: readonly Wave[],
  sites: readonly { name: string; labels: Labels }[],
): Map<string, string> {
  const taken = new Map<string, string>();
  const drawn = [...sites].sort((a, b) => (drawOrder(a.name) < drawOrder(b.name) ? -1 : 1));
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

/** Sites that share what no two may. `keyOf` is the same for two spellings of one value. */
function duplicates(
  what: "stack" | "engine",
  sites: readonly Record<"name" | "stack" | "engine", string>[],
  keyOf = (value: string) => value,
): string[] {
  const first = new Map<string, { name: string; value: string }>();
  return sites.flatMap(({ name, [what]: value }) => {
    const other = first.get(keyOf(value));
    if (!other) {
      first.set(keyOf(value), { name, value });
      return [];
    }
    const spelled = other.value === value ? "" : `, as "${other.value}"`;
    return [
      `sites.${name}.${what} is "${value}": site ${other.name} has it already${spelled}; ` +
        "every site needs its own",
    ];
  });
}

/** Labels that are not declared, wherever they are written. */
function unknownLabels(
  declared: Inventory["labels"],
  written: [key: string, labels: Labels][],
): string[] {
  const known = Object.keys(declared).join(", ") || "none, for labels is empty";
  return written.flatMap(([key, found]) =>
    Object.entries(found).flatMap(([label, value]) => {
      const values = new Map(Object.entries(declared)).get(label);
      if (!values) return [`${key}.${label} is no known label; allowed here: ${known}`];
      return values.includes(value)
        ? []
        : [`${key}.${label} is "${value}": allowed here: ${values.join(", ")}`];
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

function confirmationFindings({ confirm, sites }: Inventory): string[] {
  const known = new Set(Object.keys(sites));
  return confirm.flatMap((confirmation, i) =>
    confirmation.sites.flatMap((name, j) =>
      known.has(name) ? [] : [`confirm[${i}].sites[${j}] is "${name}": there is no such site`],
    ),
  );
}

function waveFindings({ waves, sites }: Inventory, taken: Map<string, string>): string[] {
  const rest = waves.findIndex(({ when, share }) => !when && !share);
  const takingAll = waves[rest];
  const shares = waves.reduce((sum, { share }) => sum + (share ? parseInt(share, 10) : 0), 0);
  return [
    ...waves.flatMap(({ name }, i) =>
      waves.findIndex((wave) => wave.name === name) < i
        ? [`waves[${i}].name is "${name}": an earlier wave has this name; every wave needs its own`]
        : [],
    ),
    ...(takingAll && rest < waves.length - 1
      ? [`waves[${rest}] is "${takingAll.name}", which takes all that are left: put it last`]
      : []),
    ...(shares > 100 ? [`waves have shares of ${shares}% together: at most 100% is allowed`] : []),
    ...Object.keys(sites).flatMap((name) =>
      taken.has(name)
        ? []
        : [
            `sites.${name} is in no wave: label it for one, ` +
              "or end waves with one that has neither when nor share",
          ],
    ),
  ];
}

/** Findings in the settings, each at where it is written: the defaults, an override, or a site. */
function settingFindings(inventory: Inventory): string[] {
  const reported = new Set<string>();
  // What a default needs beside it, a site may have from elsewhere: ssh an engine, for instance.
  const written: [key: string, check: () => unknown][] = [
    ["defaults", () => validate(shared, inventory.defaults, inventoryFile, secretKeys)],
    ...inventory.overrides.map(({ set }, i): [string, () => unknown] => [
      `overrides[${i}].set`,
      () => validate(shared, set, inventoryFile, secretKeys),
    ]),
    ...Object.entries(inventory.sites).map(([name, site]): [string, () => unknown] => [
      `sites.${name}`,
      () => parseSite(settingsOf(inventory, name, site)),
    ]),
  ];
  return written.flatMap(([key, check]) =>
    findingsOf(check).flatMap((finding) => {
      if (reported.has(finding)) return [];
      reported.add(finding);
      return [`${key}.${finding}`];
    }),
  );
}

/** A site's settings: the defaults, each override by its labels, and its own. */
function settingsOf({ defaults, overrides }: Inventory, name: string, site: InventorySite) {
  const { labels: own, stack: _stack, location: _location, ...set } = site;
  const layers = [
    defaults,
    ...overrides.filter(({ when }) => matches(own, when)).map((override) => override.set),
    set,
  ];
  return layers.reduce<Settings>(mergeSettings, { name });
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
    location: site.location,
    settings: settingsOf(inventory, name, site),
  }));
  const taken = wavesOf(inventory.waves, sites);
  const findings = [
    ...duplicates("stack", sites),
    ...duplicates("engine", sites, engineKey),
    ...labelFindings(inventory),
    ...confirmationFindings(inventory),
    ...waveFindings(inventory, taken),
    ...settingFindings(inventory),
  ];
  if (findings.length > 0) throw new InputError(source, findings);
  return {
    allow: { ...inventory.allow, confirm: inventory.confirm },
    waves: inventory.waves.map(({ name }) => name),
    // A site without a wave is among the findings.
    sites: sites.map((site) => ({
      ...site,
      wave: taken.get(site.name) ?? "",
      config: parseSite(site.settings),
    })),
  };
}

/** Fleets by the path of their file, as long as its text is the same. */
const loaded = new Map<string, { text: string; fleet: Fleet }>();

/**
 * Reads the fleet; a file that has not changed since the last time is not parsed again.
 * @param file path of the inventory. Default: the project's.
 * @throws InputError if it cannot be read, is no YAML, or breaks a rule of {@link parseFleet}.
 */
export function loadFleet(file = join(root, inventoryFile)): Fleet {
  const source = file.startsWith(root) ? file.slice(root.length + 1) : file;
  const text = readText(file, source);
  const known = loaded.get(file);
  if (known?.text === text) return known.fleet;
  const fleet = parseFleet(parseYaml(text, source), source);
  loaded.set(file, { text, fleet });
  return fleet;
}

/** What a new site is set to, beside its name. */
export interface NewSite extends Settings {
  engine: string;
  labels: Labels;
  stack?: string;
}

/**
 * The inventory's text with one more site at the end of `sites`; comments and order stay. It is
 * written as the project's formatter leaves it.
 * @throws InputError if the fleet with it breaks a rule of {@link parseFleet}, such as a host that
 *   another site has.
 */
export function addSite(text: string, name: string, site: NewSite, source = inventoryFile): string {
  const document = yamlDocument(text, source);
  const sites = document.get("sites");
  if (!isMap(sites))
    throw new InputError(source, ["sites is missing: write a map of sites by name"]);
  if (sites.items.some(({ key }) => String(isScalar(key) ? key.value : key) === name))
    throw new InputError(source, [
      `sites.${name} is declared already; every site needs its own name`,
    ]);
  const extended = withEntry(text, sites, (indent) => siteLines(name, site, indent));
  parseFleet(parseYaml(extended, source), source);
  return extended;
}

/** Columns of a line, as .oxfmtrc.json sets them. */
const lineWidth = 100;

/** A site as the formatter leaves it: a key a line, its value in braces where the line holds it. */
function siteLines(name: string, { labels: own, ...site }: NewSite, indent: string): string[] {
  const { engine: address, ...others } = site;
  const set = { engine: address, ...(Object.keys(own).length > 0 && { labels: own }), ...others };
  const inner = `${indent}  `;
  const lines = Object.entries(set).flatMap(([key, value]) => {
    const flow = stringify(value, { collectionStyle: "flow", lineWidth: 0 }).trim();
    const line = `${inner}${key}: ${flow}`;
    if (line.length <= lineWidth || typeof value !== "object") return [line];
    const block = stringify({ [key]: value }, { lineWidth: 0 })
      .trimEnd()
      .split("\n");
    return block.map((one) => inner + one);
  });
  return [`${indent}${name}:`, ...lines];
}

/** Text with lines after a map's last entry, and after what is commented beside that. */
function withEntry(text: string, map: YAMLMap, linesOf: (indent: string) => string[]): string {
  const last = map.items.at(-1);
  const [first, final] = [last?.key, last?.value ?? last?.key];
  const start = isNode(first) ? first.range?.[0] : undefined;
  const end = isNode(final) ? final.range?.[1] : undefined;
  if (map.flow || start === undefined || end === undefined)
    throw new InputError(inventoryFile, [
      "sites is a map in braces, or empty: " +
        "begin it with a site on a line of its own, as in the example",
    ]);
  const indent = text.slice(text.lastIndexOf("\n", start - 1) + 1, start);
  const endOfLine = text.indexOf("\n", text.slice(0, end).trimEnd().length);
  const at = endOfLine < 0 ? text.length : endOfLine;
  return `${text.slice(0, at)}\n${linesOf(indent).join("\n")}${text.slice(at)}`;
}
