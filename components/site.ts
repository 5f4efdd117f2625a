import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { slowestEvaluation } from "../alerts";
import { kindOf } from "../configs/backup-schema";
import { checkSite } from "../configs/checks";
import { labels } from "../configs/containers";
import { schema } from "../configs/influxdb";
import type { Model } from "../configs/model";
import { profiles, type Profile } from "../configs/profiles";
import { retentionOf } from "../configs/retention";
import type { Retention } from "../configs/rollups";
import {
  hostPort,
  publishedPorts,
  siteImageIds,
  siteImages,
  type SiteConfig,
  siteServices,
} from "../configs/site";
import { apiTunnel, apiUrl, isSsh } from "../configs/ssh";
import { grafanaUrl, kioskUrl, originOf } from "../configs/interface";
import type { StorageBudget } from "../configs/storage";
import { Backup, Copier } from "./backup";
import { Explorer } from "./explorer";
import { Interface } from "./interface";
import { Grafana } from "./grafana";
import { Host } from "./host";
import { InfluxDb } from "./influxdb";
import { Mosquitto } from "./mosquitto";
import { Rollup } from "./rollup";
import { password } from "./secrets";
import type { ServiceContext } from "./service";
import { Simulator } from "./simulator";
import { withTablesCompared } from "./tables";
import type { SiteArgs } from "./site-args";
import { type LateValues, resolveSite } from "./site-values";
import { Telegraf } from "./telegraf";
import { checkTransform } from "./transform";

/**
 * A BESS site's telemetry pipeline on one Docker engine: broker, Telegraf, InfluxDB, its rollups,
 * Explorer, Grafana, and a simulated BESS where it is asked for.
 *
 * @example
 * #### A laptop with a simulated BESS
 *
 * ```ts
 * new Site("dev", { name: "dev", simulator: { enabled: true } });
 * ```
 *
 * #### A Raspberry Pi that is reached over SSH
 *
 * ```ts
 * const site = new Site("kiel-1", {
 *   name: "kiel-1",
 *   engine: "ssh://pi@kiel-1.example",
 *   profile: "pi",
 *   mqtt: { address: "0.0.0.0" },
 * });
 * export const grafanaPassword = site.grafanaPassword;
 * ```
 *
 * #### A site that needs what no key sets
 *
 * ```ts
 * new Site("kiel-1", {
 *   name: "kiel-1",
 *   transform: {
 *     telegraf: {
 *       container: { cpus: "0.5" },
 *       files: { "/etc/telegraf/telegraf.conf": (text) => `${text}\n[[inputs.net]]\n` },
 *     },
 *   },
 * });
 * ```
 */
export class Site extends pulumi.ComponentResource {
  /** Where each service is reached on the host, by its name. */
  readonly addresses: Record<string, string>;
  /** Digest of all that the site is made from but its secrets. */
  readonly revision: pulumi.Output<string>;
  /** Password of the gateway's user `gateway` at the broker; secret. */
  readonly gatewayPassword: pulumi.Output<string>;
  /** Password of each of `mqtt.gateways` at the broker, by its name; secret. */
  readonly gatewayPasswords: pulumi.Output<Record<string, string>> | undefined;
  /** Password of Grafana's user `admin`; secret. */
  readonly grafanaPassword: pulumi.Output<string>;
  /** Password of the interface's first user; secret. Undefined where there is none. */
  readonly interfacePassword: pulumi.Output<string> | undefined;
  /** Address of the overview without Grafana's menus, to be embedded. */
  readonly kioskUrl: string;

  private readonly config: SiteConfig;
  private readonly late: LateValues;
  private readonly model: Model;
  private readonly storage: StorageBudget;
  private readonly certificateEnds: Date | undefined;
  private readonly profile: Profile;
  private readonly context: ServiceContext;

  /**
   * @param name prefix of the names of all resources; usually that of the stack.
   * @throws InputError before any resource is made, with every key that is wrong.
   */
  constructor(name: string, args: SiteArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform, ...settings } = args;
    checkTransform(transform);
    const { config, late } = resolveSite(settings);
    const { model, storage, certificate } = checkSite(config);
    const host = createHost(name, config, storage);
    super(
      "bess:index:Site",
      name,
      {},
      { ...opts, providers: [dockerProvider(name, config, model, host)] },
    );
    for (const warning of certificate?.warnings ?? [])
      void pulumi.log.warn(`mqtt.tls.certificate: ${warning}`, this);
    this.config = config;
    this.late = late;
    this.model = model;
    this.storage = storage;
    this.certificateEnds = certificate?.ends;
    this.profile = profiles[config.profile];
    this.context = {
      site: config.name,
      images: siteImages(config),
      pull: config.images.pull,
      verify: config.images.verify,
      imageIds: siteImageIds(config),
      memory: this.profile.memory,
      transform,
      engine: config.engine,
      ssh: config.ssh,
    };

    const field = this.createNetwork(name, "field");
    const data = this.createNetwork(name, "data");
    const mosquitto = this.createMosquitto(name, field);
    const influxdb = this.createInfluxDb(name, data);
    const telegraf = this.createTelegraf(name, [field, data], mosquitto, influxdb);
    const explorer = this.createExplorer(name, data, influxdb);
    const alertsPassword = config.alerts.enabled
      ? password(`${name}-alert-reader`, undefined, this)
      : undefined;
    const rollup = this.createRollup(name, data, influxdb, alertsPassword);
    const grafana = this.createGrafana(name, data, influxdb, rollup, host, alertsPassword);
    const own = this.createInterface(name, data);
    const simulator = this.createSimulator(name, field, mosquitto);
    const { copier, backup } = this.createBackup(name, { mosquitto, influxdb, grafana }, own);

    const components = [
      mosquitto,
      influxdb,
      telegraf,
      rollup,
      explorer,
      grafana,
      simulator,
      copier,
      backup,
    ];
    const revisions = [
      ...components.flatMap((made) => (made ? [made.service.revision] : [])),
      ...(own ? [own.service.revision, own.proxy.revision] : []),
    ];
    this.addresses = addressesOf(config);
    this.revision = pulumi.all(revisions).apply((all) => all.join("-"));
    this.gatewayPassword = mosquitto.passwords.gateway;
    this.gatewayPasswords =
      config.mqtt.gateways && pulumi.secret(pulumi.all(mosquitto.gatewayPasswords));
    this.grafanaPassword = grafana.adminPassword;
    this.interfacePassword = own?.password;
    this.kioskUrl = kioskUrl(`${(this.addresses.grafana ?? "").replace(/\/$/, "")}/`);
    this.registerOutputs({ addresses: this.addresses, revision: this.revision });
  }

  private createNetwork(
    name: string,
    kind: "field" | "data" | "backup" | "web",
  ): pulumi.Output<string> {
    const label = { label: labels.site, value: this.config.name };
    return new docker.Network(
      `${name}-${kind}`,
      { name: `${this.config.name}-${kind}`, labels: [label] },
      { parent: this },
    ).name;
  }

  private createMosquitto(name: string, network: pulumi.Input<string>) {
    const { model, profile } = this;
    const {
      purge,
      mqtt: { gateways, bridge },
    } = this.config;
    const { mqtt, rotate } = this.late;
    return new Mosquitto(
      `${name}-mosquitto`,
      { ...this.context, model, profile, mqtt, gateways, bridge, purge, rotate, network },
      { parent: this },
    );
  }

  private get retention(): Retention {
    return retentionOf(this.config);
  }

  private createInfluxDb(name: string, network: pulumi.Input<string>) {
    const { purge, influxdb: publish } = this.config;
    return new InfluxDb(
      `${name}-influxdb`,
      {
        ...this.context,
        model: this.model,
        profile: this.profile,
        retention: this.retention,
        purge,
        network,
        publish,
        backedUp: this.config.backup !== undefined,
      },
      { parent: this },
    );
  }

  private createTelegraf(
    name: string,
    networks: pulumi.Input<string>[],
    mosquitto: Mosquitto,
    influxdb: InfluxDb,
  ) {
    return new Telegraf(
      `${name}-telegraf`,
      {
        ...this.context,
        model: this.model,
        retention: this.retention.raw,
        profile: this.profile,
        networks,
        broker: mosquitto.url,
        influxdb: influxdb.writeUrl,
        passwords: mosquitto.passwords,
        token: influxdb.token("telegraf", this.late.rotate.influxTelegraf),
      },
      // A column's first write would decide its type: the tables come first.
      { parent: this, dependsOn: [mosquitto.service.ready, influxdb.schema] },
    );
  }

  private createExplorer(name: string, network: pulumi.Input<string>, influxdb: InfluxDb) {
    const { explorer, purge } = this.config;
    if (!explorer.enabled) return undefined;
    const token = influxdb.token("explorer", this.late.rotate.influxExplorer);
    return new Explorer(
      `${name}-explorer`,
      { ...this.context, network, port: explorer.port, token, purge },
      { parent: this },
    );
  }

  private createRollup(
    name: string,
    network: pulumi.Input<string>,
    influxdb: InfluxDb,
    alertsPassword: pulumi.Output<string> | undefined,
  ): Rollup {
    const slowest = slowestEvaluation(this.model);
    return new Rollup(
      `${name}-rollup`,
      {
        ...this.context,
        model: this.model,
        retention: this.retention,
        network,
        influxdb: influxdb.url,
        relay: influxdb.writeUrl,
        notes: influxdb.notes.name,
        token: influxdb.token("rollup", this.late.rotate.influxRollup),
        uplink: this.late.uplink,
        timeZone: this.config.timeZone,
        alerts: alertsPassword && { password: alertsPassword, slowest },
      },
      { parent: this, dependsOn: [influxdb.schema] },
    );
  }

  private createGrafana(
    name: string,
    network: pulumi.Input<string>,
    influxdb: InfluxDb,
    rollup: Rollup,
    host: Host | undefined,
    alertsPassword: pulumi.Output<string> | undefined,
  ) {
    const { grafana, alerts, timeZone, purge } = this.config;
    const { rotate, alerts: lateAlerts } = this.late;
    const token = influxdb.token("grafana", rotate.influxGrafana);
    const url = apiUrl(this.config);
    const args = {
      ...this.context,
      title: this.config.name,
      model: this.model,
      storage: this.storage,
      profile: this.profile,
      certificateEnds: this.certificateEnds,
      alerts,
      timeZone,
      lateAlerts,
      backup: this.config.backup,
      uplink: this.config.uplink !== undefined,
      alertsPassword,
      grafana,
      rootUrl: this.config.interface?.enabled ? grafanaUrl(this.config.interface) : undefined,
      // The tunnel is open once the host has been checked.
      api: host?.engine.apply(() => url) ?? url,
      network,
      purge,
      rotation: rotate.grafana,
      influxdb: influxdb.url,
      rollup: rollup.url,
      token,
    };
    return new Grafana(`${name}-grafana`, args, { parent: this });
  }

  private createInterface(name: string, data: pulumi.Input<string>): Interface | undefined {
    const { interface: own, purge } = this.config;
    if (!own?.enabled) return undefined;
    return new Interface(
      `${name}-interface`,
      {
        ...this.context,
        interface: own,
        tls: this.late.interfaceTls,
        networks: { web: this.createNetwork(name, "web"), data },
        rotation: this.late.rotate.interface,
        purge,
      },
      { parent: this },
    );
  }

  private createBackup(
    name: string,
    { mosquitto, influxdb, grafana }: BackedUp,
    own: Interface | undefined,
  ) {
    const { backup } = this.late;
    // checkSite has refused backups without a password.
    if (backup?.password === undefined) return {};
    const { password } = backup;
    const volumes = {
      mosquitto: mosquitto.volume,
      influxdb: influxdb.volume,
      grafana: grafana.volume.name,
      interface: own?.volume,
    };
    const { purge } = this.config;
    const copier = new Copier(
      `${name}-copier`,
      { ...this.context, volumes, purge },
      {
        parent: this,
        dependsOn: [mosquitto, influxdb, grafana, ...(own ? [own] : [])].map(
          ({ service }) => service.ready,
        ),
      },
    );
    const made = new Backup(
      `${name}-backup`,
      {
        ...this.context,
        backup: { ...backup, password },
        // A folder of the host is reached without a network; a server by one that no other service has.
        network: kindOf(backup.to) === "folder" ? undefined : this.createNetwork(name, "backup"),
        volumes: { copies: copier.volume, influxdb: influxdb.volume },
      },
      { parent: this, dependsOn: [copier.service.ready] },
    );
    return { copier, backup: made };
  }

  private createSimulator(name: string, network: pulumi.Input<string>, mosquitto: Mosquitto) {
    const { simulator } = this.config;
    if (!simulator.enabled) return undefined;
    const args = {
      ...this.context,
      model: this.model,
      simulator,
      network,
      broker: mosquitto.url,
      password: mosquitto.passwords.gateway,
    };
    return new Simulator(`${name}-simulator`, args, {
      parent: this,
      dependsOn: [mosquitto.service.ready],
    });
  }
}

/** The services whose data is backed up. */
interface BackedUp {
  mosquitto: Mosquitto;
  influxdb: InfluxDb;
  grafana: Grafana;
}

/** The site's engine, which is reached once the host and the tables that are there have been checked. */
function dockerProvider(name: string, config: SiteConfig, model: Model, host: Host | undefined) {
  const { engine, ssh, name: site } = config;
  const wanted = schema(model, retentionOf(config));
  const compared = withTablesCompared(host?.engine ?? engine, {
    site,
    stack: name,
    wanted,
    engine,
    ssh,
  });
  return new docker.Provider(name, { host: compared, sshOpts: host?.sshOptions });
}

/** Where each service is reached on the host. */
function addressesOf(site: SiteConfig): Record<string, string> {
  const { mqtt, influxdb, explorer, grafana, interface: own } = site;
  return {
    grafana: own?.enabled ? grafanaUrl(own) : (grafana.url ?? `http://127.0.0.1:${grafana.port}`),
    ...(own?.enabled && { interface: originOf(own) }),
    mqtt: `mqtt://${hostPort(mqtt.address, mqtt.port)}`,
    ...(mqtt.websocket.enabled && {
      websocket: `ws://${hostPort(mqtt.address, mqtt.websocket.port)}`,
    }),
    ...(mqtt.tls && { mqtts: `mqtts://${hostPort(mqtt.address, mqtt.tls.port)}` }),
    ...(influxdb && { influxdb: `http://${hostPort(influxdb.address, influxdb.port)}` }),
    ...(explorer.enabled && { explorer: `http://127.0.0.1:${explorer.port}` }),
  };
}

/** The host of a site that is reached over SSH; any other is neither prepared nor checked. */
function createHost(
  name: string,
  config: SiteConfig,
  { expected, budget }: StorageBudget,
): Host | undefined {
  const { engine, ssh, host } = config;
  if (!isSsh(engine)) return undefined;
  const profile = profiles[config.profile];
  const services = siteServices(config);
  const images = siteImages(config);
  const required = {
    site: config.name,
    ports: publishedPorts(config).map(([key, port, address]) => ({ key, port, address })),
    storage: expected,
    budget,
    images: config.images.pull === "never" ? services.map((service) => images[service]) : [],
    memoryMiB: services.reduce((sum, service) => sum + profile.memory[service], 0),
  };
  return new Host(`${name}-host`, { engine, ssh, host, required, tunnel: apiTunnel(config) });
}
