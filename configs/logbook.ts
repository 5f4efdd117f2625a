import { databases } from "./databases";
import type { AlertSource } from "./grafana";
import type { Field } from "./model";
import { tiers } from "./rollups";
import type { Severity } from "./watch";

/*
 * A site's logbook: how its alerts are, which were, and what befell it. The rollups' service keeps it.
 */

type Columns = readonly (readonly [name: string, type: Field["type"]])[];

/** A table of the logbook. */
interface LogbookTable {
  db: string;
  table: string;
  tags: readonly string[];
  fields: Columns;
}

/**
 * How the alerts are, each minute and with each change: the gravest in words, how many there are, and all
 * of them, by which a new process goes on.
 */
export const stateTable = {
  db: databases.pipeline,
  table: "alert_state",
  tags: [],
  fields: [
    ["level", "int"],
    ["count", "int"],
    ["state", "string"],
    ["what", "string"],
    ["open", "string"],
  ],
} as const satisfies LogbookTable;

/**
 * Alerts that are over, at their end. They stay as long as the days' figures, wherefore they lie beside
 * them; a model's name has no hyphen.
 */
export const historyTable = {
  db: tiers.day.database,
  table: "alert-history",
  tags: ["severity", "alert", "unit", "id"],
  fields: [
    ["begin", "int"],
    ["seconds", "int"],
    ["what", "string"],
  ],
} as const satisfies LogbookTable;

/** What befell the site, at its beginning; `until` is its end, in ms. */
export const eventsTable = {
  db: databases.pipeline,
  table: "events",
  tags: ["kind", "of"],
  fields: [
    ["until", "int"],
    ["text", "string"],
  ],
} as const satisfies LogbookTable;

/** Every table of the logbook. */
export const logbookTables: readonly LogbookTable[] = [stateTable, historyTable, eventsTable];

/** What a site's state begins with, from the best; `level` is its place. */
export const stateWords = ["Normal", "Notice", "Warning", "Critical", "Unknown"] as const;

/** The word for an alert's severity. */
export const wordOf: Record<Severity, (typeof stateWords)[number]> = {
  info: "Notice",
  warning: "Warning",
  critical: "Critical",
};

/** Seconds after which a state is not believed any more. */
export const staleSeconds = 300;

/** Where the rollups' service learns what it keeps in the logbook. */
export interface LogbookConfig {
  /** URL of Grafana. */
  grafana: string;
  /** Alerts that are followed. Default: alerts are off. */
  alerts?: {
    source: AlertSource;
    /** Seconds from a start of Grafana until each rule has been evaluated. */
    settle: number;
  };
}
