import type { HubConfig } from "./hub";
import { renderScript } from "./scripts";
import { durationSeconds } from "./units";

/** Time of the last backup that succeeded, in seconds since 1970. */
export const backupMetric = "bess_hub_backup_timestamp_seconds";

/** Paths inside the container. */
export const paths = {
  start: "/etc/vmbackup/start.sh",
  data: "/storage",
  target: "/target",
  login: "/run/secrets/s3",
} as const;

/** Where the script finds what it works on, and VictoriaMetrics. */
export interface BackupPlaces {
  data: string;
  target: string;
  login: string;
  database: string;
  program: string;
  alive: string;
}

const places: BackupPlaces = {
  data: paths.data,
  target: paths.target,
  login: paths.login,
  database: "http://victoria-metrics:8428",
  program: "/vmbackup-prod",
  alive: "/tmp/alive",
};

type Backup = NonNullable<HubConfig["backup"]>;

/** Entrypoint: makes a backup each period, and keeps one of each of the last seven days. */
export const startScript = (
  { to, every, endpoint, login }: Backup,
  { at = places, everySeconds = durationSeconds(every), retrySeconds = 600 } = {},
): string =>
  renderScript("vmbackup-start.sh", {
    data: at.data,
    database: at.database,
    program: at.program,
    alive: at.alive,
    place: to.startsWith("/") ? `fs://${at.target}` : to,
    arguments: [
      ...(endpoint === undefined ? [] : [`-customS3Endpoint=${endpoint}`]),
      ...(login === undefined ? [] : [`-credsFilePath=${at.login}`]),
    ].join(" "),
    metric: backupMetric,
    everySeconds,
    retrySeconds,
  });

/** The login at S3, as AWS' own programs read it. */
export const loginFile = ({ user, password }: { user: string; password: string }): string =>
  `[default]\naws_access_key_id=${user}\naws_secret_access_key=${password}\n`;

/** Proves that the loop runs; whether backups succeed, an alert tells. */
export const healthCheck = ["CMD", "test", "-e", places.alive];
