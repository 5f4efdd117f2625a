/** Evidence of what rollouts did, and of what was done at a site. */
export { evidencePage } from "./page";
export {
  gatherRecords,
  needsPerson,
  partDetails,
  type RolloutEvidence,
  rolloutEvidence,
  siteAudit,
} from "./records";
