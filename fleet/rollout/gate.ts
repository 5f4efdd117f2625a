import { spawn } from "node:child_process";
import { databases, apiScript } from "../../configs/influxdb";
import type { Model } from "../../configs/model";
import { isSsh, quoted, type SshTarget, remoteLine } from "../../configs/ssh";
import { durationSeconds } from "../../configs/units";
import { port as grafanaPort } from "../../configs/grafana";
import { sources } from "../../dashboards";
import { fillTopic, formatTime, type Json, place } from "../../configs/message";

/** Where a site's engine is. */
interface At {
  engine?: string;
  ssh: SshTarget["ssh"];
}

/** What the gate asks of a site. */
export interface GateArgs extends At {
  site: string;
  /** Names of the containers that it must have. */
  containers: string[];
  model: Model;
  retention: string;
  gatewayPassword: string;
  grafanaPassword: string;
  /** Seconds that a message may take until it can be queried. */
  limitSeconds: number;
  /** Restarts that a container may have had since it was made. */
  restarts: number;
}

/** Tag value of the gate's own messages. */
const marker = "rollout-gate";

interface Mark {
  topic: string;
  payload: string;
  query: string;
}

/**
 * A message as the gateway would publish it, marked. Its time lies before what dashboards and their variables look at,
 * and within the retention, so that nobody takes it for a battery.
 */
export function mark(model: Model, retention: string, now: number): Mark {
  const [measurement] = model.measurements;
  const time = now - Math.min(8 * 86_400, durationSeconds(retention) / 2) * 1000;
  const payload: Json = {};
  place(payload, measurement.time.path, formatTime(time, measurement.time.format));
  for (const { path } of measurement.tags) if (path) place(payload, path, marker);
  const field =
    measurement.fields.find(({ type }) => type === "float" || type === "int") ??
    measurement.fields[0];
  place(payload, field.path, field.type === "bool" ? false : field.type === "string" ? marker : 0);
  const at = [Math.floor(time / 1000) * 1000, Math.floor(time / 1000) * 1000 + 999];
  return {
    topic: fillTopic(measurement.topic, () => marker),
    payload: JSON.stringify(payload),
    query: `SELECT "${field.name}" FROM "${measurement.name}" WHERE "${measurement.tags[0].name}" = '${marker}' AND time >= ${at[0]}ms AND time <= ${at[1]}ms`,
  };
}

/** Runs `docker` at a site's engine; over SSH the site's own client. @throws Error with its last line. */
export function docker({ engine, ssh }: At, args: string[], input = ""): Promise<string> {
  const line = ["docker", ...args].map(quoted).join(" ");
  const env = { ...process.env, ...(engine && !isSsh(engine) && { DOCKER_HOST: engine }) };
  return new Promise((done, failed) => {
    // In a session of its own: a terminal's Ctrl-C lets what runs be finished.
    const child = spawn("sh", ["-c", isSsh(engine) ? remoteLine({ engine, ssh }, line) : line], {
      env,
      timeout: 120_000,
      detached: true,
    });
    let [said, complained] = ["", ""];
    child.stdout.on("data", (data: Buffer) => (said += data.toString()));
    child.stderr.on("data", (data: Buffer) => (complained += data.toString()));
    child.once("error", failed);
    child.once("close", (code, signal) =>
      code === 0
        ? done(said)
        : failed(
            new Error(
              complained.trim().split("\n").at(-1) || `docker ended with ${code ?? signal}`,
            ),
          ),
    );
    child.stdin.on("error", () => undefined).end(input);
  });
}

/** The broker's client reads its options from a file: an argument could be read in the process list. */
const publishing = `set -e; umask 077; mkdir -p /tmp/gate; trap 'rm -rf /tmp/gate' EXIT; cat > /tmp/gate/mosquitto_pub; XDG_CONFIG_HOME=/tmp/gate mosquitto_pub`;

/** A script for InfluxDB's container, which reaches Grafana too: waits until both answer with the marked message. */
export function checking(
  { query }: Mark,
  { grafanaPassword, limitSeconds }: Pick<GateArgs, "grafanaPassword" | "limitSeconds">,
): string {
  const asked = {
    refId: "A",
    datasource: { uid: sources.telemetry },
    query,
    rawQuery: true,
    resultFormat: "table",
  };
  const body = JSON.stringify({ from: "0", to: "now", queries: [asked] });
  return `${apiScript()}
wait_for() { # what command
  until "$2" | grep -q rollout_gate_found; do
    [ $SECONDS -lt ${limitSeconds} ] || { echo "$1 within ${limitSeconds} s"; exit 0; }
    sleep 0.5
  done
}
found() { grep -q "$1" && echo rollout_gate_found || true; }
stored() { call GET ${quoted(`/query?db=${databases.telemetry}&q=${encodeURIComponent(query)}`)} ''; printf '%s' "$answer" | found '"values"'; }
shown() {
  curl -sS -m 10 -K <(printf 'user = "admin:%s"\\n' ${quoted(grafanaPassword)}) -H 'Content-Type: application/json' \\
    -d ${quoted(body)} http://grafana:${grafanaPort}/api/ds/query | found '"values":\\[\\['
}
wait_for "the marked message was not in InfluxDB" stored
wait_for "Grafana's data source did not answer with the marked message" shown
`;
}

/** What is wrong with containers: one that is missing, not healthy, or was restarted too often. */
export async function unwell({
  site,
  containers,
  restarts,
  ...at
}: At & Pick<GateArgs, "site" | "containers" | "restarts">): Promise<string[]> {
  const ids = (await docker(at, ["ps", "-aq", "--filter", `label=bess-telemetry.site=${site}`]))
    .split(/\s+/)
    .filter(Boolean);
  if (ids.length === 0) return [`no container of ${site} is there`];
  const format =
    "{{.Name}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}} {{.RestartCount}}";
  const lines = (await docker(at, ["inspect", "--format", format, ...ids])).trim().split("\n");
  const found = new Map(
    lines.map((line) => [line.slice(1, line.indexOf(" ")), line.split(" ").slice(1)]),
  );
  return containers.flatMap((name) => {
    const [status, health, count] = found.get(name) ?? ["missing"];
    if (status !== "running" || health !== "healthy")
      return [`${name} is ${status === "running" ? health : status}`];
    return Number(count) > restarts
      ? [`${name} was restarted ${count} times, and ${restarts} are allowed`]
      : [];
  });
}

/**
 * The gate is the data path itself: a marked message, published as `gateway`, arrives in InfluxDB and is answered by
 * Grafana's data source, and every container is healthy.
 * @returns what is wrong; nothing where the site works.
 * @throws Error where the engine cannot be reached.
 */
export async function gate(args: GateArgs): Promise<string[]> {
  const before = await unwell(args);
  if (before.length > 0) return before;
  const marked = mark(args.model, args.retention, Date.now());
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
      ["exec", "-i", `${args.site}-mosquitto`, "sh", "-c", publishing],
      `${options.join("\n")}\n`,
    );
  } catch (error) {
    return [`the broker did not take the marked message: ${(error as Error).message}`];
  }
  const answer = await docker(
    args,
    ["exec", "-i", `${args.site}-influxdb`, "bash", "-s"],
    checking(marked, args),
  );
  return [...answer.trim().split("\n").filter(Boolean), ...(await unwell(args))];
}
