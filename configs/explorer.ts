import { databases, port as influxdbPort } from "./influxdb";
import { renderScript } from "./scripts";

/** Port of InfluxDB 3 Explorer inside its container. */
export const port = 8080;

/** Paths inside the Explorer's container. */
export const paths = {
  data: "/db",
  connection: "/app-root/config/config.json",
  session: "/run/secrets/explorer-session",
  start: "/app-root/config/start.sh",
} as const;

/** The Explorer's config: a connection to the site's InfluxDB, ready to use. */
export const connection = (site: string, influxdb: string, token: string) =>
  JSON.stringify({
    DEFAULT_INFLUX_SERVER: `http://${influxdb}:${influxdbPort}`,
    DEFAULT_INFLUX_DATABASE: databases.telemetry,
    DEFAULT_API_TOKEN: token,
    DEFAULT_SERVER_NAME: site,
  });

/** Entrypoint: hands the image its session secret, which it takes from the environment alone. */
export const startScript = (): string =>
  renderScript("explorer-start.sh", { session: paths.session });

/** Proves that the page answers. */
export const healthCheck = [
  "CMD-SHELL",
  `curl -fsS -o /dev/null http://127.0.0.1:${port}/ || ` +
    `wget -q -O /dev/null http://127.0.0.1:${port}/`,
];
