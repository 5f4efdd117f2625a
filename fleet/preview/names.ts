/** What sets a site's rendered plan apart from that of one with the same settings. */
export interface Names {
  site: string;
  /** Without organization and project. */
  stack: string;
  /** Host of an engine over SSH; any other engine is a setting like all others. */
  host?: string | undefined;
}

/**
 * The names under which sites with the same settings are rendered together. Nothing else has such
 * a name, so that each site's own can be put in their place, and found again.
 */
export const standIns = {
  site: "standin-7f3a-site",
  stack: "standin-7f3a-stack",
  host: "standin-7f3a.example",
} as const satisfies Names;

const hostPattern = /^(ssh:\/\/[^@]+@)([A-Za-z0-9][\w.-]*)((?::\d+)?)$/;

/** @param stack as Pulumi takes it: with organization and project where it has them. */
export const namesOf = (stack: string, { name, engine }: Record<string, unknown>): Names => ({
  site: String(name),
  stack: stack.split("/").at(-1) ?? stack,
  host: hostPattern.exec(String(engine))?.[2],
});

/** Settings of a site with stand-ins in the place of its names. */
export function anonymousSettings(settings: Record<string, unknown>): Record<string, unknown> {
  const { engine } = settings;
  return {
    ...settings,
    name: standIns.site,
    ...(typeof engine === "string" && {
      engine: engine.replace(hostPattern, `$1${standIns.host}$3`),
    }),
  };
}

const standIn = /standin-7f3a/;

export const hasStandIn = (text: string): boolean => standIn.test(text);

/** A text with a site's own names in the place of the stand-ins. */
export const named = (text: string, { site, stack, host = "" }: Names): string =>
  hasStandIn(text)
    ? text
        .replaceAll(standIns.site, site)
        .replaceAll(standIns.stack, stack)
        .replaceAll(standIns.host, host)
    : text;

/** Plain data with a site's own names in the place of the stand-ins. */
export const namedData = <T>(value: T, names: Names): T =>
  JSON.parse(named(JSON.stringify(value), names)) as T;
