import { commands } from "./command";
import { docker } from "./docker";
import { Engine } from "./engine";
import { type Fault, Faults } from "./faults";
import { grafana } from "./grafana";
import { answerOf, difference, typeOf } from "./provider";
import { random } from "./random";
import { ProviderServer } from "./server";
import type { Values } from "./wire";

export { Engine } from "./engine";
export { type Fault, faultHelp, parseFault } from "./faults";
export { changes, isUnknown, isWrapped, reveal, secret } from "./wire";

const providers = [docker, random, commands, grafana];

/**
 * What a change of a resource's inputs would do, planned as its real provider plans it.
 * @throws Error where its provider is not rehearsed so far.
 */
export function planChange(
  type: string,
  before: Values,
  after: Values,
): { changed: string[]; replaces: boolean } {
  const found = difference(typeOf(providerOf(type), type), before, after);
  return {
    changed: found.map(({ path }) => path),
    replaces: found.some(({ replaces }) => replaces),
  };
}

/**
 * What a provider's function answers at a simulated site.
 * @throws Error where it is not rehearsed so far.
 */
export const answer = (token: string, args: Values): Values =>
  answerOf(providerOf(token), token, args);

/** The provider of a type or a function. */
function providerOf(token: string) {
  const provider = providers.find(
    ({ package: name }) => name === token.slice(0, token.indexOf(":")),
  );
  if (!provider)
    throw new Error(
      `${token} cannot be rehearsed; these can: ${providers.map(({ package: name }) => name).join(", ")}`,
    );
  return provider;
}

/** What a rehearsal is made of. */
export interface RehearsalArgs {
  /** Folder that keeps the simulated engines between rehearsals. */
  folder: string;
  /** Docker engine of the site, where a provider is not told one. Default: the local one's usual address. */
  engine?: string;
  /** What goes wrong. Default: nothing. */
  faults?: readonly Fault[];
}

/** Providers that work on a simulated site, served by this process to Pulumi's real engine. */
export interface Rehearsal {
  /** Environment in which `pulumi` uses these providers, and downloads none. */
  environment: Record<string, string>;
  /** Stops serving. */
  close(): void;
}

/** Serves the rehearsed providers of one site. What they make is kept in `folder`. */
export async function rehearse({ folder, engine, faults = [] }: RehearsalArgs): Promise<Rehearsal> {
  const engines = new Map<unknown, Engine>();
  const open = (host: unknown = engine) => {
    const opened = engines.get(host) ?? Engine.open(folder, host as string | undefined);
    engines.set(host, opened);
    return opened;
  };
  const count = (name: string) =>
    open().keep(() => (open().held.asked[name] = (open().held.asked[name] ?? -1) + 1));
  const site = { engine: open, faults: new Faults(faults, count) };
  const servers = await Promise.all(
    providers.map(async (provider) => {
      const server = new ProviderServer(provider, site);
      return { name: provider.package, port: await server.listen(), close: () => server.close() };
    }),
  );
  return {
    environment: {
      PULUMI_DEBUG_PROVIDERS: servers.map(({ name, port }) => `${name}:${port}`).join(),
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    },
    close: () => servers.forEach((server) => server.close()),
  };
}
