import type * as pulumi from "@pulumi/pulumi";
import type { weekdays } from "../configs/alerting";
import type { ImageKey } from "../configs/images";
import type { profiles } from "../configs/profiles";
import type { Scenario } from "../configs/scenarios";
import type { Severity } from "../configs/watch";
import type { SiteTransform } from "./transform";

/**
 * What a program decides about a site: the keys of docs/configuration.md, and `transform`.
 *
 * Most values are plain, and no `Input`: they decide which resources there are, and are checked
 * before any is made. A value that a program may know only later, or that is a secret, is an
 * `Input`: the TLS certificate and its key, and the values of `rotate`.
 */
export interface SiteArgs {
  /**
   * Name of the site. Containers, networks and volumes are named after it.
   * @example
   * ```ts
   * { name: "kiel-1" }
   * ```
   */
  name: string;
  /**
   * Docker engine to deploy on: `unix:///path`, `ssh://user@host` or `tcp://127.0.0.1:port`. A host
   * that is reached over SSH is checked first.
   * @default `DOCKER_HOST`, else the local engine
   * @example
   * ```ts
   * { engine: "ssh://pi@bess-pi.local" }
   * ```
   */
  engine?: string | undefined;
  /**
   * How OpenSSH reaches the host, where your own ssh config does not say it already.
   * @default `{}`
   * @example
   * ```ts
   * { ssh: { identity: "~/.ssh/sites", jump: "bastion.example" } }
   * ```
   */
  ssh?: SshArgs | undefined;
  /**
   * What is done to a host that is reached over SSH before anything is deployed on it.
   * @default `{}`: it is checked, and left as it is
   * @example
   * ```ts
   * { host: { prepare: true, reboot: true } }
   * ```
   */
  host?: HostPreparationArgs | undefined;
  /**
   * Size of the host: `dev` is a laptop, `pi` a Raspberry Pi with 4 GB, `server` a server with 16
   * GB.
   * @default `"dev"`
   * @example
   * ```ts
   * { profile: "pi" }
   * ```
   */
  profile?: keyof typeof profiles | undefined;
  /**
   * Telemetry model of the site: a YAML file, by an absolute path or relative to this package.
   * @default `"configs/telemetry.yaml"`
   * @example
   * ```ts
   * { model: "configs/models/m5bat.yaml" }
   * ```
   */
  model?: string | undefined;
  /**
   * Time zone of the site: of dashboards, quiet hours and times in messages.
   * @default dashboards show that of whoever looks; alerts take UTC
   * @example
   * ```ts
   * { timeZone: "Europe/Berlin" }
   * ```
   */
  timeZone?: string | undefined;
  /**
   * How long data is kept: rows as they came, or these and each tier of rollups, each as long as the
   * finer one at least. A whole number and one of ms, s, m, h, d, w; at least `1h`.
   * @default by profile: `30d` for dev, `90d` for pi, `365d` for server; rollups `365d` by the minute,
   * `3650d` by the hour and the day
   * @example
   * ```ts
   * { retention: { raw: "90d", minute: "730d" } }
   * ```
   */
  retention?: string | RetentionArgs | undefined;
  /**
   * The disk space that the site's data may take.
   * @default `{}`: what the model is expected to need
   * @example
   * ```ts
   * { storage: { max: "40GB" } }
   * ```
   */
  storage?: StorageArgs | undefined;
  /**
   * Whether `destroy` deletes the data volumes; an `up` must have seen it first.
   * @default `false`
   * @example
   * ```ts
   * { purge: true }
   * ```
   */
  purge?: boolean | undefined;
  /**
   * The broker: where it listens, and who may publish.
   * @default `{}`: MQTT on 127.0.0.1:1883, with passwords
   * @example
   * ```ts
   * { mqtt: { address: "0.0.0.0", websocket: { enabled: true } } }
   * ```
   */
  mqtt?: MqttArgs | undefined;
  /**
   * Publishes InfluxDB's API on the host.
   * @default off: only the site's own containers reach it
   * @example
   * ```ts
   * { influxdb: {} }
   * ```
   */
  influxdb?: InfluxDbPortArgs | undefined;
  /**
   * Your own interface beside Grafana, at one address with TLS: docs/interface.md.
   * @default none
   * @example
   * ```ts
   * { interface: { image: "registry.example/bess-interface:1.4.0", host: "kiel-1.example" } }
   * ```
   */
  interface?: OwnInterfaceArgs | undefined;
  /**
   * InfluxDB 3 Explorer.
   * @default `{}`: it runs
   * @example
   * ```ts
   * { explorer: { enabled: false } }
   * ```
   */
  explorer?: ExplorerPortArgs | undefined;
  /**
   * Grafana: where it listens, and what it allows without a login.
   * @default `{}`: on 127.0.0.1:3000, with a login
   * @example
   * ```ts
   * { grafana: { anonymous: true } }
   * ```
   */
  grafana?: GrafanaAccessArgs | undefined;
  /**
   * Alerts: who is told of them, and when.
   * @default `{}`: rules are deployed, and nobody is told
   * @example
   * ```ts
   * { alerts: { contacts: { duty: { ntfy: { url: "https://ntfy.sh/kiel-1" } } } } }
   * ```
   */
  alerts?: AlertArgs | undefined;
  /**
   * Backups of the site's data.
   * @default none
   * @example
   * ```ts
   * { backup: { to: "/mnt/usb/bess", password: config.requireSecret("backupPassword") } }
   * ```
   */
  backup?: BackupArgs | undefined;
  /**
   * Way to a hub, which gets the site's minutes: docs/uplink.md.
   * @default none
   * @example
   * ```ts
   * {
   *   uplink: {
   *     url: "https://hub.example:8427/api/v1/write",
   *     token: config.requireSecret("uplinkToken"),
   *   },
   * }
   * ```
   */
  uplink?: UplinkArgs | undefined;
  /**
   * When `bess fleet up` may touch the site; `pulumi up` does not go by it.
   * @default `{}`: at any time
   * @example
   * ```ts
   * { update: { window: { from: "01:00", to: "05:00" }, condition: "not-discharging" } }
   * ```
   */
  update?: UpdateArgs | undefined;
  /**
   * A simulated BESS, in the place of the battery's gateway.
   * @default `{}`: off
   * @example
   * ```ts
   * { simulator: { enabled: true, units: 4 } }
   * ```
   */
  simulator?: SimulationArgs | undefined;
  /**
   * Images other than the pinned ones, by service, and where they come from.
   * @default `{}`: the pinned images, from Docker Hub
   * @example
   * ```ts
   * { images: { grafana: "grafana/grafana:13.1.1", mirror: "mirror.lan:5000" } }
   * ```
   */
  images?: ImageArgs | undefined;
  /**
   * A new value makes a new secret, and touches only who uses it.
   * @default `{}`: the first secrets stay
   * @example
   * ```ts
   * { rotate: { gateway: "2026-11" } }
   * ```
   */
  rotate?: RotateArgs | undefined;
  /**
   * What is changed of a service's container and rendered files before they are made, where no key
   * does: docs/transform.md.
   * @default nothing
   * @example
   * ```ts
   * { transform: { telegraf: { container: { cpus: "0.5" } } } }
   * ```
   */
  transform?: SiteTransform | undefined;
}

/**
 * Images other than the pinned ones, by service, and where they come from. Each is pinned by a tag
 * other than latest, or by a digest.
 */
export interface ImageArgs extends Partial<Record<ImageKey, string | undefined>> {
  /**
   * Registry that mirrors Docker Hub: the site pulls from it every image that names no registry.
   * @default none: from Docker Hub
   * @example
   * ```ts
   * { images: { mirror: "mirror.lan:5000" } }
   * ```
   */
  mirror?: string | undefined;
  /**
   * Whether the site's engine pulls an image that it lacks; `never` where images are loaded by
   * hand (`bess images`).
   * @default `"missing"`
   * @example
   * ```ts
   * { images: { pull: "never" } }
   * ```
   */
  pull?: "missing" | "never" | undefined;
  /**
   * `digest`: no image is used but with the content that `bess images pin` has recorded.
   * @default `"none"`
   * @example
   * ```ts
   * { images: { verify: "none" } }
   * ```
   */
  verify?: "none" | "digest" | undefined;
}

/** Backups of a site's data by restic. */
export interface BackupArgs {
  /**
   * Where they are kept: a folder of the host, `sftp:`, `s3:` or `rest:`.
   * @example
   * ```ts
   * { backup: { to: "/mnt/usb/bess", password } }
   * ```
   */
  to: string;
  /**
   * Time between two.
   * @default `"1d"`
   * @example
   * ```ts
   * { backup: { to: "/mnt/usb/bess", password, every: "6h" } }
   * ```
   */
  every?: string | undefined;
  /**
   * Of how many days, weeks, months and years the last one is kept.
   * @default `{ daily: 7, weekly: 5, monthly: 12, yearly: 10 }`
   * @example
   * ```ts
   * { backup: { to: "/mnt/usb/bess", password, keep: { daily: 14 } } }
   * ```
   */
  keep?: BackupKeepArgs | undefined;
  /**
   * Password that encrypts them, which a site with backups must have; keep a copy away from the site and
   * from Pulumi's state.
   * @default none, which is refused
   * @example
   * ```ts
   * { backup: { to: "/mnt/usb/bess", password: config.requireSecret("backupPassword") } }
   * ```
   */
  password?: pulumi.Input<string> | undefined;
  /**
   * Whether the folder may be on the disk that holds the site's own data.
   * @default `false`
   * @example
   * ```ts
   * { backup: { to: "/srv/bess", password, sameDisk: true } }
   * ```
   */
  sameDisk?: boolean | undefined;
  /**
   * Login at S3 or at a REST server.
   * @default none
   * @example
   * ```ts
   * {
   *   backup: {
   *     to: "rest:https://backup.example/kiel-1",
   *     login: { user: "kiel-1", password: config.requireSecret("backupLogin") },
   *   },
   * }
   * ```
   */
  login?: BackupLoginArgs | undefined;
  /**
   * How the site logs in at an SFTP server: a private key, and the server's host keys.
   * @default none
   * @example
   * ```ts
   * {
   *   backup: {
   *     to: "sftp:backup@nas.lan:/backups/kiel-1",
   *     ssh: { key: config.requireSecret("backupKey"), knownHosts: "nas.lan ssh-ed25519 AAAA…" },
   *   },
   * }
   * ```
   */
  ssh?: BackupSshArgs | undefined;
}

/** How long backups are kept: the last one of each of so many days, weeks, months and years. */
export interface BackupKeepArgs {
  /**
   * Of how many days the last backup is kept.
   * @default `7`
   * @example
   * ```ts
   * { backup: { to: "/mnt/usb/bess", password, keep: { daily: 14 } } }
   * ```
   */
  daily?: number | undefined;
  /**
   * Of how many weeks the last backup is kept.
   * @default `5`
   * @example
   * ```ts
   * { backup: { to: "/mnt/usb/bess", password, keep: { weekly: 10 } } }
   * ```
   */
  weekly?: number | undefined;
  /**
   * Of how many months the last backup is kept.
   * @default `12`
   * @example
   * ```ts
   * { backup: { to: "/mnt/usb/bess", password, keep: { monthly: 24 } } }
   * ```
   */
  monthly?: number | undefined;
  /**
   * Of how many years the last backup is kept.
   * @default `10`
   * @example
   * ```ts
   * { backup: { to: "/mnt/usb/bess", password, keep: { yearly: 20 } } }
   * ```
   */
  yearly?: number | undefined;
}

/** Login at S3 or at a REST server. */
export interface BackupLoginArgs {
  /**
   * User of a REST server, or access key id of S3.
   * @example
   * ```ts
   * {
   *   backup: {
   *     to: "rest:https://backup.example/kiel-1",
   *     login: { user: "kiel-1", password: config.requireSecret("backupLogin") },
   *   },
   * }
   * ```
   */
  user: string;
  /**
   * The user's password, or the secret access key; a secret.
   * @example
   * ```ts
   * {
   *   backup: {
   *     to: "rest:https://backup.example/kiel-1",
   *     login: { user: "kiel-1", password: config.requireSecret("backupLogin") },
   *   },
   * }
   * ```
   */
  password: pulumi.Input<string>;
}

/** Login at an SFTP server. */
export interface BackupSshArgs {
  /**
   * Private key of the SFTP user, without a passphrase, PEM; a secret.
   * @example
   * ```ts
   * {
   *   backup: {
   *     to: "sftp:backup@nas.lan:/backups/kiel-1",
   *     ssh: { key: config.requireSecret("backupKey"), knownHosts: "nas.lan ssh-ed25519 AAAA…" },
   *   },
   * }
   * ```
   */
  key: pulumi.Input<string>;
  /**
   * The server's host keys, as `ssh-keyscan` prints them.
   * @example
   * ```ts
   * {
   *   backup: {
   *     to: "sftp:backup@nas.lan:/backups/kiel-1",
   *     ssh: { key: config.requireSecret("backupKey"), knownHosts: "nas.lan ssh-ed25519 AAAA…" },
   *   },
   * }
   * ```
   */
  knownHosts: string;
}

/** Way to a hub. */
export interface UplinkArgs {
  /**
   * Where the hub takes Prometheus remote write; `https://`.
   * @example
   * ```ts
   * { uplink: { url: "https://hub.example:8427/api/v1/write", token } }
   * ```
   */
  url: string;
  /**
   * User that the token is the password of, as at Grafana Cloud.
   * @default none: the token itself is sent
   * @example
   * ```ts
   * { uplink: { url, token, user: "123456" } }
   * ```
   */
  user?: string | undefined;
  /**
   * The site's token at the hub.
   * @example
   * ```ts
   * { uplink: { url, token: hub.requireOutput("siteTokens").apply((all) => all["kiel-1"]) } }
   * ```
   */
  token: pulumi.Input<string>;
  /**
   * Certificate of the authority that has signed the hub's, in PEM form.
   * @default the public ones
   * @example
   * ```ts
   * { uplink: { url, token, ca: readFileSync("hub-ca.pem", "utf8") } }
   * ```
   */
  ca?: string | undefined;
  /**
   * Fields that cross at full rate too: numbers, each as `measurement.field`.
   * @default `[]`
   * @example
   * ```ts
   * { uplink: { url, token, raw: ["battery.soc"] } }
   * ```
   */
  raw?: string[] | undefined;
}

/** When a rollout may touch a site, and what follows a failure. */
export interface UpdateArgs {
  /**
   * Maintenance window, by the clock of `timeZone`, or of UTC without one.
   * @default none: always
   * @example
   * ```ts
   * { update: { window: { from: "22:00", to: "04:00", days: ["tuesday"] } } }
   * ```
   */
  window?: UpdateWindowArgs | undefined;
  /**
   * What the battery must do, by the powers or currents of its model: `idle`, `not-discharging` or
   * `not-charging`.
   * @default none: anything
   * @example
   * ```ts
   * { update: { condition: "idle" } }
   * ```
   */
  condition?: "idle" | "not-discharging" | "not-charging" | undefined;
  /**
   * Keeps every rollout away until a time.
   * @default none
   * @example
   * ```ts
   * { update: { hold: { reason: "acceptance test", until: "2026-12-03T18:00" } } }
   * ```
   */
  hold?: UpdateHoldArgs | undefined;
  /**
   * How long a rollout waits for the window and the condition; after that the site is deferred.
   * @default `"1h"`
   * @example
   * ```ts
   * { update: { wait: "8h" } }
   * ```
   */
  wait?: string | undefined;
  /**
   * Whether a site whose update fails stays as it is, `halt`, or goes back to its previous revision,
   * `rollback`.
   * @default `"halt"`
   * @example
   * ```ts
   * { update: { onFailure: "rollback" } }
   * ```
   */
  onFailure?: "halt" | "rollback" | undefined;
}

/** A maintenance window. */
export interface UpdateWindowArgs {
  /**
   * When it opens.
   * @default at midnight
   * @example
   * ```ts
   * { update: { window: { from: "01:00", to: "05:00" } } }
   * ```
   */
  from?: string | undefined;
  /**
   * When it closes; before `from` it is a time of the next day.
   * @default at midnight
   * @example
   * ```ts
   * { update: { window: { from: "22:00", to: "04:00" } } }
   * ```
   */
  to?: string | undefined;
  /**
   * Days on which it opens, in full, such as `tuesday`.
   * @default each day
   * @example
   * ```ts
   * { update: { window: { days: ["saturday", "sunday"] } } }
   * ```
   */
  days?: string[] | undefined;
}

/** What keeps rollouts away from a site. */
export interface UpdateHoldArgs {
  /**
   * Why.
   * @example
   * ```ts
   * { update: { hold: { reason: "repair of the inverter", until: "2026-12-03T18:00Z" } } }
   * ```
   */
  reason: string;
  /**
   * When it ends: by the clock of `timeZone`, or with `Z` or an offset.
   * @example
   * ```ts
   * { update: { hold: { reason: "repair", until: "2026-12-03T18:00+01:00" } } }
   * ```
   */
  until: string;
}

/** A simulated BESS. */
export interface SimulationArgs {
  /**
   * Whether a simulated BESS publishes in the model's topics.
   * @default `false`
   * @example
   * ```ts
   * { simulator: { enabled: true } }
   * ```
   */
  enabled?: boolean | undefined;
  /**
   * How many units it simulates.
   * @default `2`
   * @example
   * ```ts
   * { simulator: { units: 4 } }
   * ```
   */
  units?: number | undefined;
  /**
   * Time between two messages of one unit.
   * @default `"1s"`
   * @example
   * ```ts
   * { simulator: { interval: "500ms" } }
   * ```
   */
  interval?: string | undefined;
  /**
   * Fault that its first unit has: docs/simulator.md.
   * @default none
   * @example
   * ```ts
   * { simulator: { scenario: "cell-overheats" } }
   * ```
   */
  scenario?: Scenario | undefined;
}

/** Grafana: where it listens, and what it allows without a login. */
export interface GrafanaAccessArgs {
  /**
   * Address that Grafana listens on.
   * @default `"127.0.0.1"`
   * @example
   * ```ts
   * { grafana: { address: "0.0.0.0" } }
   * ```
   */
  address?: string | undefined;
  /**
   * Port of Grafana on the host.
   * @default `3000`
   * @example
   * ```ts
   * { grafana: { port: 4000 } }
   * ```
   */
  port?: number | undefined;
  /**
   * Where Grafana's API is reached from where Pulumi runs.
   * @default `http://127.0.0.1` and the port, or a tunnel's own port where engine is `ssh://`
   * @example
   * ```ts
   * { grafana: { url: "http://127.0.0.1:3000" } }
   * ```
   */
  url?: string | undefined;
  /**
   * Whether other pages may embed panels.
   * @default `false`
   * @example
   * ```ts
   * { grafana: { embedding: true } }
   * ```
   */
  embedding?: boolean | undefined;
  /**
   * Whether anybody who reaches Grafana may view without a login.
   * @default `false`
   * @example
   * ```ts
   * { grafana: { anonymous: true } }
   * ```
   */
  anonymous?: boolean | undefined;
}

/** Alerts: who is told of them, and when. Addresses, tokens and passwords are an `Input`. */
export interface AlertArgs {
  /**
   * Whether alert rules are deployed.
   * @default `true`
   * @example
   * ```ts
   * { alerts: { enabled: false } }
   * ```
   */
  enabled?: boolean | undefined;
  /**
   * Address of docs/alerts.md where your people read it.
   * @default `"docs/alerts.md"`
   * @example
   * ```ts
   * { alerts: { runbook: "https://wiki.example/bess-alerts" } }
   * ```
   */
  runbook?: string | undefined;
  /**
   * Who is told, by a name, in one way each.
   * @default none: alerts are shown in Grafana alone
   * @example
   * ```ts
   * { alerts: { contacts: { duty: { ntfy: { url: "https://ntfy.sh/kiel-1" } } } } }
   * ```
   */
  contacts?: Record<string, ContactArgs> | undefined;
  /**
   * Mail server by which Grafana writes e-mails.
   * @default none
   * @example
   * ```ts
   * { alerts: { smtp: { host: "smtp.example.com:587", from: "bess@example.com" } } }
   * ```
   */
  smtp?: SmtpArgs | undefined;
  /**
   * Who misses the site when it is silent as a whole.
   * @default none
   * @example
   * ```ts
   * { alerts: { deadMan: { url: "https://hc-ping.com/0000" } } }
   * ```
   */
  deadMan?: DeadManArgs | undefined;
}

/** A mail server. */
export interface SmtpArgs {
  /**
   * Its name and port.
   * @example
   * ```ts
   * { alerts: { smtp: { host: "smtp.example.com:587", from: "bess@example.com" } } }
   * ```
   */
  host: string;
  /**
   * Who writes.
   * @example
   * ```ts
   * { alerts: { smtp: { host: "smtp.example.com:587", from: "bess@example.com" } } }
   * ```
   */
  from: string;
  /**
   * User at the mail server.
   * @default none
   * @example
   * ```ts
   * { alerts: { smtp: { host: "a:25", from: "b@c.de", user: "bess", password: "x" } } }
   * ```
   */
  user?: string | undefined;
  /**
   * The user's password; secret.
   * @default none
   * @example
   * ```ts
   * { alerts: { smtp: { host: "a:25", from: "b@c.de", user: "bess", password: "x" } } }
   * ```
   */
  password?: pulumi.Input<string> | undefined;
}

/** An outside watcher. */
export interface DeadManArgs {
  /**
   * Its address; secret.
   * @example
   * ```ts
   * { alerts: { deadMan: { url: "https://hc-ping.com/0000" } } }
   * ```
   */
  url: pulumi.Input<string>;
  /**
   * Time between two messages.
   * @default `"5m"`
   * @example
   * ```ts
   * { alerts: { deadMan: { url: "https://hc-ping.com/0000", every: "10m" } } }
   * ```
   */
  every?: string | undefined;
}

/** Somebody who is told: one way, and of what. */
export interface ContactArgs {
  /**
   * By e-mail.
   * @example
   * ```ts
   * { email: { addresses: ["duty@example.com"] } }
   * ```
   */
  email?: { addresses: string[] } | undefined;
  /**
   * By a webhook.
   * @example
   * ```ts
   * { webhook: { url: "https://hooks.example/bess" } }
   * ```
   */
  webhook?:
    | {
        url: pulumi.Input<string>;
        user?: string | undefined;
        password?: pulumi.Input<string> | undefined;
        token?: pulumi.Input<string> | undefined;
      }
    | undefined;
  /**
   * By Slack.
   * @example
   * ```ts
   * { slack: { url: "https://hooks.slack.com/services/T/B/x" } }
   * ```
   */
  slack?: { url: pulumi.Input<string> } | undefined;
  /**
   * By Microsoft Teams.
   * @example
   * ```ts
   * { teams: { url: "https://example.webhook.office.com/x" } }
   * ```
   */
  teams?: { url: pulumi.Input<string> } | undefined;
  /**
   * By Telegram.
   * @example
   * ```ts
   * { telegram: { token: config.requireSecret("bot"), chat: "-1001234567890" } }
   * ```
   */
  telegram?: { token: pulumi.Input<string>; chat: string } | undefined;
  /**
   * By PagerDuty.
   * @example
   * ```ts
   * { pagerduty: { key: config.requireSecret("pagerduty") } }
   * ```
   */
  pagerduty?: { key: pulumi.Input<string> } | undefined;
  /**
   * By ntfy.
   * @example
   * ```ts
   * { ntfy: { url: "https://ntfy.sh/kiel-1" } }
   * ```
   */
  ntfy?: { url: pulumi.Input<string>; token?: pulumi.Input<string> | undefined } | undefined;
  /**
   * By an Alertmanager.
   * @example
   * ```ts
   * { alertmanager: { url: "https://alertmanager.example" } }
   * ```
   */
  alertmanager?:
    | {
        url: pulumi.Input<string>;
        user?: string | undefined;
        password?: pulumi.Input<string> | undefined;
      }
    | undefined;
  /**
   * How grave an alert is of which it is told.
   * @default `["critical", "warning"]`
   * @example
   * ```ts
   * { severities: ["critical"] }
   * ```
   */
  severities?: Severity[] | undefined;
  /**
   * Hours and days in which only what is critical is told.
   * @default none
   * @example
   * ```ts
   * { quiet: { from: "22:00", to: "06:00" } }
   * ```
   */
  quiet?:
    | {
        from?: string | undefined;
        to?: string | undefined;
        days?: (typeof weekdays)[number][] | undefined;
      }
    | undefined;
}

/** Your own interface: its image, and where browsers reach it. */
export interface OwnInterfaceArgs {
  /**
   * Whether the interface runs.
   * @default `true`
   * @example
   * ```ts
   * {
   *   interface: {
   *     enabled: false,
   *     image: "registry.example/bess-interface:1.4.0",
   *     host: "kiel-1.example",
   *   },
   * }
   * ```
   */
  enabled?: boolean | undefined;
  /**
   * Your image of the interface, pinned by a tag or a digest.
   * @example
   * ```ts
   * {
   *   interface: {
   *     image: "registry.example/bess-interface:1.4.0",
   *     host: "kiel-1.example",
   *   },
   * }
   * ```
   */
  image: string;
  /**
   * Host name or IPv4 address by which browsers reach it.
   * @example
   * ```ts
   * {
   *   interface: {
   *     image: "registry.example/bess-interface:1.4.0",
   *     host: "192.168.1.20",
   *   },
   * }
   * ```
   */
  host: string;
  /**
   * Address of the host that it listens on.
   * @default `"127.0.0.1"`
   * @example
   * ```ts
   * {
   *   interface: {
   *     image: "registry.example/bess-interface:1.4.0",
   *     host: "kiel-1.example",
   *     address: "0.0.0.0",
   *   },
   * }
   * ```
   */
  address?: string | undefined;
  /**
   * Port of the host.
   * @default `8443`
   * @example
   * ```ts
   * {
   *   interface: {
   *     image: "registry.example/bess-interface:1.4.0",
   *     host: "kiel-1.example",
   *     port: 443,
   *   },
   * }
   * ```
   */
  port?: number | undefined;
  /**
   * Its certificate with its chain, and the key, in PEM form.
   * @default the proxy makes one, of an authority of its own
   * @example
   * ```ts
   * {
   *   interface: {
   *     image: "registry.example/bess-interface:1.4.0",
   *     host: "kiel-1.example",
   *     tls: { certificate, key },
   *   },
   * }
   * ```
   */
  tls?: OwnCertificateArgs | undefined;
  /**
   * E-mail address of its first user, `admin`.
   * @default `"admin@example.com"`
   * @example
   * ```ts
   * {
   *   interface: {
   *     image: "registry.example/bess-interface:1.4.0",
   *     host: "kiel-1.example",
   *     email: "duty@example.com",
   *   },
   * }
   * ```
   */
  email?: string | undefined;
  /**
   * File that the image reads its settings from.
   * @default `"/app/.env"`
   * @example
   * ```ts
   * {
   *   interface: {
   *     image: "registry.example/bess-interface:1.4.0",
   *     host: "kiel-1.example",
   *     environmentFile: "/srv/.env",
   *   },
   * }
   * ```
   */
  environmentFile?: string | undefined;
}

/** Certificate of an interface's proxy. */
export interface OwnCertificateArgs {
  /**
   * The certificate with its chain, in PEM form.
   * @example
   * ```ts
   * {
   *   interface: {
   *     image: "registry.example/bess-interface:1.4.0",
   *     host: "kiel-1.example",
   *     tls: { certificate, key },
   *   },
   * }
   * ```
   */
  certificate: pulumi.Input<string>;
  /**
   * The certificate's private key, in PEM form.
   * @example
   * ```ts
   * {
   *   interface: {
   *     image: "registry.example/bess-interface:1.4.0",
   *     host: "kiel-1.example",
   *     tls: { certificate, key },
   *   },
   * }
   * ```
   */
  key: pulumi.Input<string>;
}

/** InfluxDB 3 Explorer: whether it runs, and where it listens. */
export interface ExplorerPortArgs {
  /**
   * Whether InfluxDB 3 Explorer runs.
   * @default `true`
   * @example
   * ```ts
   * { explorer: { enabled: false } }
   * ```
   */
  enabled?: boolean | undefined;
  /**
   * Port of InfluxDB 3 Explorer on the host's 127.0.0.1.
   * @default `8888`
   * @example
   * ```ts
   * { explorer: { port: 9888 } }
   * ```
   */
  port?: number | undefined;
}

/** How long rows and each tier of rollups are kept. */
export interface RetentionArgs {
  /**
   * The rows as they came.
   * @default by profile
   * @example
   * ```ts
   * { retention: { raw: "180d" } }
   * ```
   */
  raw?: string | undefined;
  /**
   * Rollups by the minute.
   * @default `365d`, or as long as rows
   * @example
   * ```ts
   * { retention: { minute: "730d" } }
   * ```
   */
  minute?: string | undefined;
  /**
   * Rollups by the hour.
   * @default `3650d`, or as long as those by the minute
   * @example
   * ```ts
   * { retention: { hour: "7300d", day: "7300d" } }
   * ```
   */
  hour?: string | undefined;
  /**
   * Rollups by the day.
   * @default `3650d`, or as long as those by the hour
   * @example
   * ```ts
   * { retention: { day: "7300d" } }
   * ```
   */
  day?: string | undefined;
}

/** The disk space that a site's data may take. */
export interface StorageArgs {
  /**
   * Most of it: a number and MB, GB, TB, MiB, GiB or TiB. A model that is expected to need more is
   * refused.
   * @default what the model is expected to need
   * @example
   * ```ts
   * { storage: { max: "40GB" } }
   * ```
   */
  max?: string | undefined;
}

/** Where InfluxDB's API is published on the host. */
export interface InfluxDbPortArgs {
  /**
   * Address that InfluxDB listens on.
   * @default `"127.0.0.1"`
   * @example
   * ```ts
   * { influxdb: { address: "0.0.0.0" } }
   * ```
   */
  address?: string | undefined;
  /**
   * Port of InfluxDB's HTTP API on the host.
   * @default `8181`
   * @example
   * ```ts
   * { influxdb: { port: 9181 } }
   * ```
   */
  port?: number | undefined;
}

/** The broker: where it listens, and who may publish. */
export interface MqttArgs {
  /**
   * Address that the broker listens on.
   * @default `"127.0.0.1"`
   * @example
   * ```ts
   * { mqtt: { address: "0.0.0.0" } }
   * ```
   */
  address?: string | undefined;
  /**
   * Port of MQTT on the host.
   * @default `1883`
   * @example
   * ```ts
   * { mqtt: { port: 2883 } }
   * ```
   */
  port?: number | undefined;
  /**
   * Whether a gateway that has no password may publish the model's topics.
   * @default `false`
   * @example
   * ```ts
   * { mqtt: { anonymous: true } }
   * ```
   */
  anonymous?: boolean | undefined;
  /**
   * Gateways with a user and a password of their own, by the user's name.
   * @default none: all use the user `gateway`
   * @example
   * ```ts
   * { mqtt: { gateways: { bms: { measurements: ["battery"] } } } }
   * ```
   */
  gateways?: Record<string, GatewayArgs> | undefined;
  /**
   * Brokers of devices or plants that the site's broker fetches from, by a name.
   * @default none
   * @example
   * ```ts
   * { mqtt: { bridge: { victron: { address: "192.168.1.30", topics: ["N/+/battery/#"] } } } }
   * ```
   */
  bridge?: Record<string, BridgeArgs> | undefined;
  /**
   * MQTT over WebSocket.
   * @default `{}`: off
   * @example
   * ```ts
   * { mqtt: { websocket: { enabled: true } } }
   * ```
   */
  websocket?: WebSocketArgs | undefined;
  /**
   * MQTT over TLS.
   * @default off
   * @example
   * ```ts
   * { mqtt: { tls: { certificate, key: config.requireSecret("brokerKey") } } }
   * ```
   */
  tls?: MqttTlsArgs | undefined;
}

/** A gateway with a user of its own. It may publish its topics, and none of another's. */
export interface GatewayArgs {
  /**
   * Measurements of the model whose topics it may publish.
   * @default with no `topics` either: all
   * @example
   * ```ts
   * { measurements: ["battery"] }
   * ```
   */
  measurements?: string[] | undefined;
  /**
   * Topic patterns that it may publish.
   * @default none but those of `measurements`
   * @example
   * ```ts
   * { topics: ["battery/b1/status"] }
   * ```
   */
  topics?: string[] | undefined;
  /**
   * Its password, where it has one already.
   * @default a generated one
   * @example
   * ```ts
   * { password: config.requireSecret("bmsPassword") }
   * ```
   */
  password?: pulumi.Input<string> | undefined;
  /**
   * A new value makes a new generated password.
   * @default the first password stays
   * @example
   * ```ts
   * { rotation: "2026-11" }
   * ```
   */
  rotation?: string | undefined;
}

/** Another broker, and what is fetched from it. */
export interface BridgeArgs {
  /**
   * Its host, and its port with a `:`.
   * @example
   * ```ts
   * { address: "plant.example:8883" }
   * ```
   */
  address: string;
  /**
   * Topic patterns that are fetched.
   * @example
   * ```ts
   * { topics: ["N/+/battery/#"] }
   * ```
   */
  topics: string[];
  /**
   * What is put before the topics at the site's broker.
   * @default nothing
   * @example
   * ```ts
   * { prefix: "north/" }
   * ```
   */
  prefix?: string | undefined;
  /**
   * User at the other broker.
   * @default none
   * @example
   * ```ts
   * { username: "telemetry" }
   * ```
   */
  username?: string | undefined;
  /**
   * Its password.
   * @default none
   * @example
   * ```ts
   * { password: config.requireSecret("plantPassword") }
   * ```
   */
  password?: pulumi.Input<string> | undefined;
  /**
   * Certificate by which the other broker's is checked, PEM.
   * @default no TLS
   * @example
   * ```ts
   * { ca: readFileSync("plant.pem", "utf8") }
   * ```
   */
  ca?: string | undefined;
  /**
   * A message that the device wants regularly: its topic there, its text, and the time between two.
   * @default none
   * @example
   * ```ts
   * { keepalive: { topic: "R/c0619ab12345/keepalive", interval: "50s" } }
   * ```
   */
  keepalive?:
    | { topic: string; payload?: string | undefined; interval?: string | undefined }
    | undefined;
}

/** MQTT over TLS. */
export interface MqttTlsArgs {
  /**
   * Port of MQTT over TLS on the host.
   * @default `8883`
   * @example
   * ```ts
   * { mqtt: { tls: { port: 9883, certificate, key } } }
   * ```
   */
  port?: number | undefined;
  /**
   * The broker's certificate with its chain, PEM.
   * @example
   * ```ts
   * { mqtt: { tls: { certificate: readFileSync("broker.crt", "utf8"), key } } }
   * ```
   */
  certificate: pulumi.Input<string>;
  /**
   * The certificate's key, PEM; a secret.
   * @example
   * ```ts
   * { mqtt: { tls: { certificate, key: config.requireSecret("brokerKey") } } }
   * ```
   */
  key: pulumi.Input<string>;
}

/** MQTT over WebSocket. */
export interface WebSocketArgs {
  /**
   * Whether MQTT over WebSocket is offered.
   * @default `false`
   * @example
   * ```ts
   * { mqtt: { websocket: { enabled: true } } }
   * ```
   */
  enabled?: boolean | undefined;
  /**
   * Port of MQTT over WebSocket on the host.
   * @default `9001`
   * @example
   * ```ts
   * { mqtt: { websocket: { port: 10001 } } }
   * ```
   */
  port?: number | undefined;
}

/** What is done to a host before anything is deployed on it. */
export interface HostPreparationArgs {
  /**
   * Whether up prepares the host: Docker Engine, its group and log limits, kernel lines and udev
   * rules. Its user needs sudo without a password.
   * @default `false`
   * @example
   * ```ts
   * { host: { prepare: true } }
   * ```
   */
  prepare?: boolean | undefined;
  /**
   * Whether prepare may reboot the host where a kernel line asks for it.
   * @default `false`
   * @example
   * ```ts
   * { host: { prepare: true, reboot: true } }
   * ```
   */
  reboot?: boolean | undefined;
  /**
   * Whether prepare turns on unattended security updates.
   * @default `false`
   * @example
   * ```ts
   * { host: { prepare: true, updates: true } }
   * ```
   */
  updates?: boolean | undefined;
  /**
   * Stable names of USB serial adapters.
   * @default `[]`
   * @example
   * ```ts
   * { host: { prepare: true, udev: [{ symlink: "bms", vendor: "0403", product: "6001" }] } }
   * ```
   */
  udev?: UdevRuleArgs[] | undefined;
}

/** One USB serial adapter's stable name. */
export interface UdevRuleArgs {
  /**
   * Name of the link in /dev.
   * @example
   * ```ts
   * { host: { prepare: true, udev: [{ symlink: "bms", vendor: "0403", product: "6001" }] } }
   * ```
   */
  symlink: string;
  /**
   * USB vendor id, as lsusb shows it.
   * @example
   * ```ts
   * { host: { prepare: true, udev: [{ symlink: "bms", vendor: "0403", product: "6001" }] } }
   * ```
   */
  vendor: string;
  /**
   * USB product id, as lsusb shows it.
   * @example
   * ```ts
   * { host: { prepare: true, udev: [{ symlink: "bms", vendor: "0403", product: "6001" }] } }
   * ```
   */
  product: string;
  /**
   * Serial number of the adapter.
   * @default any adapter with these ids
   * @example
   * ```ts
   * {
   *   host: {
   *     prepare: true,
   *     udev: [{ symlink: "bms", vendor: "0403", product: "6001", serial: "A50285BI" }],
   *   },
   * }
   * ```
   */
  serial?: string | undefined;
}

/** How OpenSSH reaches a host. */
export interface SshArgs {
  /**
   * Private key file for the site.
   * @default the agent's keys, and those of your ssh config
   * @example
   * ```ts
   * { ssh: { identity: "~/.ssh/sites" } }
   * ```
   */
  identity?: string | undefined;
  /**
   * Host to jump over, as `ssh -J` takes it.
   * @default none
   * @example
   * ```ts
   * { ssh: { jump: "bastion.example" } }
   * ```
   */
  jump?: string | undefined;
  /**
   * File that holds the site's host key.
   * @default that of your ssh config
   * @example
   * ```ts
   * { ssh: { knownHosts: "~/.ssh/known_sites" } }
   * ```
   */
  knownHosts?: string | undefined;
}

/** Secrets that are made anew: any other value makes another one. */
export interface RotateArgs {
  /**
   * Password of the broker's user `gateway`, by which the battery's gateway publishes.
   * @default the first one stays
   * @example
   * ```ts
   * { rotate: { gateway: "2026-11" } }
   * ```
   */
  gateway?: pulumi.Input<string> | undefined;
  /**
   * Password of the broker's user `telegraf`.
   * @default the first one stays
   * @example
   * ```ts
   * { rotate: { telegraf: "2026-11" } }
   * ```
   */
  telegraf?: pulumi.Input<string> | undefined;
  /**
   * Password of the broker's user `monitor`, which reads the broker's own numbers.
   * @default the first one stays
   * @example
   * ```ts
   * { rotate: { monitor: "2026-11" } }
   * ```
   */
  monitor?: pulumi.Input<string> | undefined;
  /**
   * Password of Grafana's user `admin`.
   * @default the first one stays
   * @example
   * ```ts
   * { rotate: { grafana: "2026-11" } }
   * ```
   */
  grafana?: pulumi.Input<string> | undefined;
  /**
   * Telegraf's token for InfluxDB.
   * @default the first one stays
   * @example
   * ```ts
   * { rotate: { influxTelegraf: "2026-11" } }
   * ```
   */
  influxTelegraf?: pulumi.Input<string> | undefined;
  /**
   * Grafana's token for InfluxDB.
   * @default the first one stays
   * @example
   * ```ts
   * { rotate: { influxGrafana: "2026-11" } }
   * ```
   */
  influxGrafana?: pulumi.Input<string> | undefined;
  /**
   * The Explorer's token for InfluxDB.
   * @default the first one stays
   * @example
   * ```ts
   * { rotate: { influxExplorer: "2026-11" } }
   * ```
   */
  influxExplorer?: pulumi.Input<string> | undefined;
  /**
   * The rollups' token for InfluxDB.
   * @default the first one stays
   * @example
   * ```ts
   * { rotate: { influxRollup: "2026-11" } }
   * ```
   */
  influxRollup?: pulumi.Input<string> | undefined;
  /**
   * Key of the interface's tokens.
   * @default the first one stays
   * @example
   * ```ts
   * { rotate: { interface: "2026-11" } }
   * ```
   */
  interface?: pulumi.Input<string> | undefined;
}
