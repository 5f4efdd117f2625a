import { countedTables, databases, queryScript } from "../configs/influxdb";
import type { EnginePlace } from "../configs/ssh";
import { durationSeconds } from "../configs/units";
import { docker } from "./engine";

/** Messages at a site on one topic that no measurement has. */
export interface Stray {
  /** The beginning of the topic; empty where further topics are counted together. */
  topic: string;
  count: number;
  /** When the first and the last were counted, in ISO 8601. */
  first: string;
  last: string;
  /** The beginning of the last payload. */
  payload: string;
}

/** A row of the answer: an empty tag is left out, and a time has no zone. */
type Row = Omit<Stray, "topic"> & { topic?: string };

const { table, last: shown } = countedTables.strays;

/**
 * What came to a site on topics of no measurement, the newest first.
 * @param since how far back, such as `7d`.
 * @throws Error where the site cannot be reached, or InfluxDB does not answer.
 */
export async function straysAt(
  site: EnginePlace & { name: string },
  since: string,
): Promise<Stray[]> {
  const sql =
    `SELECT topic, sum(count) AS count, min(time) AS first, max(time) AS last, ` +
    `last_value(${shown} ORDER BY time) AS payload FROM ${table} ` +
    `WHERE time > now() - INTERVAL '${durationSeconds(since)} seconds' ` +
    "GROUP BY topic ORDER BY last DESC";
  const script = queryScript(databases.pipeline, sql);
  const answer = await docker(site, ["exec", "-i", `${site.name}-influxdb`, "bash", "-s"], script);
  return (JSON.parse(answer) as Row[]).map(({ topic = "", first, last, ...others }) => ({
    topic,
    ...others,
    first: seconds(first),
    last: seconds(last),
  }));
}

const seconds = (time: string) => `${time.slice(0, 19)}Z`;
