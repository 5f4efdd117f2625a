/**
 * The sites of the inventory as a whole: their previews and reports, their rollouts, and the
 * revision that each has deployed.
 */
export { Database, HttpDatabase, Queries, QueryError, type RefusedLine } from "./database";
export { clonesAt, requestClone } from "./clones";
export {
  backUpNow,
  type BackupRepository,
  type BackupSnapshot,
  backupsOf,
  isRestored,
  restoreSite,
  unmark,
} from "./backups";
export { type HubAccess, hubAccess, type SiteAtHub, sitesAtHub } from "./hub";
export {
  evidencePage,
  gatherRecords,
  needsPerson,
  partDetails,
  type RolloutEvidence,
  rolloutEvidence,
  siteAudit,
} from "./evidence";
export { pullHere } from "./images";
export { heardAt } from "./listen";
export { tellDeployment } from "./grafana";
export { endMute, type Mute, muteSite, testContact } from "./mute";
export { idleConfirmations, meaningOf, pendingChanges, requireConfirmed, tell } from "./losses";
export {
  inDatabase,
  Migration,
  type Progress,
  type RunScript,
  scriptsBeside,
  switchWriters,
  type Unconverted,
} from "./migrate";
export { type CommentOptions, formatComment, type SiteGroup } from "./report";
export {
  confirm,
  type Operating,
  removeSite,
  reportDrift,
  requireRemoval,
  requireTerminal,
  type RollingOut,
  type RolloutResult,
  runRollout,
  type SiteDrift,
  siteStatuses,
  type SiteStatus,
  verifySite,
} from "./operate";
export { servicesAt, type ServiceStatus, toRepeat } from "./services";
export { coverageOf, previewFleet, type PreviewMode, previewReport, renderInto } from "./preview";
export { orderAt } from "./simulate";
export { checkedOutCommit } from "./since";
export { type Stray, straysAt } from "./strays";
