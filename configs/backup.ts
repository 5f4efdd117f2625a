import { createHash } from "node:crypto";
import { type BackupConfig, kindOf } from "./backup-schema";
import { paths as influxdb } from "./influxdb";
import { database as queue } from "./mosquitto";
import type { Profile } from "./profiles";
import { renderScript } from "./scripts";
import { quoted } from "./ssh";
import { queueBytes } from "./storage";
import { durationSeconds } from "./units";

/** Table of the pipeline's database with a row for each backup, and one each hour for its age. */
export const backupTable = "backup";

/** Tag of the site's backups in the repository, which others may share. */
const tag = "bess-telemetry";

/** Where the backup's containers find what they work on. */
export interface BackupPlaces {
  /** The backup's own volume: what it knows of earlier runs, and copies of databases. */
  state: string;
  secrets: string;
  /** For what no disk need see. */
  scratch: string;
  /** The folder of the host, where `to` is one. */
  target: string;
  /** Data volumes. */
  influxdb: string;
  mosquitto: string;
  grafana: string;
  interface: string;
}

/** Paths inside the containers of the backup and the copier. */
export const places: BackupPlaces = {
  state: "/backup",
  secrets: "/run/secrets",
  scratch: "/dev/shm/backup",
  target: "/target",
  influxdb: "/site/influxdb",
  mosquitto: "/site/mosquitto",
  grafana: "/site/grafana",
  interface: "/site/interface",
};

/** Scripts inside them. */
export const scripts = {
  start: "/etc/backup/start.sh",
  now: "/etc/backup/now.sh",
  copier: "/etc/backup/copier.py",
} as const;

/** Python of InfluxDB's image, which has SQLite's own interface. */
export const python = "/usr/lib/influxdb3/python/bin/python3";

/** Folder of InfluxDB's volume with second names of its files, and rows that its container writes. */
const linksFolder = ".backup";
export const rowsFolder = `${influxdb.data}/${linksFolder}/rows`;

/** What a site backs up, and where to. */
export interface BackupOptions {
  site: string;
  backup: Pick<BackupConfig, "to" | "every" | "keep" | "sameDisk">;
  /** Default: the containers' paths. */
  at?: BackupPlaces;
  /** Whether an interface of the user's own runs beside the site. Default: false. */
  interface?: boolean | undefined;
  /** Seconds until a backup that failed is tried again. Default: 600; more after each failure. */
  retrySeconds?: number;
  /** Seconds that the copier has. Default: 3600. */
  copySeconds?: number;
  /** Seconds between two backups, instead of `every`. */
  everySeconds?: number;
}

/** Names of the secrets' files. */
const secretFiles = {
  password: "password",
  "login-user": "login-user",
  "login-password": "login-password",
  "ssh-key": "ssh-key",
  "known-hosts": "known-hosts",
} as const;

/** The files that the scripts read secrets from. @param password of the repository. */
export function secretsOf<T>(
  {
    login,
    ssh,
  }: { login?: { user: T; password: T } | undefined; ssh?: { key: T; knownHosts: T } | undefined },
  password: T,
): { file: keyof typeof secretFiles; content: T }[] {
  return [
    { file: "password", content: password },
    ...(login
      ? [
          { file: "login-user" as const, content: login.user },
          { file: "login-password" as const, content: login.password },
        ]
      : []),
    ...(ssh
      ? [
          { file: "ssh-key" as const, content: ssh.key },
          { file: "known-hosts" as const, content: ssh.knownHosts },
        ]
      : []),
  ];
}

/** How the scripts reach the repository. @param cache whether restic keeps the repository's lists. */
const repositoryOf = ({ backup: { to }, at = places }: BackupOptions, cache: boolean) => ({
  to,
  repository: quoted(kindOf(to) === "folder" ? at.target : to),
  secrets: at.secrets,
  scratch: at.scratch,
  cache: cache ? `--cache-dir ${at.state}/cache` : "--no-cache",
});

const links = (at: BackupPlaces) => `${at.influxdb}/${linksFolder}`;

/** Entrypoint of the backup's container. */
export function startScript(options: BackupOptions): string {
  const { site, backup, at = places, retrySeconds = 600, copySeconds = 3600 } = options;
  const { to, keep, sameDisk } = backup;
  return renderScript("backup-start.sh", {
    ...repositoryOf(options, true),
    site,
    tag,
    table: backupTable,
    state: at.state,
    // What tells one place from another, as a word.
    place: createHash("sha256").update(to).digest("hex").slice(0, 16),
    otherDisks:
      kindOf(to) === "folder" && !sameDisk ? [{ to, target: at.target, state: at.state }] : [],
    copies: `${at.state}/copies`,
    links: `${links(at)}/${site} ${links(at)}/.admin-token`,
    parquet: `${at.influxdb}/${site}/dbs`,
    keep: Object.entries(keep)
      .filter(([, count]) => count > 0)
      .map(([age, count]) => `--keep-${age} ${count}`)
      .join(" "),
    everySeconds: options.everySeconds ?? durationSeconds(backup.every),
    retrySeconds,
    copySeconds,
  });
}

/** Asks the running container for a backup. */
export const nowScript = ({ at = places }: Pick<BackupOptions, "at"> = {}): string =>
  renderScript("backup-now.sh", { state: at.state, scratch: at.scratch });

/** The volume of the interface, where there is one. */
const interfacesOf = ({ interface: own, at = places }: Pick<BackupOptions, "interface" | "at">) =>
  own ? [{ volume: at.interface }] : [];

/** The program that makes copies of one moment, for Python. */
export const copierProgram = ({
  at = places,
  ...options
}: Pick<BackupOptions, "site" | "at" | "interface">): string =>
  renderScript("copier.py", {
    state: at.state,
    node: options.site,
    influxdb: at.influxdb,
    mosquitto: at.mosquitto,
    grafana: at.grafana,
    interfaces: interfacesOf({ ...options, at }),
    links: links(at),
    rows: `${links(at)}/rows`,
    queue,
    alive: `${at.scratch}-copier`,
  });

/** A script that prints the backups of a site, for a shell without any of its files. */
export const listScript = (options: BackupOptions): string =>
  renderScript("backup-list.sh", { ...repositoryOf(options, false), site: options.site, tag });

/** What is restored, and into which volumes. */
export interface RestoreOptions extends BackupOptions {
  /** Id of a backup. */
  snapshot: string;
  /** Whether data that is there may be set aside. */
  overwrite: boolean;
  /** Where the backup was made. Default: the containers' paths. */
  made?: BackupPlaces;
  /** Name of the site that the volumes are for. Default: the backup's own. */
  as?: string;
}

/** Fetches a backup into volumes; {@link restoreProgram} then gives it its place. */
export function restoreScript(options: RestoreOptions): string {
  const { snapshot, overwrite, at = places, made = places } = options;
  const own = interfacesOf(options);
  const copies = `${made.state}/copies`;
  return renderScript("backup-restore.sh", {
    ...repositoryOf(options, false),
    influxdb: at.influxdb,
    mosquitto: at.mosquitto,
    grafana: at.grafana,
    interface: own.map(({ volume }) => volume).join(" "),
    interfaces: own.map(({ volume }) => ({
      volume,
      stored: `${copies}/interface`,
      snapshot,
      scratch: at.scratch,
    })),
    overwrite: String(overwrite),
    snapshot,
    storedInfluxdb: made.influxdb,
    storedCopies: copies,
  });
}

/** Gives what was fetched its place, for Python. @param profile its rate decides the queue's room. */
export const restoreProgram = (
  { site, as = site, at = places, interface: own }: RestoreOptions,
  profile: Pick<Profile, "messageRate">,
): string =>
  renderScript("restore.py", {
    node: site,
    other: as,
    influxdb: at.influxdb,
    mosquitto: at.mosquitto,
    grafana: at.grafana,
    interfaces: interfacesOf({ interface: own, at }),
    linksFolder,
    queue,
    reserveBytes: queueBytes(profile),
  });

/** Proves that the container's loop runs; whether backups succeed, the dashboard tells. */
export const healthCheck = ["CMD", "test", "-e", `${places.scratch}/alive`];

/** The same of the copier. */
export const copierHealthCheck = ["CMD", "test", "-e", `${places.scratch}-copier`];
