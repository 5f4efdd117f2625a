/** The sites of the inventory as a whole: their previews and reports, their rollouts, and what each stands at. */
export { type Shard, splitIntoShards } from "./matrix";
export {
  commentLimit,
  commentMarker,
  type CommentOptions,
  formatComment,
  groupSites,
  type SiteGroup,
} from "./report";
export type { Operating, RollingOut, RolloutResult, SiteDrift, Status } from "./operate";

// Loaded when it is first called: it brings Pulumi's SDK along.
type Operate = typeof import("./operate");
type Since = typeof import("./since");
const operate = (): Operate => require("./operate");
const since = (): Since => require("./since");

export const runRollout: Operate["roll"] = (...args) => operate().roll(...args);
export const siteStatuses: Operate["status"] = (...args) => operate().status(...args);
export const reportDrift: Operate["drift"] = (...args) => operate().drift(...args);
export const verifySite: Operate["verify"] = (...args) => operate().verify(...args);
export const removeSite: Operate["down"] = (...args) => operate().down(...args);
export const plansFromState: Operate["plans"] = (...args) => operate().plans(...args);
export const plansSince: Since["plansSince"] = (...args) => since().plansSince(...args);
export const renderInto: Since["renderInto"] = (...args) => since().renderInto(...args);
