import { readFileSync } from "node:fs";
import { type AlertSource, muteMatchers, watchdog } from "../configs/grafana";

/** An alert that fires. */
export interface FiringAlert {
  alertname: string;
  severity: string;
  /** Unit that it is of; empty where it is of the whole site. */
  unit: string;
  /** Whether nobody is told. */
  muted: boolean;
}

/** What a site's Grafana tells of its alerts now. */
export interface SiteAlerts {
  firing: FiringAlert[];
  /** When the last mute of the whole site ends, in seconds since 1970; 0 where it is not muted. */
  muteEnds: number;
}

/** An alert and a silence, as far as they are read, as Alertmanager has them. */
interface Alert {
  labels: Record<string, string>;
  status: { silencedBy?: string[] | null };
}
interface Silence {
  endsAt: string;
  status: { state: string };
  matchers: { name: string; value: string; isEqual?: boolean }[];
}

const textOf = (matchers: Silence["matchers"]): string =>
  matchers
    .map(({ name, value, isEqual = true }) => `${name}${isEqual ? "=" : "!="}${value}`)
    .sort()
    .join();

/** What Grafana's answers tell of a site. */
function siteAlerts(
  site: string,
  alerts: readonly Alert[],
  silences: readonly Silence[],
): SiteAlerts {
  const firing = alerts.flatMap(({ labels, status }): FiringAlert[] => {
    const { alertname = "", severity = "", unit = "", kind } = labels;
    if (kind === watchdog) return [];
    return [{ alertname, severity, unit, muted: (status.silencedBy ?? []).length > 0 }];
  });
  const whole = textOf(muteMatchers(site));
  const ends = silences
    .filter(({ status, matchers }) => status.state === "active" && textOf(matchers) === whole)
    .map(({ endsAt }) => Math.floor(Date.parse(endsAt) / 1000));
  return { firing, muteEnds: Math.max(0, ...ends) };
}

/** Asks a site's Grafana. @returns undefined while it does not answer. */
export async function askAlerts(
  site: string,
  { url, user, passwordFile }: AlertSource,
): Promise<SiteAlerts | undefined> {
  const password = readFileSync(passwordFile, "utf8").trimEnd();
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const ask = async (of: string): Promise<unknown> => {
    const answer = await fetch(new URL(`/api/alertmanager/grafana/api/v2/${of}`, url), {
      headers: { authorization },
      signal: AbortSignal.timeout(5000),
    });
    if (!answer.ok) throw new Error(`Grafana answers ${answer.status}`);
    return answer.json();
  };
  try {
    const [alerts, silences] = await Promise.all([ask("alerts"), ask("silences")]);
    return siteAlerts(site, alerts as Alert[], silences as Silence[]);
  } catch {
    // Grafana may be away: what it would tell is then missing at the hub.
    return undefined;
  }
}
