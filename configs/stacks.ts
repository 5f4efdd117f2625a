import { type HubConfig, hubKey, parseHub } from "./hub";
import { withSecretPlaceholders } from "./secret-placeholders";
import type { SiteConfig } from "./site";
import { findSite, hubSettings, siteConfig, stackFile } from "./sites";

/** A stack's name without organization and project. */
const ownName = (stack: string): string => stack.split("/").at(-1) ?? stack;

/**
 * The hub of a stack with all defaults, as far as it can be known without opening secrets; undefined where
 * the stack is none.
 * @param folder the project. Default: this one.
 * @throws InputError with every finding.
 */
export function hubConfig(stack: string, folder?: string): HubConfig | undefined {
  const settings = hubSettings(ownName(stack), folder);
  if (!settings) return undefined;
  const source = `${hubKey} of ${stack} (${stackFile(ownName(stack))})`;
  return parseHub(withSecretPlaceholders(settings), source);
}

/** Where a stack's engine is, and how its Grafana is reached. */
export type StackPlace = Pick<SiteConfig, "name" | "engine" | "ssh" | "grafana"> & {
  /** As Pulumi takes it. */
  stack: string;
};

/** The place of a site's stack, or of the hub's. @throws InputError where there is no such stack. */
export function placeOf(name: string, folder?: string): StackPlace {
  const hub = hubConfig(name, folder);
  if (hub) return { ...hub, stack: name };
  const found = findSite(name, folder);
  return { ...siteConfig(found), stack: found.stack };
}
