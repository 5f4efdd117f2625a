import { isAbsolute, join } from "node:path";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { loadModel, type Model } from "../configs/model";
import { profiles, type Profile } from "../configs/profiles";
import { storage } from "../configs/host";
import {
  parseSite,
  publishedPorts,
  siteImages,
  type SiteConfig,
  siteServices,
} from "../configs/site";
import { apiTunnel, apiUrl, isSsh } from "../configs/ssh";
import { Explorer } from "./explorer";
import { Grafana } from "./grafana";
import { Host } from "./host";
import { InfluxDb } from "./influxdb";
import { Mosquitto } from "./mosquitto";
import { labels, type Service, type ServiceContext } from "./service";
import { Simulator } from "./simulator";
import { Telegraf } from "./telegraf";

/** A BESS site's telemetry pipeline on one Docker engine. */
export class Site extends pulumi.ComponentResource {
  /** Where each service is reached on the host. */
  readonly addresses: Record<string, string>;
  /** Digest of all that the site is made from but its secrets. */
  readonly revision: pulumi.Output<string>;
  /** Password of the gateway's user `gateway` at the broker; secret. */
  readonly gatewayPassword: pulumi.Output<string>;
  /** Password of Grafana's user `admin`; secret. */
  readonly grafanaPassword: pulumi.Output<string>;

  private readonly config: SiteConfig;
  private readonly model: Model;
  private readonly profile: Profile;
  private readonly context: ServiceContext;

  /**
   * @param input the stack's `bess-telemetry:site`, as {@link SiteConfig} describes it.
   * @throws InputError before any resource is made, with every key that is wrong.
   */
  constructor(name: string, input: unknown, opts?: pulumi.ComponentResourceOptions) {
    const config = parseSite(input);
    const model = loadModel(
      isAbsolute(config.model) ? config.model : join(__dirname, "..", config.model),
    );
    const host = hostOf(name, config, model);
    const engine = host?.engine ?? config.engine;
    super(
      "bess:index:Site",
      name,
      {},
      {
        ...opts,
        providers: [new docker.Provider(name, { host: engine, sshOpts: host?.sshOptions })],
      },
    );
    this.config = config;
    this.model = model;
    this.profile = profiles[config.profile];
    this.context = {
      site: config.name,
      images: siteImages(config),
      pull: config.images.pull,
      memory: this.profile.memory,
    };

    const field = this.network(name, "field");
    const data = this.network(name, "data");
    const mosquitto = this.mosquitto(name, field);
    const influxdb = this.influxdb(name, data);
    const telegraf = this.telegraf(name, [field, data], mosquitto, influxdb);
    const explorer = this.explorer(name, data, influxdb);
    const grafana = this.grafana(name, data, influxdb, host);
    const simulator = this.simulator(name, field, mosquitto);

    const services = [mosquitto, influxdb, telegraf, explorer, grafana, simulator].flatMap(
      (made): Service[] => (made ? [made.service] : []),
    );
    this.addresses = this.reached();
    this.revision = pulumi
      .all(services.map((service) => service.revision))
      .apply((all) => all.join("-"));
    this.gatewayPassword = mosquitto.passwords.gateway;
    this.grafanaPassword = grafana.adminPassword;
    this.registerOutputs({ addresses: this.addresses, revision: this.revision });
  }

  private network(name: string, kind: "field" | "data"): pulumi.Output<string> {
    const label = { label: labels.site, value: this.config.name };
    return new docker.Network(
      `${name}-${kind}`,
      { name: `${this.config.name}-${kind}`, labels: [label] },
      { parent: this },
    ).name;
  }

  private mosquitto(name: string, network: pulumi.Input<string>) {
    const { mqtt, purge, rotate } = this.config;
    return new Mosquitto(
      `${name}-mosquitto`,
      { ...this.context, model: this.model, profile: this.profile, mqtt, purge, rotate, network },
      { parent: this },
    );
  }

  private influxdb(name: string, network: pulumi.Input<string>) {
    const {
      retention = this.profile.retention,
      purge,
      influxdb: publish,
      engine,
      ssh,
    } = this.config;
    return new InfluxDb(
      `${name}-influxdb`,
      { ...this.context, model: this.model, retention, purge, network, publish, engine, ssh },
      { parent: this },
    );
  }

  private telegraf(
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
        networks,
        broker: mosquitto.url,
        influxdb: influxdb.url,
        passwords: mosquitto.passwords,
        token: influxdb.token("telegraf", this.config.rotate.influxTelegraf),
      },
      // A column's first write would decide its type: the tables come first.
      { parent: this, dependsOn: [mosquitto.service.container, influxdb.schema] },
    );
  }

  private explorer(name: string, network: pulumi.Input<string>, influxdb: InfluxDb) {
    const { explorer, purge, rotate } = this.config;
    if (!explorer.enabled) return undefined;
    const token = influxdb.token("explorer", rotate.influxExplorer);
    return new Explorer(
      `${name}-explorer`,
      { ...this.context, network, port: explorer.port, token, purge },
      { parent: this },
    );
  }

  private grafana(
    name: string,
    network: pulumi.Input<string>,
    influxdb: InfluxDb,
    host: Host | undefined,
  ) {
    const { grafana, purge, rotate } = this.config;
    const token = influxdb.token("grafana", rotate.influxGrafana);
    const url = apiUrl(this.config);
    const args = {
      ...this.context,
      title: this.config.name,
      model: this.model,
      grafana,
      // The tunnel is open once the host has been checked.
      api: host?.engine.apply(() => url) ?? url,
      network,
      purge,
      rotation: rotate.grafana,
      influxdb: influxdb.url,
      token,
    };
    return new Grafana(`${name}-grafana`, args, { parent: this });
  }

  private simulator(name: string, network: pulumi.Input<string>, mosquitto: Mosquitto) {
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
      dependsOn: [mosquitto.service.container],
    });
  }

  private reached(): Record<string, string> {
    const { mqtt, influxdb, explorer, grafana } = this.config;
    return {
      grafana: grafana.url ?? `http://127.0.0.1:${grafana.port}`,
      mqtt: `mqtt://${mqtt.address}:${mqtt.port}`,
      ...(mqtt.websocket.enabled && { websocket: `ws://${mqtt.address}:${mqtt.websocket.port}` }),
      ...(mqtt.tls && { mqtts: `mqtts://${mqtt.address}:${mqtt.tls.port}` }),
      ...(influxdb && { influxdb: `http://${influxdb.address}:${influxdb.port}` }),
      ...(explorer.enabled && { explorer: `http://127.0.0.1:${explorer.port}` }),
    };
  }
}

/** The host of a site that is reached over SSH; any other needs no looking after. */
function hostOf(name: string, config: SiteConfig, model: Model): Host | undefined {
  const { engine, ssh, host } = config;
  if (!isSsh(engine)) return undefined;
  const profile = profiles[config.profile];
  const services = siteServices(config);
  const images = siteImages(config);
  const required = {
    site: config.name,
    ports: publishedPorts(config).map(([key, port, address]) => ({ key, port, address })),
    storage: storage(model, profile.messageRate, config.retention ?? profile.retention),
    images: config.images.pull === "never" ? services.map((service) => images[service]) : [],
    memoryMiB: services.reduce((sum, service) => sum + profile.memory[service], 0),
  };
  return new Host(`${name}-host`, { engine, ssh, host, required, tunnel: apiTunnel(config) });
}
