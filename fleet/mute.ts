import { contactName, muteMatchers, muteTags } from "../configs/grafana";
import { call, type Place, who } from "./grafana";

/** A time in which nobody is told of a site's alerts. */
export interface Mute {
  seconds: number;
  why: string;
}

const silences = "/api/alertmanager/grafana/api/v2/silences";

interface Silence {
  id: string;
  comment: string;
  createdBy: string;
  endsAt: string;
  status: { state: string };
  matchers: { name: string; value: string }[];
}

interface Annotation {
  id: number;
  text: string;
  timeEnd: number;
}

/**
 * Mutes a site's alerts from now on, and tells it on every dashboard. It ends by itself.
 * @returns when it ends.
 * @throws Error where the site is not reached, or Grafana refuses.
 */
export async function muteSite(site: Place, { seconds, why }: Mute): Promise<Date> {
  const start = new Date();
  const end = new Date(start.getTime() + seconds * 1000);
  await call(site, "POST", silences, {
    matchers: muteMatchers(site.name),
    startsAt: start.toISOString(),
    endsAt: end.toISOString(),
    createdBy: who(),
    comment: why,
  });
  await call(site, "POST", "/api/annotations", {
    time: start.getTime(),
    timeEnd: end.getTime(),
    tags: muteTags,
    text: `Muted by ${who()}: ${why}`,
  });
  return end;
}

/**
 * Ends the mutes of a site before their time.
 * @param why ends those alone that have this reason. Default: all.
 * @returns the reasons of those that are over now.
 */
export async function endMute(site: Place, why?: string): Promise<string[]> {
  const found = (await call(site, "GET", silences)) as Silence[];
  const ours = found.filter(
    ({ status, matchers: of, comment }) =>
      status.state !== "expired" &&
      of.some(({ name, value }) => name === "site" && value === site.name) &&
      (why === undefined || comment === why),
  );
  for (const { id } of ours)
    await call(site, "DELETE", `/api/alertmanager/grafana/api/v2/silence/${id}`);
  const now = Date.now();
  const tags = muteTags.map((tag) => `tags=${tag}`).join("&");
  const shown = (await call(site, "GET", `/api/annotations?${tags}&limit=1000`)) as Annotation[];
  for (const { id, timeEnd, text } of shown)
    if (timeEnd > now && ours.some(({ comment }) => text.endsWith(`: ${comment}`)))
      await call(site, "PATCH", `/api/annotations/${id}`, { timeEnd: now });
  return ours.map(({ comment }) => comment);
}

/** A contact of Grafana's, as far as a test of it needs it. */
interface Receiver {
  name: string;
  grafana_managed_receiver_configs?: { uid: string; [key: string]: unknown }[];
}

/** What Grafana tells of a test. */
interface TestResult {
  receivers?: { grafana_managed_receiver_configs?: { status?: string; error?: string }[] }[];
}

/**
 * Sends one message to a contact of a site, as an alert would.
 * @throws Error with why it was not taken.
 */
export async function testContact(site: Place, contact: string): Promise<void> {
  const name = contactName(contact);
  const config = (await call(site, "GET", "/api/alertmanager/grafana/config/api/v1/alerts")) as {
    alertmanager_config: { receivers: Receiver[] };
  };
  const receiver = config.alertmanager_config.receivers.find((one) => one.name === name);
  if (!receiver) throw new Error(`${contact} is not there yet: run up`);
  const path = "/api/alertmanager/grafana/config/api/v1/receivers/test";
  const result = (await call(site, "POST", path, {
    // Grafana knows the secrets of what has a uid.
    receivers: [receiver],
    alert: {
      labels: { alertname: "BessTest", site: site.name, severity: "info", kind: "BessTest" },
      annotations: {
        summary: "A test of this contact",
        description: `${who()} tests whether messages of ${site.name} arrive.`,
      },
    },
  })) as TestResult;
  const failed = (result.receivers ?? [])
    .flatMap((one) => one.grafana_managed_receiver_configs ?? [])
    .flatMap(({ status, error }) => (status === "failed" ? [error ?? "it failed"] : []));
  if (failed.length > 0) throw new Error(failed.join("; "));
}
