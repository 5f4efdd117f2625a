import type { SiteTransform } from "./components";

/**
 * What this checkout changes at a site where no key of its configuration does: nothing, until
 * somebody edits it. docs/transform.md tells what it may change.
 *
 * The program and what a fleet's commands render both read it, so that every preview shows it.
 * @param _site name of the site's stack.
 */
export const transformOf = (_site: string): SiteTransform => ({});
