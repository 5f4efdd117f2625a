import type { Alerts } from "./alerting";
import { clonePlaceholders } from "./clones";
import { renderScript } from "./scripts";
import { quoted } from "./ssh";

/** Port of Grafana inside its container. */
export const port = 3000;

/** Where the site's containers reach it. */
export const url = `http://grafana:${port}`;

/** Paths inside Grafana's container. */
export const paths = {
  data: "/var/lib/grafana",
  password: "/run/secrets/grafana-admin-password",
  /** Secret key for a new volume. Grafana encrypts with it what it stores. */
  seed: "/run/secrets/grafana-secret-key",
  /** Secret key in use: it lies beside the data that it encrypts, and so outlives the stack. */
  secretKey: "/var/lib/grafana/.secret-key",
  start: "/etc/grafana/start.sh",
  smtpPassword: "/run/secrets/grafana-smtp-password",
  /** Seed of the stack whose objects are in the volume. */
  marker: "/var/lib/grafana/.stack",
} as const;

/** uids of the folders of dashboards and of alert rules. */
export const folders = { dashboards: "bess", alerts: "bess-alerts" } as const;

/** What begins the names of all that is made in Grafana for alerts; what has another is a person's. */
export const prefix = "bess-";

/** Name of a contact in Grafana. */
export const contactName = (contact: string): string => prefix + contact;

/** User by whom a site's own program reads alerts: a viewer. */
export const alertReader = `${prefix}reader`;

/** Where a site's alerts are read, and as whom. */
export interface AlertSource {
  /** Such as `http://grafana:3000`. */
  url: string;
  user: string;
  passwordFile: string;
}

/** Tag of annotations of what happened at a site: every dashboard draws them. */
export const eventTag = "bess";

/** Tags of an annotation that tells of a mute. Every dashboard shows it. */
export const muteTags = [eventTag, "mute"];

/** Kind of the rule that always fires: a sign of life for an outside watcher. */
export const watchdog = "BessWatchdog";

/** What a mute of a site is of: all its alerts but the sign of life, which an outside watcher waits for. */
export const muteMatchers = (site: string) => [
  { name: "site", value: site, isEqual: true, isRegex: false },
  { name: "kind", value: watchdog, isEqual: false, isRegex: false },
];

/** Tags of an annotation that tells of a deployment. */
export const deploymentTags = [eventTag, "deployment"];

/** Group of the templates that messages are made by. */
export const templates = "bess";

/** What a stack decides about Grafana. */
export interface GrafanaOptions {
  embedding: boolean;
  anonymous: boolean;
  /** Where browsers reach it through the interface's proxy. Default: at its own port. */
  rootUrl?: string | undefined;
  /** Mail server of alerts. */
  smtp?: Alerts["smtp"];
}

/** Grafana's settings as environment variables. Secrets are in the files that they name. */
export const environment = (options: GrafanaOptions): string[] => [
  `GF_SECURITY_ADMIN_PASSWORD__FILE=${paths.password}`,
  `GF_SECURITY_SECRET_KEY__FILE=${paths.secretKey}`,
  `GF_SECURITY_ALLOW_EMBEDDING=${options.embedding || options.rootUrl !== undefined}`,
  // The proxy takes the path away: Grafana's API stays where it is for all that call it inside.
  ...(options.rootUrl === undefined ? [] : [`GF_SERVER_ROOT_URL=${options.rootUrl}`]),
  `GF_AUTH_ANONYMOUS_ENABLED=${options.anonymous}`,
  "GF_AUTH_ANONYMOUS_ORG_ROLE=Viewer",
  "GF_USERS_ALLOW_SIGN_UP=false",
  // A site behind a slow link makes no connection that it does not need.
  "GF_ANALYTICS_REPORTING_ENABLED=false",
  "GF_ANALYTICS_CHECK_FOR_UPDATES=false",
  "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES=false",
  "GF_NEWS_NEWS_FEED_ENABLED=false",
  "GF_PLUGINS_PLUGIN_ADMIN_ENABLED=false",
  "GF_DASHBOARDS_MIN_REFRESH_INTERVAL=1s",
  ...(options.smtp
    ? [
        "GF_SMTP_ENABLED=true",
        `GF_SMTP_HOST=${options.smtp.host}`,
        `GF_SMTP_FROM_ADDRESS=${options.smtp.from}`,
        ...(options.smtp.user === undefined
          ? []
          : [`GF_SMTP_USER=${options.smtp.user}`, `GF_SMTP_PASSWORD__FILE=${paths.smtpPassword}`]),
      ]
    : []),
];

/**
 * Entrypoint: the data are cloned for another version of the image, and a volume with data keeps its
 * secret key, and takes the stack's admin password.
 */
export const startScript = (
  of: { site: string; image: string },
  at: Record<"secretKey" | "seed" | "data" | "password", string> = paths,
): string => {
  const { secretKey, seed, data, password } = at;
  const cloned = clonePlaceholders("grafana", of);
  return renderScript("grafana-start.sh", { ...cloned, secretKey, seed, data, password });
};

/** Where a script of Grafana's container finds its files and the API. */
const placeholders: Record<"marker" | "seed" | "password", string> & { port: number } = {
  marker: paths.marker,
  seed: paths.seed,
  password: paths.password,
  port,
};

/**
 * A shell script for Grafana's container: removes what another stack has left in the volume.
 * @param sources uids of the site's data sources.
 */
export const inheritScript = (sources: readonly string[], at = placeholders): string =>
  renderScript("grafana-inherit.sh", {
    ...at,
    prefix,
    templates,
    folder: folders.dashboards,
    alertFolder: folders.alerts,
    reader: alertReader,
    sources: sources.map((uid) => ({ uid })),
  });

/** A shell script for Grafana's container: one call of its API. @param body what is sent, as JSON. */
export const callScript = (
  method: string,
  path: string,
  body?: unknown,
  { password, port: at }: Pick<typeof placeholders, "password" | "port"> = placeholders,
): string =>
  renderScript("grafana-call.sh", {
    method,
    path: quoted(path),
    body: quoted(body === undefined ? "" : JSON.stringify(body)),
    password,
    port: at,
  });

/** Proves that Grafana answers and reaches its database. */
export const healthCheck = [
  "CMD-SHELL",
  `curl -fsS http://127.0.0.1:${port}/api/health | grep -q '"database": *"ok"'`,
];
