import { createHash } from "node:crypto";
import { QueryBuilder, type Rule, RuleBuilder } from "@grafana/grafana-foundation-sdk/alerting";
import type { Builder, Dataquery } from "@grafana/grafana-foundation-sdk/cog";
import {
  TypeMathBuilder,
  TypeReduceBuilder,
  TypeThresholdBuilder,
} from "@grafana/grafana-foundation-sdk/expr";
import type { Severity } from "../configs/watch";
import { type InfluxQlSource, InfluxQueryBuilder } from "../dashboards";
import { type HubKindName, kindOf, type KindName } from "./kinds";

/** Rules that are evaluated together, one after the other. */
export interface AlertGroup {
  /** Unique in the folder. */
  name: string;
  /** Seconds between two evaluations. */
  interval: number;
  rules: Rule[];
}

/** What every rule of a site says. */
export interface SiteLabels {
  /** Name of the site. */
  site: string;
  /** Address of docs/alerts.md. */
  runbook: string;
}

/** One step of a rule: a query, or an expression over the steps before it. */
export interface Step {
  refId: string;
  source: string;
  /** Seconds back that `$timeFilter` looks. */
  seconds: number;
  model: Builder<Dataquery>;
}

/** What an alert is of. */
export interface RuleOptions {
  kind: KindName | HubKindName;
  /** What follows the kind in the name, in CamelCase. Default: nothing. */
  of?: string;
  /** Default: the kind's. */
  severity?: Severity;
  /** Seconds that it must last. Default: the kind's. */
  pending?: number;
  /** What it is while nothing is answered. Default: the kind's. */
  noData?: "OK";
  /** In a few words, without values. */
  summary: string;
  /** With values, as Grafana's templates have them. */
  description: string;
  /** When it fires, in words with numbers: a preview shows a change of it. */
  fires: string;
  labels?: Record<string, string>;
  /** uid of the dashboard to look at. */
  dashboard: string;
  /** From the queries to the condition, which is the last. */
  steps: Step[];
}

/** Where expressions are evaluated: by Grafana itself. */
const expressions = { type: "__expr__", uid: "__expr__" };

const expression = (refId: string, model: Builder<Dataquery>): Step => ({
  refId,
  source: expressions.uid,
  seconds: 0,
  model,
});

/**
 * One query for all units: a series of each.
 * @param seconds how far `$timeFilter` looks back.
 */
export const query = (
  refId: string,
  source: InfluxQlSource,
  influxQl: string,
  seconds: number,
): Step => ({
  refId,
  source,
  seconds,
  model: new InfluxQueryBuilder(influxQl, { source, legend: "" }, refId),
});

/** The last point of each series. */
export const last = (refId: string, of: string): Step =>
  expression(
    refId,
    new TypeReduceBuilder().refId(refId).datasource(expressions).expression(of).reducer("last"),
  );

/** Whether a number is over, under, or strictly outside or inside two numbers. */
export const threshold = (
  refId: string,
  of: string,
  type: "gt" | "lt" | "outside_range" | "within_range",
  params: number[],
): Step =>
  expression(
    refId,
    new TypeThresholdBuilder()
      .refId(refId)
      .datasource(expressions)
      .expression(of)
      .conditions([{ evaluator: { type, params } }]),
  );

/** A formula over the steps before, such as `$C && !$D`. */
export const math = (refId: string, formula: string): Step =>
  expression(refId, new TypeMathBuilder().refId(refId).datasource(expressions).expression(formula));

/** Seconds as Grafana spells them, so that its answer is what was sent: `7m30s`, `2h`, `1d`. */
export function duration(seconds: number): string {
  if (seconds === 0) return "0s";
  if (seconds % 86_400 === 0) {
    const days = seconds / 86_400;
    return days % 7 === 0 ? `${days / 7}w` : `${days}d`;
  }
  const parts: [number, string][] = [
    [Math.floor(seconds / 3600), "h"],
    [Math.floor((seconds % 3600) / 60), "m"],
    [seconds % 60, "s"],
  ];
  return parts.map(([count, unit]) => (count > 0 ? `${count}${unit}` : "")).join("");
}

/** A name of the model in CamelCase: `ac_a_voltage` is `AcAVoltage`. */
export const camelCase = (name: string): string =>
  name.replace(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** Longest uid that Grafana takes. */
const longestUid = 40;

function uidOf(name: string): string {
  if (name.length <= longestUid) return name;
  const hash = createHash("sha256").update(name).digest("hex").slice(0, 8);
  return `${name.slice(0, longestUid - 9)}-${hash}`;
}

/**
 * A rule with all that an alert of its kind has.
 * @param interval seconds between two evaluations.
 */
export function rule(options: RuleOptions, { site, runbook }: SiteLabels, interval: number): Rule {
  const kind = kindOf(options.kind);
  const name = options.kind + (options.of ?? "");
  const { severity = kind.severity ?? "warning", pending = kind.pending ?? 0 } = options;
  const made = new RuleBuilder(name)
    .uid(uidOf(name))
    .forDuration(duration(pending))
    .keepFiringFor(duration(kind.keep))
    .missingSeriesEvalsToResolve(Math.max(1, Math.ceil(kind.missing / interval)))
    .noDataState(options.noData ?? kind.noData)
    .execErrState(kind.error)
    .condition(options.steps.at(-1)?.refId ?? "")
    .labels({ site, severity, kind: options.kind, ...options.labels })
    .annotations({
      summary: options.summary,
      description: options.description,
      fires: options.fires,
      runbook_url: `${runbook}#${options.kind.toLowerCase()}`,
      dashboard: `/d/${options.dashboard}`,
    });
  for (const { refId, source, seconds, model } of options.steps)
    made.withQuery(
      new QueryBuilder(refId)
        .datasourceUid(source)
        .model(model)
        .relativeTimeRange({ from: seconds, to: 0 }),
    );
  return made.build();
}
