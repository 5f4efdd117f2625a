import { type Order, orderLine } from "../configs/simulator";
import type { EnginePlace } from "../configs/ssh";
import { docker } from "./engine";

/**
 * Tells a site's running simulator what is asked of it.
 * @throws Error where the site cannot be reached, or its simulator does not run.
 */
export async function orderAt(site: EnginePlace & { name: string }, order: Order): Promise<void> {
  const container = `${site.name}-simulator`;
  await docker(site, ["exec", "-i", container, "sh", "-c", orderLine], JSON.stringify(order));
}
