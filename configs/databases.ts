import { durationSeconds } from "./units";

/** The site's databases: the battery's telemetry, and the pipeline's own metrics. */
export const databases = { telemetry: "bess", pipeline: "pipeline" } as const;

/** A name, as SQL takes it. */
export const sqlName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A text, as SQL takes it. */
export const sqlText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** How long the pipeline's own metrics are kept. */
export const pipelineRetention = "30d";

/** Seconds of a block: InfluxDB writes a Parquet file for each table and block (`--gen1-duration`). */
export const blockSeconds = 600;

/** Blocks of a time span. */
export const blocks = (span: string): number => Math.ceil(durationSeconds(span) / blockSeconds);

/** How the relay notes what was written: how often a block at most, in seconds, and for how many days. */
export const noting = { seconds: 30, days: 31 } as const;
