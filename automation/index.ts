/**
 * Everything that runs Pulumi from code: the stacks of sites, deployed, offline or rehearsed, their backend, tunnels
 * to their hosts, and the programs of this machine. What needs Pulumi's SDK loads it when it is first called: that
 * takes a second, which a command that only prints help must not cost.
 */
export { act as runPulumi, localBackend, pulumiEnvironment, root } from "./backend";
export { docker, environment, line as describePart, locate, type Part, setUp } from "./programs";
export {
  openTunnel,
  reachOf as sshTargetOf,
  shareTunnel,
  type SharedTunnel,
  type Tunnel,
  withTunnel,
} from "./tunnel";
export type { DeployedArgs, InlineStack, RehearsedArgs } from "./inline";
export {
  isHidden,
  type Operation,
  placeholders,
  type SitePlan,
  type Step,
  type Values,
} from "./plan";
export type { RenderedResource } from "./rendered";

const stacks = () => require("./inline") as typeof import("./inline");
const rendered = () => require("./rendered") as typeof import("./rendered");

type Stacks = typeof import("./inline");
type Rendered = typeof import("./rendered");

export const deployedStack: Stacks["deployedStack"] = (...args) => stacks().deployedStack(...args);
export const rehearsedStack: Stacks["rehearsedStack"] = (...args) =>
  stacks().rehearsedStack(...args);
export const renderedPlan: Rendered["renderedPlan"] = (...args) => rendered().renderedPlan(...args);
export const comparePlans: Rendered["comparePlans"] = (...args) => rendered().comparePlans(...args);
