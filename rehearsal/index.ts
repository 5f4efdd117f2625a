import { command } from "./command";
import { docker } from "./docker";
import { Engine } from "./engine";
import { type Fault, Faults } from "./faults";
import { grafana } from "./grafana";
import { diff, invokeFunction, resourceType } from "./provider";
import { random } from "./random";
import type { PropertyMap } from "./wire";

export { Engine } from "./engine";
export { type Fault, faultHelp, matches, parseFault } from "./faults";
export { kindOf } from "./provider";
export { isUnknown, isWrapped, propertyChanges, reveal, secret } from "./wire";

const providers = [docker, random, command, grafana];

/**
 * What a change of a resource's inputs would do, planned as its real provider plans it.
 * @param type token of its type, such as `docker:index/container:Container`.
 * @returns the paths of the inputs that change, and whether the resource would be replaced.
 * @throws Error where its type is not simulated.
 */
export function planChange(
  type: string,
  before: PropertyMap,
  after: PropertyMap,
): { changed: string[]; replaces: boolean } {
  const found = diff(resourceType(providerOf(type), type), before, after);
  return {
    changed: found.map(({ path }) => path),
    replaces: found.some(({ replaces }) => replaces),
  };
}

/** Whether a resource's provider was cut off before it had set the last of its outputs. */
export function isHalfMade(type: string, outputs: PropertyMap): boolean {
  if (type.startsWith("pulumi:")) return false;
  const { completedBy } = resourceType(providerOf(type), type);
  return completedBy !== undefined && (outputs[completedBy] ?? null) === null;
}

/**
 * Invokes a provider's function at a simulated site.
 * @param token such as `command:local:run`.
 * @throws Error where the function is not simulated.
 */
export const invoke = (token: string, args: PropertyMap): PropertyMap =>
  invokeFunction(providerOf(token), token, args);

/** The provider that a token of a type or a function belongs to. */
function providerOf(token: string) {
  const name = token.slice(0, token.indexOf(":"));
  const provider = providers.find((other) => other.package === name);
  if (!provider)
    throw new Error(
      `${token} cannot be rehearsed; these providers can: ` +
        providers.map((other) => other.package).join(", "),
    );
  return provider;
}

/** A rehearsal's site and its faults. */
export interface RehearsalArgs {
  /** Folder that keeps the simulated engines between rehearsals. */
  folder: string;
  /** Address of the Docker engine for providers without a `host`. Default: the local engine's. */
  engine?: string | undefined;
  /** What goes wrong. Default: nothing. */
  faults?: readonly Fault[] | undefined;
}

/** Simulated providers of one site, served by this process to Pulumi's real engine. */
export interface Rehearsal {
  /** Environment variables by which `pulumi` uses these providers, and downloads no others. */
  environment: Record<string, string>;
  /** Stops serving. */
  close(): void;
}

// Loaded on demand: gRPC takes a tenth of a second, which a command's --help need not wait for.
const loadServer = () => require("./server") as typeof import("./server");

/** Serves the simulated providers of one site. What they create is kept in `folder`. */
export async function rehearse({ folder, engine, faults = [] }: RehearsalArgs): Promise<Rehearsal> {
  const engines = new Map<unknown, Engine>();
  const engineAt = (host: unknown = engine) => {
    const opened = engines.get(host) ?? Engine.open(folder, host as string | undefined);
    engines.set(host, opened);
    return opened;
  };
  const countAttempt = (name: string) => {
    const { attempts } = engineAt().state;
    const former = attempts[name] ?? 0;
    engineAt().save(() => (attempts[name] = former + 1));
    return former;
  };
  const site = { engine: engineAt, faults: new Faults(faults, countAttempt) };
  const { ProviderServer } = loadServer();
  const servers = providers.map((provider) => new ProviderServer(provider, site));
  const ports = await Promise.all(servers.map((server) => server.listen()));
  return {
    environment: {
      PULUMI_DEBUG_PROVIDERS: providers.map(({ package: name }, i) => `${name}:${ports[i]}`).join(),
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    },
    close: () => servers.forEach((server) => server.close()),
  };
}
