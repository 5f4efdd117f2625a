import type { Model } from "../configs/model";
import { type PipelineOptions, pipelineGroup, watchdogGroup } from "./pipeline";
import type { AlertGroup, SiteLabels } from "./rule";
import { telemetryGroups } from "./telemetry";

export { slowestEvaluation } from "./telemetry";

export {
  deadMan,
  deadManIntegration,
  integrationLists,
  integrationOf,
  messageTemplates,
  type MuteTiming,
  muteTimings,
  nobody,
  type Policy,
  policyOf,
} from "./contacts";
export { type HubAlertOptions, hubAlertGroups } from "./hub";
export { type HubKindName, hubKinds, type Kind, type KindName, kindOf, kinds } from "./kinds";
export type { AlertGroup } from "./rule";

/** What the alerts of a site go by. */
export interface AlertOptions extends SiteLabels, PipelineOptions {
  model: Model;
}

/**
 * The alert rules of a site: of its model, and of its pipeline. A pure function; their names are unique,
 * and stay as long as the model's names do.
 */
export const alertGroups = ({ model, ...options }: AlertOptions): AlertGroup[] => [
  ...model.measurements.flatMap((m) => telemetryGroups(m, options)),
  pipelineGroup(options, options),
  watchdogGroup(options),
];
