/**
 * Everything that runs Pulumi from code: the stacks of sites, deployed, offline or rehearsed, their
 * backend, tunnels to their hosts, and the programs of this machine. Pulumi's SDK is loaded by
 * worker processes alone.
 */
export { answers } from "./answers";
export {
  localBackend,
  localVariables,
  noState,
  type OpenedStack,
  openStack,
  pulumiEnvironment,
  requireBackend,
  root,
  runPulumi,
  stateFile,
} from "./backend";
export { checkStack, isTransformed, stackChecker } from "./check";
export { readEvents } from "./events";
export {
  comparePlans,
  engineProvider,
  isHidden,
  masked,
  type Operation,
  placeholders,
  planFromEvents,
  type RenderedResource,
  type SitePlan,
  type Step,
  type Values,
  withRenderedFiles,
} from "./plan";
export { isAlive } from "./cut-off";
export { isWatched, showProgress } from "./progress";
export { revisionLabel, revisionText, revisionUnder } from "./revisions";
export { describePart, docker, environment, locate, type Part, setUp } from "./programs";
export {
  type DeployedArgs,
  deployedStack,
  type EngineOptions,
  type RehearsedArgs,
  RehearsedStack,
  rehearsals,
  rehearsedStack,
  renderSite,
  type SiteStack,
} from "./stacks";
export { keepingStackFile } from "./stack-file";
export {
  type ChangeCounts,
  type EngineEvent,
  type PastUpdate,
  StackError,
  type StackUpdate,
  type UpResult,
} from "./tasks";
export { openTunnel, sshTargetOf, shareTunnel, type SharedTunnel, type Tunnel } from "./tunnel";
export { type WorkerLimits, WorkerPool } from "./workers";
