import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "../configs/inventory";
import { parseSite } from "../configs/site";
import { openedSite } from "../configs/sites";
import { Site } from "./site";
import type { SiteTransform } from "./transform";

/**
 * The site of the stack that Pulumi runs: `bess-telemetry:site` of its configuration, over its
 * entry in the inventory.
 * @param transformOf what a checkout changes at the site of a stack.
 * @throws InputError for bad input: Pulumi shows its message alone, without a stack trace.
 */
export function siteOfStack(
  config: pulumi.Config,
  transformOf: (stack: string) => SiteTransform,
): Site {
  const stack = pulumi.getStack();
  const settings = parseSite(openedSite(stack, config.getObject<Settings>("site")));
  return new Site(stack, { ...settings, transform: transformOf(stack) });
}
