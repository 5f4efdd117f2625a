import * as pulumi from "@pulumi/pulumi";
import { hubSites } from "../configs/hub-sites";
import type { Settings } from "../configs/inventory";
import { parseSite } from "../configs/site";
import { openedSite } from "../configs/sites";
import { Hub } from "./hub";
import { Site } from "./site";
import type { SiteTransform } from "./transform";

/** What a stack tells. */
type Outputs = Record<string, unknown>;

/**
 * Makes what the configuration of the stack that Pulumi runs asks for: the hub where it has
 * `bess-telemetry:hub`, else a site.
 * @param transformOf what a checkout changes at the site of a stack.
 * @returns the stack's outputs.
 * @throws InputError for bad input: Pulumi shows its message alone, without a stack trace.
 */
export function outputsOfStack(
  config: pulumi.Config,
  transformOf: (stack: string) => SiteTransform,
): Outputs {
  const hub = config.getObject<Settings>("hub");
  const commit = config.get("commit");
  return {
    ...(hub ? hubOutputs(hub) : siteOutputs(config.getObject<Settings>("site"), transformOf)),
    ...(commit && { commit }),
  };
}

/** The hub, with the sites of the inventory. */
function hubOutputs(settings: Settings): Outputs {
  const { addresses, revision, siteTokens, readToken, grafanaPassword, certificate } = new Hub(
    pulumi.getStack(),
    { config: settings, sites: hubSites() },
  );
  return {
    addresses,
    revision,
    grafanaPassword,
    siteTokens,
    readToken,
    ...(certificate && { certificate }),
  };
}

/** The site of the stack: its own settings over its entry in the inventory. */
function siteOutputs(
  own: Settings | undefined,
  transformOf: (stack: string) => SiteTransform,
): Outputs {
  const stack = pulumi.getStack();
  const site = new Site(stack, {
    ...parseSite(openedSite(stack, own)),
    transform: transformOf(stack),
  });
  const { addresses, revision, gatewayPassword, gatewayPasswords, grafanaPassword } = site;
  const { interfacePassword, kioskUrl } = site;
  return {
    addresses,
    revision,
    kioskUrl,
    gatewayPassword,
    grafanaPassword,
    ...(gatewayPasswords && { gatewayPasswords }),
    ...(interfacePassword && { interfacePassword }),
  };
}
