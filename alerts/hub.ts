import { modelsOf } from "../configs/hub-sites";
import {
  rowsMetric,
  siteLabel,
  siteMetrics,
  type UplinkSeries,
  uplinkSeries,
} from "../configs/uplink";
import { durationSeconds } from "../configs/units";
import { backupMetric } from "../configs/vmbackup";
import {
  hubDashboardUids,
  type HubDashboardOptions,
  hubMuted,
  hubQuery,
  hubSource,
  silentSeconds,
} from "../dashboards";
import type { HubKindName } from "./kinds";
import { type AlertGroup, rule, threshold } from "./rule";

/** What the alerts of a hub go by. */
export interface HubAlertOptions extends HubDashboardOptions {
  /** Address of docs/alerts.md. */
  runbook: string;
  /** Time between two backups. Default: there are none. */
  backupEvery?: string | undefined;
}

/** Seconds between two evaluations: sites send a minute at a time. */
const interval = 60;

/** How far back a silent site is looked for. */
const remembered = "1d";

interface HubRule {
  kind: HubKindName | "BessWatchdog";
  of?: string;
  /** What is compared, in PromQL: a series for each site, or one. */
  expr: string;
  is: ["gt" | "lt", number];
  summary: string;
  description: string;
  fires: string;
  dashboard: string;
}

/** A site's values with its model as a label, so that sites of one model can be compared. */
const withModel = (values: string): string =>
  `(${values}) * on (${siteLabel}) group_left (model) max by (${siteLabel}, model) (${siteMetrics.info})`;

/** The median of the sites of each site's model. */
const median = (values: string): string => `quantile by (model) (0.5, ${withModel(values)})`;

const ofSite = `{{ $labels.${siteLabel} }}`;

const silent: HubRule = {
  kind: "BessHubSiteSilent",
  expr: `time() - max by (${siteLabel}) (tlast_over_time(${siteMetrics.info}[${remembered}]))`,
  is: ["gt", silentSeconds],
  summary: `${ofSite} is silent`,
  description: `The newest minute of ${ofSite} at the hub is {{ humanizeDuration $values.A.Value }} old.`,
  fires: `the newest minute is older than ${silentSeconds} s`,
  dashboard: hubDashboardUids.site,
};

/** Rules that compare a site with the others of its model. */
function deviations(options: HubAlertOptions): HubRule[] {
  const models = modelsOf(options.sites);
  const measurements = new Set(
    models.flatMap((model) => model.measurements.map(({ name }) => name)),
  );
  const rows = [...measurements].map((name): HubRule => {
    const each = `avg by (${siteLabel}) (avg_over_time(${rowsMetric({ name })}[15m]))`;
    return {
      kind: "BessHubSiteDeviates",
      of: camel(name),
      expr: `${withModel(each)} / on (model) group_left () ${median(each)}`,
      is: ["lt", 0.7],
      summary: `${ofSite} sends fewer rows of ${name} than its like`,
      description: `${ofSite} sends {{ humanizePercentage $values.A.Value }} of the rows of ${name} that sites of the model {{ $labels.model }} send.`,
      fires: "a unit's rows are fewer than 70 % of the median",
      dashboard: hubDashboardUids.site,
    };
  });
  const charges = new Set(models.flatMap(socMetrics));
  const apart = [...charges].map((metric): HubRule => {
    const each = `max by (${siteLabel}) (${metric}) - min by (${siteLabel}) (${metric})`;
    return {
      kind: "BessHubBatteriesDeviate",
      of: camel(metric.replace(/^bess_|_avg$/g, "")),
      expr: `${withModel(each)} - on (model) group_left () ${median(each)}`,
      is: ["gt", 10],
      summary: `Batteries of ${ofSite} are further apart than those of its like`,
      description: `Their states of charge are {{ humanize $values.A.Value }} % further apart than the median of the sites of the model {{ $labels.model }}.`,
      fires: "the spread is 10 % over the median",
      dashboard: hubDashboardUids.site,
    };
  });
  return [...rows, ...apart];
}

const socMetrics = (model: Parameters<typeof uplinkSeries>[0]): string[] =>
  uplinkSeries(model).flatMap(({ kind, measurement, rolled, metric }: UplinkSeries) =>
    kind === "avg" &&
    measurement.fields.find(({ name }) => name === rolled.name)?.quantity === "state_of_charge"
      ? [metric]
      : [],
  );

const camel = (name: string): string =>
  name.replace(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** The alert that always fires while the hub works: an outside watcher waits for it. */
const watchdog = ({ storage }: HubAlertOptions): HubRule => ({
  kind: "BessWatchdog",
  // A database that is run elsewhere tells nothing but that it answers.
  expr: storage === "single" ? "min(up)" : "vector(1)",
  is: ["gt", 0],
  summary: "The hub is alive",
  description: "The hub works, from its door to Grafana.",
  fires: storage === "single" ? "the database and the door answer" : "the database answers",
  dashboard: hubDashboardUids.data,
});

/** Rules of the hub itself. A database that is run elsewhere tells nothing of its door. */
function ownRules({ storage, backupEvery }: HubAlertOptions): HubRule[] {
  if (storage !== "single") return [];
  const dashboard = hubDashboardUids.data;
  return [
    {
      kind: "BessHubDiskFull",
      expr: "100 * min(vm_free_disk_space_bytes / vm_total_disk_space_bytes)",
      is: ["lt", 15],
      summary: "The hub's disk is nearly full",
      description: "{{ humanize $values.A.Value }} % of the hub's disk is free.",
      fires: "less than 15 % of the disk is free",
      dashboard,
    },
    {
      kind: "BessHubRefuses",
      expr: 'sum(increase(vmauth_http_request_errors_total{reason="invalid_auth_token"}[15m]))',
      is: ["gt", 0],
      summary: "The hub refuses a token",
      description: "{{ humanize $values.A.Value }} requests were refused within 15 minutes.",
      fires: "a request has a token that is not known",
      dashboard,
    },
    {
      kind: "BessHubDoorDown",
      expr: 'min(up{job="vmauth"})',
      is: ["lt", 1],
      summary: "The hub's door is down",
      description: "vmauth does not answer: no site gets in.",
      fires: "vmauth does not answer",
      dashboard,
    },
    ...(backupEvery === undefined
      ? []
      : [
          {
            kind: "BessHubBackupTooOld" as const,
            expr: `time() - max(tlast_over_time(${backupMetric}[31d]))`,
            is: ["gt", 2 * durationSeconds(backupEvery)] satisfies ["gt", number],
            summary: "The hub's backup is too old",
            description: "The last backup is {{ humanizeDuration $values.A.Value }} old.",
            fires: `the last backup is older than ${2 * durationSeconds(backupEvery)} s`,
            dashboard,
          },
        ]),
  ];
}

/** Whether an alert is of a site, and not of the hub itself. */
const isOfSite = (kind: HubRule["kind"]): boolean =>
  kind.includes("Site") || kind.includes("Batteries");

/** Nobody is told of a site that is muted, or where a rollout works. What it told last counts. */
const notMuted = (expr: string): string => `(${expr}) unless on (${siteLabel}) (${hubMuted()})`;

/** The alert rules of a hub: pure functions of its sites' models. */
export function hubAlertGroups(options: HubAlertOptions): AlertGroup[] {
  const site = { site: "hub", runbook: options.runbook };
  const made = ({ expr, is: [type, limit], ...shown }: HubRule) => {
    const built = rule(
      {
        ...shown,
        steps: [
          {
            refId: "A",
            source: hubSource,
            seconds: 600,
            model: hubQuery(
              { expr: isOfSite(shown.kind) ? notMuted(expr) : expr, instant: true },
              "A",
            ),
          },
          threshold("B", "A", type, [limit]),
        ],
      },
      site,
      interval,
    );
    // What is told of a site has that site's name, which the query's own label gives.
    if (isOfSite(shown.kind)) delete built.labels?.site;
    return built;
  };
  const groups: AlertGroup[] = [
    { name: "sites", interval, rules: [silent, ...deviations(options)].map(made) },
    { name: "hub", interval, rules: ownRules(options).map(made) },
    { name: "watchdog", interval, rules: [watchdog(options)].map(made) },
  ];
  return groups.filter(({ rules }) => rules.length > 0);
}
