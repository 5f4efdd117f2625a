import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { distance } from "fastest-levenshtein";
import { readYaml } from "./files";
import { hubKey } from "./hub";
import {
  type Fleet,
  type FleetSite,
  inventoryFile,
  isSettings,
  loadFleet,
  mergeSettings,
  type Settings,
} from "./inventory";
import { withSecretPlaceholders } from "./secret-placeholders";
import { secretKeys, type SiteConfig, siteSchema } from "./site";
import { engineKey } from "./ssh";
import { InputError, validate } from "./validation";

const root = join(__dirname, "..");

/** Key of a stack's configuration that holds the site. */
export const siteKey = "bess-telemetry:site";

/** File of a stack, relative to the project. */
export const stackFile = (stack: string) => `Pulumi.${stack}.yaml`;

/** JSON Schema of a stack's file, relative to the project. */
export const stackFileSchema = "docs/schemas/stack.json";

/** Text of the file of a new stack whose site stands in the inventory. */
export const newStackFile = (site: string) =>
  `# yaml-language-server: $schema=${stackFileSchema}
# The config of site ${site} stands in ${inventoryFile}. Here stands only what is secret:
# mqtt.tls, for instance.
config: {}
`;

/** Where a stack's site is written: the inventory, the stack's file, or both. */
export type SiteSource = "inventory" | "stack file";

/** A stack and its site, as its files describe it. */
export interface StackSite {
  /** As Pulumi takes it: with organization and project where the caller named them. */
  stack: string;
  /** Its whole `bess-telemetry:site`; a secret of the stack's file is still `{ secure: … }`. */
  settings: Settings;
  sources: SiteSource[];
}

/** The three of some names that are most like one. */
export const nearestNames = (name: string, names: readonly string[]): string[] =>
  [...names].sort((a, b) => distance(name, a) - distance(name, b)).slice(0, 3);

/** A stack that has no site. */
class UnknownStackError extends InputError {
  constructor(stack: string, names: readonly string[]) {
    const nearest = nearestNames(stack, names);
    const finding = `no site in ${stackFile(stack)} or ${inventoryFile}`;
    super(`stack ${stack}`, [finding]);
    this.message =
      nearest.length === 0
        ? `Stack ${stack} has ${finding}, and no other stack has one.`
        : `Stack ${stack} has ${finding}. The nearest that have one: ${nearest.join(", ")}.`;
  }
}

/** What a stack's file may hold: Pulumi's own keys, and the stack's configuration. */
export interface StackFile {
  config?: Settings;
  environment?: unknown;
  secretsprovider?: string;
  encryptedkey?: string;
  encryptionsalt?: string;
}

/** Keys that Pulumi writes by itself, when a stack is first used: how its secrets are encrypted. */
export const encryptionKeys = [
  "secretsprovider",
  "encryptedkey",
  "encryptionsalt",
] as const satisfies (keyof StackFile)[];

const stackFileKeys: readonly string[] = [
  "config",
  "environment",
  ...encryptionKeys,
] satisfies (keyof StackFile)[];

/** Keys of this project in a stack's configuration; a rollout adds the commit. */
const ownKeys = [siteKey, hubKey, "bess-telemetry:commit"];

/** Slips in a stack's configuration: keys that the program would never read. */
function configFindings(config: Settings): string[] {
  const [namespace = ""] = siteKey.split(":");
  if (siteKey in config && hubKey in config)
    return [`config has ${siteKey} and ${hubKey}: a stack is a site, or the hub`];
  return Object.keys(config).flatMap((key) => {
    const [before = "", after] = key.split(":");
    const isOwn = after === undefined || distance(before, namespace) <= 3;
    return isOwn && !ownKeys.includes(key)
      ? [`config.${key} is no known key; allowed here: ${siteKey}, ${hubKey}`]
      : [];
  });
}

/**
 * A stack's file; an empty one where there is none.
 * @param folder where it lies.
 * @throws InputError if it cannot be read, is no YAML in UTF-8, or has a key that nobody reads.
 */
export function readStackFile(stack: string, folder: string): StackFile {
  const file = stackFile(stack.split("/").at(-1) ?? stack);
  if (!existsSync(join(folder, file))) return {};
  const content = readYaml(join(folder, file), file) ?? {};
  if (!isSettings(content))
    throw new InputError(file, [`it is no map: write config, and in it ${siteKey}`]);
  const unknown = Object.keys(content).filter((key) => !stackFileKeys.includes(key));
  const findings = unknown.map(
    (key) => `${key} is no known key; allowed here: ${stackFileKeys.join(", ")}`,
  );
  const { config } = content;
  if (isSettings(config)) findings.push(...configFindings(config));
  else if (config !== undefined && config !== null)
    findings.push(`config is ${JSON.stringify(config)}: write a map, and in it ${siteKey}`);
  if (findings.length > 0) throw new InputError(file, findings);
  return content;
}

/**
 * `bess-telemetry:hub` of a stack's file: what makes the stack a hub; undefined where it is none.
 * @param folder the project. Default: this one.
 */
export function hubSettings(stack: string, folder = root): Settings | undefined {
  const hub = readStackFile(stack, folder).config?.[hubKey];
  if (hub === undefined) return undefined;
  if (isSettings(hub)) return hub;
  throw new InputError(stackFile(stack), [
    `config.${hubKey} is ${hub === null ? "empty" : JSON.stringify(hub)}: write a map, such as { name: hub }`,
  ]);
}

/** `bess-telemetry:site` of a stack's file, if the file is there and has it. @throws InputError */
function stackFileSettings(stack: string, folder: string): Settings | undefined {
  const { config } = readStackFile(stack, folder);
  if (!config || !(siteKey in config)) return undefined;
  const site = config[siteKey];
  if (isSettings(site)) return site;
  throw new InputError(stackFile(stack), [
    `config.${siteKey} is ${site === null ? "empty" : JSON.stringify(site)}: ` +
      "write the keys of the site as a map, its name first",
  ]);
}

/** The stack whose file this is; undefined where it is none. */
export const stackOfFile = (file: string): string | undefined =>
  /^Pulumi\.([\w-]+)\.yaml$/.exec(file)?.[1];

/** Stacks that have a file. */
const stackFiles = (folder: string): string[] =>
  readdirSync(folder).flatMap((file) => stackOfFile(file) ?? []);

/** The inventory of a project; undefined where it has none. */
function inventoryOf(folder: string): Fleet | undefined {
  const file = join(folder, inventoryFile);
  return existsSync(file) ? loadFleet(file) : undefined;
}

const stacksOf = new WeakMap<Fleet, ReadonlyMap<string, FleetSite>>();

/** The sites of a fleet by their stacks. */
function sitesByStack(fleet: Fleet): ReadonlyMap<string, FleetSite> {
  const known = stacksOf.get(fleet) ?? new Map(fleet.sites.map((site) => [site.stack, site]));
  stacksOf.set(fleet, known);
  return known;
}

/** @throws InputError where a stack's file moves a site of the inventory to another one's host. */
function refuseSharedHost(
  stack: string,
  { engine }: Settings,
  { name }: Pick<FleetSite, "name">,
  { sites }: Fleet,
): void {
  if (typeof engine !== "string") return;
  const other = sites.find(
    (site) => site.name !== name && engineKey(site.engine) === engineKey(engine),
  );
  if (other)
    throw new InputError(`${siteKey} in ${stackFile(stack)}`, [
      `engine is "${engine}": site ${other.name} of ${inventoryFile} has it already; ` +
        "every site of the inventory needs its own",
    ]);
}

/**
 * The site of the stack of exactly this name, without organization and project; undefined where it
 * has none.
 * @param folder the project. Default: this one.
 * @param own what the stack's file has. Default: it is read.
 * @param fleet the inventory, where that has been read. Default: it is read.
 * @throws InputError for a bad file.
 */
export function siteOf(
  stack: string,
  folder = root,
  own = stackFileSettings(stack, folder),
  fleet = inventoryOf(folder),
): StackSite | undefined {
  const site = fleet && sitesByStack(fleet).get(stack);
  const inventory = site?.settings;
  if (!inventory && !own) return undefined;
  if (fleet && site && own) refuseSharedHost(stack, own, site, fleet);
  const sources: SiteSource[] = [];
  if (inventory) sources.push("inventory");
  if (own) sources.push("stack file");
  return { stack, settings: mergeSettings(inventory ?? {}, own ?? {}), sources };
}

/** Names of all stacks that have a file or stand in the inventory, in the order of the alphabet. */
export function stackNames(folder = root): string[] {
  const sites = inventoryOf(folder)?.sites ?? [];
  const names = [...stackFiles(folder), ...sites.map(({ stack }) => stack)];
  return [...new Set(names)].sort();
}

/**
 * The site of a stack whose configuration Pulumi has opened: what the program runs on.
 * @param own the stack's `bess-telemetry:site`, decrypted; undefined where it has none.
 * @param folder the project. Default: this one.
 * @throws InputError where neither the configuration nor the inventory has a site.
 */
export function openedSite(stack: string, own: Settings | undefined, folder = root): Settings {
  const found = siteOf(stack, folder, own);
  if (!found)
    throw new UnknownStackError(
      stack,
      listSites(folder).map((known) => known.stack),
    );
  return found.settings;
}

/**
 * Finds a stack's site: `Pulumi.<stack>.yaml` over the inventory, key by key.
 * @param name the stack's name, also as `organization/project/stack`; or the site's, if one stack
 *   alone has that site.
 * @param folder the project, or the checkout of a revision. Default: this project.
 * @param fleet its inventory, where that has been read. Default: it is read.
 * @throws InputError where there is no such site, or a file cannot be read.
 */
export function findSite(name: string, folder = root, fleet = inventoryOf(folder)): StackSite {
  const [stack = name, ...qualifiers] = name.split("/").reverse();
  const qualified = (found: StackSite): StackSite => ({
    ...found,
    stack: [found.stack, ...qualifiers].reverse().join("/"),
  });
  if (stack === "") throw new InputError("--stack", ["it is empty: write the name of a stack"]);
  const exact = siteOf(stack, folder, undefined, fleet);
  if (exact) return qualified(exact);
  const stacks = listSites(folder);
  const [site, other] = stacks.filter(({ settings }) => settings.name === stack);
  if (site && other)
    throw new InputError(`--stack ${stack}`, [
      `it is the site of the stacks ${site.stack} and ${other.stack}: name one of these`,
    ]);
  if (site) return qualified(site);
  if (hubSettings(stack, folder))
    throw new InputError(`--stack ${name}`, ["it is the hub, and this is for a site: name a site"]);
  throw new UnknownStackError(
    stack,
    stacks.map((known) => known.stack),
  );
}

/** Every stack with a site, in the order of the alphabet. @throws InputError for a bad file. */
export function listSites(folder = root): StackSite[] {
  const fleet = inventoryOf(folder);
  return stackNames(folder).flatMap((stack) => siteOf(stack, folder, undefined, fleet) ?? []);
}

/** What an error calls a stack's site. */
export function siteSource({ stack, sources }: StackSite): string {
  const files = sources.map((source) =>
    source === "inventory" ? inventoryFile : stackFile(stack.split("/").at(-1) ?? stack),
  );
  return `${siteKey} of ${stack} (${files.join(", ")})`;
}

/**
 * A stack's site with all defaults, as far as it can be known without opening secrets: each has a
 * placeholder.
 * @throws InputError with every finding.
 */
export const siteConfig = (found: StackSite): SiteConfig =>
  validate(siteSchema, withSecretPlaceholders(found.settings), siteSource(found), secretKeys);
