import { apiPlaceholders, databases } from "../../configs/influxdb";
import { buildMessages } from "../../configs/message";
import { first, type Model } from "../../configs/model";
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

/** The gate's own message, and the InfluxQL query that finds it. */
interface GateMessage {
  topic: string;
  payload: string;
  query: string;
}

/**
 * A message as the gateway would publish it, marked by its tags. Its time lies before what
 * dashboards and their variables look at, and within the retention, so that nobody takes it for a
 * battery's.
 * @param now ms since 1970.
 */
export function gateMessage(model: Model, retention: string, now: number): GateMessage {
  const measurement = first(model.measurements);
  const { fields } = measurement;
  const time = now - Math.min(8 * 86_400, durationSeconds(retention) / 2) * 1000;
  const field = fields.find(({ type }) => type === "float" || type === "int") ?? first(fields);
  const value = { float: 0, int: 0, bool: false, string: marker }[field.type];
  const messages = buildMessages(measurement, {
    time,
    tag: () => marker,
    level: marker,
    fields: [[field, value]],
  });
  const { topic, payload } = first(messages);
  const second = Math.floor(time / 1000) * 1000;
  return {
    topic,
    payload,
    query:
      `SELECT "${field.name}" FROM "${measurement.name}" ` +
      `WHERE "${first(measurement.tags).name}" = '${marker}' ` +
      `AND time >= ${second}ms AND time <= ${second + 999}ms`,
  };
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
  const options = [
    "-u gateway",
    `-P ${args.gatewayPassword}`,
    "-h 127.0.0.1",
    "-q 1",
    `-t ${marked.topic}`,
    `-m ${marked.payload}`,
  ];
  try {
    await docker(
      args,
      ["exec", "-i", `${args.site}-mosquitto`, "sh", "-c", publishScript()],
      `${options.join("\n")}\n`,
    );
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
