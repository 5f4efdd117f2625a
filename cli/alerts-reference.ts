import type { Rule } from "@grafana/grafana-foundation-sdk/alerting";
import { alertGroups, type HubKindName, hubKinds, kindOf, type KindName, kinds } from "../alerts";
import type { Model } from "../configs/model";
import { profiles } from "../configs/profiles";
import { storageBudget } from "../configs/storage";
import { code, page, table } from "./markdown";

const names = Object.keys(kinds) as KindName[];
const hubNames = Object.keys(hubKinds) as HubKindName[];

const duration = (seconds: number): string =>
  seconds === 0
    ? "at once"
    : seconds % 86_400 === 0
      ? `${seconds / 86_400} d`
      : seconds % 3600 === 0
        ? `${seconds / 3600} h`
        : seconds % 60 === 0
          ? `${seconds / 60} min`
          : `${seconds} s`;

const kindRow = (name: KindName | HubKindName): string[] => {
  const kind = kindOf(name);
  return [
    `[${name}](#${name.toLowerCase()})`,
    kind.severity ?? "by the model",
    kind.pending === undefined ? "by the model" : duration(kind.pending),
    duration(kind.keep),
    kind.noData,
    kind.error,
    duration(kind.missing),
  ];
};

function entry(name: KindName | HubKindName): string {
  const { means, look, act, why } = kindOf(name);
  return [
    `### ${name}`,
    means,
    [`- **Look at:** ${look}`, `- **Do:** ${act}`, `- **Times and states:** ${why}`].join("\n"),
  ].join("\n\n");
}

const ruleRow = ({ title, for: pending, labels, annotations }: Rule): string[] => [
  code(title),
  labels?.severity ?? "",
  annotations?.fires ?? "",
  pending === "0s" ? "" : pending,
];

/** What a site's alerts are, and what to do; each alert's `runbook_url` leads to its entry. */
export function alertsReference(model: Model): string {
  const groups = alertGroups({
    model,
    site: "kiel-1",
    runbook: "docs/alerts.md",
    profile: profiles.pi,
    storage: storageBudget(model, { profile: "pi", retention: "90d", storage: {} }),
    certificateEnds: new Date("2027-06-30"),
    backup: { every: "1d" },
    uplink: true,
    engine: "ssh://pi@kiel-1",
  });
  const queries = groups.reduce(
    (sum, { interval, rules }) =>
      sum +
      (60 / interval) *
        rules.flatMap(({ data }) =>
          data.filter(({ datasourceUid }) => datasourceUid !== "__expr__"),
        ).length,
    0,
  );
  return page(
    "Alerts",
    "`up` deploys alert rules to the site's Grafana: those of the telemetry model, and those of the " +
      "pipeline. [operations.md](operations.md#alerts) tells how people are told, and how a site is muted.",
    "A rule's name is the kind of alert, and of what it is: `BessOutOfRangeBatterySoc`. Its labels are " +
      "`site`, `severity`, `kind`, `measurement`, `field`, `unit` and the model's tags. " +
      "`critical` needs somebody now, `warning` within working hours, `info` nobody. What is " +
      "critical is no warning too: the warning's rule leaves it out.",
    "## Kinds of alerts",
    "*For:* how long it must last. *Recovery:* how long it must be over before that is told; until then " +
      "it fires, so that what swings around a limit is one alert. *No data* and *error:* what it is " +
      "while its query answers nothing, or fails. *Forgotten:* when an alert whose unit comes in no answer any more is over.",
    table(
      ["kind", "severity", "for", "recovery", "no data", "error", "forgotten"],
      names.map(kindRow),
    ),
    "## What to do",
    ...names.map(entry),
    "## A hub's alerts",
    "`up` deploys these to the Grafana of [a hub](hub.md), for all sites that send to it.",
    table(
      ["kind", "severity", "for", "recovery", "no data", "error", "forgotten"],
      hubNames.map(kindRow),
    ),
    ...hubNames.map(entry),
    "## What there is not",
    "- **A low voltage of a few seconds** may come between two looks: the kernel's log has it.\n" +
      "- **An alert of Grafana itself:** where it is down, the outside watcher of `alerts.deadMan` calls.",
    `## The rules of the model ${code(model.name)}`,
    `At profile \`pi\`, with TLS: ${Math.round(queries)} queries a minute, each of all units together.`,
    table(
      ["rule", "severity", "fires when", "for"],
      groups.flatMap(({ rules }) => rules.map(ruleRow)),
    ),
  );
}
