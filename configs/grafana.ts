import { renderScript } from "./scripts";

/** Port of Grafana inside its container. */
export const port = 3000;

/** Paths inside Grafana's container. */
export const paths = {
  data: "/var/lib/grafana",
  password: "/run/secrets/grafana-admin-password",
  /** Secret key for a new volume. Grafana encrypts with it what it stores. */
  seed: "/run/secrets/grafana-secret-key",
  /** Secret key in use: it lies beside the data that it encrypts, and so outlives the stack. */
  secretKey: "/var/lib/grafana/.secret-key",
  start: "/etc/grafana/start.sh",
} as const;

/** What a stack decides about Grafana. */
export interface GrafanaOptions {
  embedding: boolean;
  anonymous: boolean;
}

/** Grafana's settings as environment variables. Secrets are in the files that they name. */
export const environment = (options: GrafanaOptions): string[] => [
  `GF_SECURITY_ADMIN_PASSWORD__FILE=${paths.password}`,
  `GF_SECURITY_SECRET_KEY__FILE=${paths.secretKey}`,
  `GF_SECURITY_ALLOW_EMBEDDING=${options.embedding}`,
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
];

/** Entrypoint: a volume with data keeps its secret key, and takes the stack's admin password. */
export const startScript = (): string => {
  const { secretKey, seed, data, password } = paths;
  return renderScript("grafana-start.sh", { secretKey, seed, data, password });
};

/** Proves that Grafana answers and reaches its database. */
export const healthCheck = [
  "CMD-SHELL",
  `curl -fsS http://127.0.0.1:${port}/api/health | grep -q '"database": *"ok"'`,
];
