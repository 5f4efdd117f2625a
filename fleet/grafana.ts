import { hostname, userInfo } from "node:os";
import { callScript, deploymentTags } from "../configs/grafana";
import type { EnginePlace } from "../configs/ssh";
import { docker } from "./engine";

/** A site, and its engine. */
export type Place = EnginePlace & { name: string };

/**
 * Calls Grafana's API from within its container, where the password lies: neither a port nor the stack's
 * outputs are needed.
 * @throws Error with Grafana's own words.
 */
export async function call(
  site: Place,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const script = callScript(method, path, body);
  const answer = await docker(site, ["exec", "-i", `${site.name}-grafana`, "sh", "-s"], script);
  const lines = answer.trimEnd().split("\n");
  const status = Number(lines.pop());
  const text = lines.join("\n");
  if (status >= 400 || !(status >= 200))
    throw new Error(`Grafana answers ${status} to ${method} ${path}: ${text.slice(0, 300)}`);
  return text.trim() === "" ? undefined : JSON.parse(text);
}

/** Who works at a site, as a person knows them. */
export const who = () => `${userInfo().username}@${hostname()}`;

/** An update of a site that has changed something. */
export interface Deployment {
  /** When it began. */
  from: Date;
  /** Commit that it was made from; undefined outside a repository. */
  commit: string | undefined;
  /** Resources by what was done to them, such as `{ same: 56, replace: 1 }`. */
  changes: Partial<Record<string, number>>;
}

/** How a deployment's annotation names what was done, in this order. */
const done = { create: "created", update: "updated", replace: "replaced", delete: "deleted" };

/** A deployment in words; undefined where it has changed nothing. */
export function deploymentText({ commit, changes }: Deployment): string | undefined {
  const counts = Object.entries(done).flatMap(([operation, word]) => {
    const count = changes[operation] ?? 0;
    return count > 0 ? [`${count} ${word}`] : [];
  });
  if (counts.length === 0) return undefined;
  const what = commit === undefined ? "Deployed" : `Deployed ${commit.slice(0, 12)}`;
  return `${what} by ${who()}: ${counts.join(", ")}`;
}

/** Tells on every dashboard that a site was deployed. A site that cannot be told is deployed all the same. */
export async function tellDeployment(site: Place, deployment: Deployment): Promise<void> {
  const text = deploymentText(deployment);
  if (text === undefined) return;
  const [time, timeEnd] = [deployment.from.getTime(), Date.now()];
  const annotation = { time, timeEnd, tags: deploymentTags, text };
  await call(site, "POST", "/api/annotations", annotation).catch(() => undefined);
}
