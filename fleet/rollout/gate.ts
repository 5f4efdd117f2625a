import { apiPlaceholders, databases } from "../../configs/influxdb";
import { buildMessages } from "../../configs/message";
import { type Field, type Model, sourcesOf } from "../../configs/model";
import { readerOf, type StoredPoint } from "../../configs/reading";
import { renderScript } from "../../configs/scripts";
import { type EnginePlace, quoted } from "../../configs/ssh";
import { durationSeconds } from "../../configs/units";
import { port as grafanaPort } from "../../configs/grafana";
import { sources } from "../../dashboards";
import { containersAt, docker } from "../engine";

/** What the gate allows. */
export interface GateLimits {
  /** Seconds that a message may take until it can be queried. */
  limitSeconds: number;
  /** Restarts that a container may have had since it was made. */
  restarts: number;
}

/** What the gate needs to know of a site. */
export interface GateArgs extends EnginePlace, GateLimits {
  site: string;
  /** Names of the containers that it must have. */
  containers: string[];
  model: Model;
  /** Such as `90d`. */
  retention: string;
  gatewayPassword: string;
  grafanaPassword: string;
}

/** Tag value of the gate's own messages. */
const marker = "rollout-gate";

/** The same, where a place splits its text at the hyphen. */
const markPattern = /rollout.gate/;

/** The gate's own message, and the InfluxQL query that finds it. */
interface GateMessage {
  topic: string;
  payload: string;
  query: string;
}

/** A message of a measurement, and the row that is made of it. */
interface Probe {
  topic: string;
  payload: string;
  row: StoredPoint;
}

const quotedText = (text: string): string => `'${text.replaceAll(/[\\']/g, "\\$&")}'`;

/**
 * A message as the gateway would publish it, marked by its tags. Its time lies before what dashboards and
 * their variables look at, and within the retention, so that nobody takes it for a battery's. Where no
 * message of the model has a time of its own it is stored at its arrival, and its mark is of this rollout
 * alone. Tags that take no text, such as a number in a list, have no mark: the row then is a unit's own.
 * @param now ms since 1970.
 * @throws Error if no message can be made of the model.
 */
export function gateMessage(model: Model, retention: string, now: number): GateMessage {
  const time = now - Math.min(8 * 86_400, durationSeconds(retention) / 2) * 1000;
  const probe = probeOf(model, retention, { time, now });
  const { topic, payload, row } = probe;
  const second = row.time === undefined ? 0 : Number(row.time / 1_000_000_000n) * 1000;
  const conditions = [
    ...tagConditions(row),
    ...(row.time === undefined
      ? // By the site's clock, which may be another.
        [`time >= now() - ${isMarked(probe) ? "1h" : "1m"}`]
      : [`time >= ${second}ms`, `time <= ${second + 999}ms`]),
  ];
  const [field] = Object.keys(row.fields);
  return {
    topic,
    payload,
    query: `SELECT "${field}" FROM "${row.table}" WHERE ${conditions.join(" AND ")}`,
  };
}

const isMarked = ({ row }: Probe) => Object.values(row.tags).some((text) => markPattern.test(text));

const tagConditions = ({ tags }: StoredPoint) =>
  Object.entries(tags).map(([name, text]) => `"${name}" = ${quotedText(text)}`);

/** @throws Error if no message can be made of the model. */
function probeOf(model: Model, retention: string, times: Record<"time" | "now", number>): Probe {
  const probes = probesOf(model, retention, times);
  const timed = probes.filter(({ row }) => row.time !== undefined);
  const probe = timed.find(isMarked) ?? probes.find(isMarked) ?? timed[0] ?? probes[0];
  if (!probe) throw new Error(`no message can be made that the model ${model.name} would store`);
  return probe;
}

/** Marked messages, a second apart by their own time, and the query in SQL that counts their rows. */
export interface MarkedSeries {
  message(n: number): Pick<GateMessage, "topic" | "payload">;
  sql: string;
}

/**
 * The series lies an hour before where gates have their message, and takes no more than half an hour.
 * @returns undefined where rows of the model cannot be told from a battery's.
 */
export function markedSeries(
  model: Model,
  retention: string,
  now: number,
): MarkedSeries | undefined {
  const most = durationSeconds(retention) - 3600;
  const begin = now - Math.min(8 * 86_400 + 3600, (3 * most) / 4) * 1000;
  const at = (n: number) => probeOf(model, retention, { time: begin + n * 1000, now });
  const first = at(0);
  if (most < 3600 || !isMarked(first)) return undefined;
  const { row } = first;
  const [from, to] = [begin, begin + 1_800_000].map((time) => new Date(time).toISOString());
  const conditions = [
    ...tagConditions(row),
    row.time === undefined
      ? "time >= now() - INTERVAL '1 hour'"
      : `time >= '${from}' AND time < '${to}'`,
  ];
  return {
    message: (n) => at(n),
    sql: `SELECT count(*) AS count FROM "${row.table}" WHERE ${conditions.join(" AND ")}`,
  };
}

/** What could be published, with its row: of each field of each measurement, its numbers first. */
function probesOf(
  model: Model,
  retention: string,
  { time, now }: Record<"time" | "now", number>,
): Probe[] {
  const read = readerOf(model, retention);
  return model.measurements.flatMap((measurement) => {
    const isTimed = sourcesOf(measurement).some((source) => source.time);
    const mark = isTimed ? marker : `${marker}-${Math.floor(now / 1000)}`;
    const isNumber = ({ type }: Field) => type === "float" || type === "int";
    const fields = [...measurement.fields].sort(
      (a, b) => Number(isNumber(b)) - Number(isNumber(a)),
    );
    return fields.flatMap((field) => {
      const value = { float: 0, int: 0, bool: false, string: mark }[field.type];
      const content = { time, tag: () => mark, level: mark, fields: [[field, value] as const] };
      return buildMessages(measurement, content).flatMap(({ topic, payload }) => {
        const { points } = read(topic, payload, BigInt(now) * 1_000_000n);
        const row = points.find((point) => point.table === measurement.name);
        return row ? [{ topic, payload, row }] : [];
      });
    });
  });
}

/** A shell script for the broker's container; its standard input is mosquitto_pub's options. */
export const publishScript = (): string => renderScript("gate-publish.sh");

/**
 * A bash script for InfluxDB's container, which reaches Grafana too. It waits until both answer
 * with the marked message, and prints what did not happen in time.
 */
export function checkScript(
  { query }: Pick<GateMessage, "query">,
  { grafanaPassword, limitSeconds }: Pick<GateArgs, "grafanaPassword" | "limitSeconds">,
): string {
  const grafanaQuery = {
    refId: "A",
    datasource: { uid: sources.telemetry },
    query,
    rawQuery: true,
    resultFormat: "table",
  };
  return renderScript("gate-check.sh", {
    ...apiPlaceholders,
    limitSeconds,
    query: quoted(`/query?db=${databases.telemetry}&q=${encodeURIComponent(query)}`),
    grafanaPassword: quoted(grafanaPassword),
    grafanaQuery: quoted(JSON.stringify({ from: "0", to: "now", queries: [grafanaQuery] })),
    grafanaPort,
  });
}

/**
 * What is wrong with containers: one that is missing, not well, or was restarted too often. Of one
 * that is not well it holds several lines, with the last ones of its log.
 */
export async function unhealthyContainers({
  site,
  containers,
  restarts,
  ...place
}: EnginePlace & Pick<GateArgs, "site" | "containers" | "restarts">): Promise<string[]> {
  const found = await containersAt({ ...place, name: site });
  if (found.length === 0) return [`no container of ${site} is there`];
  return containers.flatMap((name) => {
    const status = found.find(({ container }) => container === name);
    if (!status) return [`${name} is missing`];
    if (status.report) return [status.report];
    return status.restarts > restarts
      ? [`${name} was restarted ${status.restarts} times, and ${restarts} are allowed`]
      : [];
  });
}

/** Publishes a message as the gateway does. @throws Error where the broker does not take it. */
export async function publish(
  site: EnginePlace & Pick<GateArgs, "site" | "gatewayPassword">,
  { topic, payload }: Pick<GateMessage, "topic" | "payload">,
): Promise<void> {
  const options = [
    "-u gateway",
    `-P ${site.gatewayPassword}`,
    "-h 127.0.0.1",
    "-q 1",
    `-t ${topic}`,
    `-m ${payload}`,
  ];
  await docker(
    site,
    ["exec", "-i", `${site.site}-mosquitto`, "sh", "-c", publishScript()],
    `${options.join("\n")}\n`,
  );
}

/**
 * The gate is the data path itself: a marked message, published as `gateway`, arrives in InfluxDB
 * and is answered by Grafana's data source, and every container is healthy.
 * @returns what is wrong; nothing where the site works.
 * @throws Error where the engine cannot be reached.
 */
export async function gate(args: GateArgs): Promise<string[]> {
  const unhealthy = await unhealthyContainers(args);
  if (unhealthy.length > 0) return unhealthy;
  const marked = gateMessage(args.model, args.retention, Date.now());
  try {
    await publish(args, marked);
  } catch (error) {
    return [`the broker did not take the marked message: ${(error as Error).message}`];
  }
  const answer = await docker(
    args,
    ["exec", "-i", `${args.site}-influxdb`, "bash", "-s"],
    checkScript(marked, args),
  );
  return [...answer.trim().split("\n").filter(Boolean), ...(await unhealthyContainers(args))];
}
