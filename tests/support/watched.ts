import type { Rule } from "@grafana/grafana-foundation-sdk/alerting";
import { alertGroups } from "../../alerts";
import { countedTables } from "../../configs/influxdb";
import { profiles } from "../../configs/profiles";
import type { Drop, Stored, StoredPoint } from "../../configs/reading";
import { storageBudget } from "../../configs/storage";
import { sources } from "../../dashboards";
import { RuleEvaluation } from "./alerting";
import { type InfluxQlEngine, together } from "./influxql";
import { pipelineRows } from "./pipeline-rows";
import { simulated, type SimulatedTime } from "./simulated";

const escaped = (text: string) => text.replaceAll(/[ ,=]/g, (character) => `\\${character}`);
const quoted = (text: string) => `"${text.replaceAll(/["\\]/g, (character) => `\\${character}`)}"`;

function literal(value: Stored): string {
  if (typeof value === "string") return quoted(value);
  return typeof value === "bigint" ? `${value}i` : String(value);
}

/** A point in line protocol, with its time in ms. */
export function lineOf({ table, tags, fields, time }: StoredPoint, arrival: number): string {
  const key = [table, ...Object.entries(tags).map(([name, text]) => `${name}=${escaped(text)}`)];
  const values = Object.entries(fields).map(([name, value]) => `${name}=${literal(value)}`);
  const at = time === undefined ? arrival : Number(time / 1_000_000n);
  return `${key.join(",")} ${values.join(",")} ${at}`;
}

/** Drops as Telegraf counts them. */
function dropLines(drops: Drop[], time: number): string[] {
  const counts = new Map<string, { drop: Drop; count: number }>();
  for (const drop of drops) {
    const key = [drop.table, drop.reason, drop.field].join("\n");
    counts.set(key, { drop, count: (counts.get(key)?.count ?? 0) + drop.count });
  }
  return [...counts.values()].map(({ drop: { table, reason, field, example }, count }) => {
    const key = `${countedTables.drops.table},measurement=${table},reason=${escaped(reason)}`;
    const of = field ? `,field=${field}` : "";
    return `${key}${of} count=${count}i,example=${quoted(example)} ${time}`;
  });
}

/** An alert that fired. */
export interface Fired {
  /** Name of the rule, and labels of the alert: `BessUnitSilentBattery id=battery-1`. */
  alert: string;
  /** Seconds from the fault's beginning to the first evaluation in which it fired. */
  after: number;
}

/** Seconds between two rounds: the shortest time between two evaluations of a rule. */
const round = 10;

/**
 * Runs the simulator on a clock of its own, stores what it publishes as it comes, and evaluates every
 * alert of its model and of a pipeline that is well, each at the rate of its group.
 */
export async function watched(
  engine: InfluxQlEngine,
  database: string,
  run: SimulatedTime,
): Promise<Fired[]> {
  const { model, from, faultFrom = 0 } = run;
  const storage = storageBudget(model, { profile: "pi", retention: "90d", storage: {} });
  const databases = { telemetry: database, pipeline: `${database}-pipeline` };
  const asks = {
    telemetry: together(engine.url, databases.telemetry),
    pipeline: together(engine.url, databases.pipeline),
  };
  const evaluations = alertGroups({
    model,
    site: "test",
    runbook: "docs/alerts.md",
    profile: profiles.pi,
    storage,
  }).flatMap(({ rules, interval }) =>
    rules.map((rule): [Rule, RuleEvaluation] => {
      const isOfPipeline = rule.data?.[0]?.datasourceUid === sources.pipeline;
      const ask = isOfPipeline ? asks.pipeline : asks.telemetry;
      return [rule, new RuleEvaluation(rule, interval, ask)];
    }),
  );
  const fired = new Map<string, number>();
  const waiting: { telemetry: string[]; pipeline: string[] } = { telemetry: [], pipeline: [] };
  for (const { time, points, drops } of simulated(run)) {
    waiting.telemetry.push(...points.map((point) => lineOf(point, time)));
    waiting.pipeline.push(...dropLines(drops, time));
    const second = (time - from) / 1000;
    if (second % round !== 0) continue;
    waiting.pipeline.push(...pipelineRows(time, second));
    await Promise.all(
      (["telemetry", "pipeline"] as const).map((kind) =>
        engine.write(databases[kind], waiting[kind].splice(0)),
      ),
    );
    await Promise.all(
      evaluations.map(async ([rule, evaluation]) => {
        if (second % evaluation.interval !== 0) return;
        await evaluation.evaluate(time);
        for (const [labels, state] of Object.entries(evaluation.states)) {
          const alert = `${rule.title} ${labels}`.trim();
          if (state === "firing" && !fired.has(alert)) fired.set(alert, second - faultFrom);
        }
      }),
    );
  }
  return [...fired].map(([alert, after]) => ({ alert, after })).sort((a, b) => a.after - b.after);
}
