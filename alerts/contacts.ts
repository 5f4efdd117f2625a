import { type Alerts, type Contact, type Way, wayOf, weekdays } from "../configs/alerting";
import { contactName, prefix } from "../configs/grafana";
import { durationSeconds } from "../configs/units";
import { type Severity, severities } from "../configs/watch";
import { duration } from "./rule";

/** Who is told where nobody is: Grafana wants one. What reaches it is muted, and never sent. */
export const nobody = contactName("nobody");

/** The outside watcher. */
export const deadMan = contactName("dead-man");

/** A time that is always: what would reach {@link nobody} is muted by it. */
const always = "bess-always";

/** Quiet hours of a contact. */
const quietName = (contact: string): string => `${prefix}quiet-${contact}`;

const title = '{{ template "bess.title" . }}';
const message = '{{ template "bess.message" . }}';

/** Templates of a message's title and text: what, where, since when, and what to do. */
export const messageTemplates = (timeZone: string): string => {
  const time = (of: string) => `{{ .${of} | tz "${timeZone}" | date "2006-01-02 15:04:05 MST" }}`;
  return `{{ define "bess.title" -}}
{{ .CommonLabels.site }}{{ with .CommonLabels.unit }} {{ . }}{{ end }}: {{ len .Alerts.Firing }} firing, {{ len .Alerts.Resolved }} resolved
{{- with .CommonAnnotations.summary }}: {{ . }}{{ end }}
{{- end }}
{{ define "bess.message" -}}
{{ range .Alerts.Firing }}{{ .Labels.severity }}: {{ .Annotations.summary }}
{{ .Annotations.description }}
since ${time("StartsAt")}
what to do: {{ .Annotations.runbook_url }}

{{ end }}{{ range .Alerts.Resolved }}over: {{ .Annotations.summary }}
from ${time("StartsAt")} to ${time("EndsAt")}

{{ end }}
{{- end }}`;
};

/** How Grafana's provider names the list of each way's integrations. */
export const integrationLists = {
  email: "emails",
  webhook: "webhooks",
  slack: "slacks",
  teams: "teams",
  telegram: "telegrams",
  pagerduty: "pagerduties",
  ntfy: "webhooks",
  alertmanager: "alertmanagers",
} as const satisfies Record<Way, string>;

const bearer = (token: string | undefined) =>
  token === undefined ? {} : { authorizationScheme: "Bearer", authorizationCredentials: token };

const basic = ({
  user,
  password,
}: {
  user?: string | undefined;
  password?: string | undefined;
}) => ({
  ...(user !== undefined && { basicAuthUser: user }),
  ...(password !== undefined && { basicAuthPassword: password }),
});

const withQuery = (url: string, query: string) => `${url}${url.includes("?") ? "&" : "?"}${query}`;

/** A way's integration, as Grafana's provider takes it. */
const integrations: {
  [W in Way]: (settings: NonNullable<Contact[W]>) => Record<string, unknown>;
} = {
  email: ({ addresses }) => ({ addresses, singleEmail: true, subject: title, message }),
  webhook: ({ url, token, ...user }) => ({ url, ...basic(user), ...bearer(token), title, message }),
  slack: ({ url }) => ({ url, title, text: message }),
  teams: ({ url }) => ({ url, title, message }),
  telegram: ({ token, chat }) => ({
    token,
    chatId: chat,
    // A value may hold what another mode takes for markup.
    parseMode: "None",
    message: `${title}\n${message}`,
  }),
  pagerduty: ({ key }) => ({
    integrationKey: key,
    severity: "{{ .CommonLabels.severity }}",
    summary: title,
  }),
  ntfy: ({ url, token }) => ({
    url: withQuery(url, "template=grafana"),
    ...bearer(token),
    title,
    message,
  }),
  alertmanager: ({ url, ...user }) => ({ url, ...basic(user) }),
};

/** The integration of a contact. */
export function integrationOf(contact: Contact): Record<string, unknown> {
  const of = <W extends Way>(way: W) => {
    const settings = contact[way];
    if (!settings) throw new RangeError(`the contact has no ${way}`);
    return integrations[way](settings as NonNullable<Contact[W]>);
  };
  return of(wayOf(contact));
}

/** The integration of the outside watcher: it takes each message for a sign of life, and no recovery. */
export const deadManIntegration = ({ url }: { url: string }) => ({
  url,
  httpMethod: "POST",
  disableResolveMessage: true,
});

/** A time in which a policy tells nobody. */
export interface MuteTiming {
  name: string;
  intervals: {
    times?: { start: string; end: string }[];
    weekdays?: string[];
    location?: string;
  }[];
}

/** The times in which somebody is not told. */
export function muteTimings({ contacts }: Alerts, location: string): MuteTiming[] {
  const quiet = Object.entries(contacts).flatMap(([name, contact]): MuteTiming[] => {
    if (!contact.quiet) return [];
    const { from, to, days } = contact.quiet;
    // Hours over midnight are two.
    const times =
      from === undefined || to === undefined
        ? []
        : from < to
          ? [{ start: from, end: to }]
          : [
              { start: from, end: "24:00" },
              ...(to === "00:00" ? [] : [{ start: "00:00", end: to }]),
            ];
    return [
      {
        name: quietName(name),
        intervals: [
          ...(times.length > 0 ? [{ times, location }] : []),
          ...(days ? [{ weekdays: weekdays.filter((day) => days.includes(day)), location }] : []),
        ],
      },
    ];
  });
  return [{ name: always, intervals: [{ times: [{ start: "00:00", end: "24:00" }] }] }, ...quiet];
}

/** A condition on a label. */
interface Matcher {
  label: string;
  match: "=" | "=~";
  value: string;
}

/** Which alerts go to whom, as Grafana's provider takes it. */
export interface Policy {
  contactPoint: string;
  groupBies: string[];
  matchers?: Matcher[];
  continue?: boolean;
  muteTimings?: string[];
  groupWait?: string;
  groupInterval?: string;
  repeatInterval?: string;
  policies?: Policy[];
}

/** What is told together: all of one unit. One broken sensor is one message. */
const byUnit = ["site", "unit"];

/**
 * How long a message waits for others of its unit, and how often it is told what is new, and that it
 * still is so.
 */
const times = { groupWait: "5s", groupInterval: "1m", repeatInterval: "4h" };

const kindIs = (kind: string): Matcher[] => [{ label: "kind", match: "=", value: kind }];
const severityIn = (list: readonly Severity[]): Matcher[] => [
  { label: "severity", match: "=~", value: list.join("|") },
];

function contactPolicies(name: string, { severities: told, quiet }: Contact): Policy[] {
  const toContact = (matched: Severity[], muted: string[]): Policy[] => {
    if (matched.length === 0) return [];
    const mute = muted.length > 0 ? { muteTimings: muted } : {};
    const contactPoint = contactName(name);
    return [
      {
        contactPoint,
        groupBies: byUnit,
        matchers: severityIn(matched),
        continue: true,
        ...mute,
        // A link that is lost silences every unit: one message. A mute is not handed down.
        policies: [
          {
            contactPoint,
            groupBies: ["site", "kind"],
            matchers: kindIs("BessUnitSilent"),
            ...mute,
          },
        ],
      },
    ];
  };
  const listed = severities.filter((severity) => told.includes(severity));
  if (!quiet) return toContact(listed, []);
  // What is critical is told at any hour.
  return [
    ...toContact(
      listed.filter((severity) => severity === "critical"),
      [],
    ),
    ...toContact(
      listed.filter((severity) => severity !== "critical"),
      [quietName(name)],
    ),
  ];
}

/** Who is told of what. A rule that a person has made goes to the first contact. */
export function policyOf({ contacts, deadMan: watcher }: Alerts): Policy {
  const muted = { contactPoint: nobody, groupBies: byUnit, muteTimings: [always] };
  const [first] = Object.keys(contacts);
  const watchdog: Policy = watcher
    ? {
        contactPoint: deadMan,
        groupBies: ["site"],
        matchers: kindIs("BessWatchdog"),
        groupWait: "0s",
        groupInterval: duration(durationSeconds(watcher.every)),
        // A little sooner: one that is due by a hair's breadth would wait for the next turn.
        repeatInterval: duration(Math.floor(durationSeconds(watcher.every) * 0.9)),
      }
    : { ...muted, matchers: kindIs("BessWatchdog") };
  return {
    contactPoint: first === undefined ? nobody : contactName(first),
    groupBies: byUnit,
    ...times,
    policies: [
      watchdog,
      ...Object.entries(contacts).flatMap(([name, contact]) => contactPolicies(name, contact)),
      // What nobody wants to be told of is shown in Grafana alone.
      { ...muted, matchers: severityIn(severities) },
    ],
  };
}
