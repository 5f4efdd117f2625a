import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { Alerts } from "../configs/alerting";
import { labels } from "../configs/containers";
import { modelFile } from "../configs/checks";
import {
  type HubConfig,
  hubImageIds,
  hubMemory,
  hubServiceImages,
  parseHub,
  requireSites,
  uplinkUrl,
} from "../configs/hub";
import type { HubSite, HubShownSite } from "../configs/hub-sites";
import type { HubService } from "../configs/images";
import { loadModel, type Model } from "../configs/model";
import { siteSchema } from "../configs/site";
import { apiUrl, isSsh, sharedOptions } from "../configs/ssh";
import { databaseOf } from "../configs/victoria-metrics";
import { selfSigned } from "./certificate";
import type { HubArgs, HubSiteArgs } from "./hub-args";
import { HubGrafana } from "./hub-grafana";
import { password } from "./secrets";
import type { ServiceContext } from "./service";
import type { LateAlerts } from "./site-values";
import { VictoriaMetrics, VictoriaMetricsCluster } from "./victoria-metrics";
import { Vmauth } from "./vmauth";
import { Vmbackup } from "./vmbackup";

/**
 * All sites in one place: a database for what they send, a door with a token for each, Grafana with alerts,
 * and backups. All on one Docker engine but the nodes of `storage`.
 */
export class Hub extends pulumi.ComponentResource {
  /** Where Grafana is reached on the host, and where sites write to. */
  readonly addresses: Record<string, string>;
  /** Digest of all that the hub is made from but its secrets. */
  readonly revision: pulumi.Output<string>;
  /** Token of each site, by its name, which is its `uplink.token`; secret. */
  readonly siteTokens: pulumi.Output<Record<string, string>>;
  /** Token that reads the values of all sites; secret. */
  readonly readToken: pulumi.Output<string>;
  /** Password of Grafana's user `admin`; secret. */
  readonly grafanaPassword: pulumi.Output<string>;
  /** The generated certificate, which is each site's `uplink.ca`; undefined where one was given. */
  readonly certificate: pulumi.Output<string> | undefined;

  /**
   * @param name prefix of the names of all resources; usually that of the stack.
   * @throws InputError before any resource is made, with every key that is wrong.
   */
  constructor(
    private readonly name: string,
    args: HubArgs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const config = parseHub(args.config);
    requireSites(config, args.sites);
    const sites = args.sites.map(siteShown);
    const { engine, ssh } = config;
    const provider = new docker.Provider(name, {
      host: engine,
      ...(isSsh(engine) && { sshOpts: sharedOptions({ engine, ssh }) }),
    });
    super("bess:index:Hub", name, {}, { ...opts, providers: [provider] });
    const context: ServiceContext<HubService> = {
      site: config.name,
      images: hubServiceImages(config),
      pull: config.images.pull,
      verify: config.images.verify,
      imageIds: hubImageIds(config),
      memory: hubMemory(config),
      engine,
      ssh,
    };
    const network = new docker.Network(
      `${name}-data`,
      { name: `${config.name}-data`, labels: [{ label: labels.site, value: config.name }] },
      { parent: this },
    ).name;
    const storageArgs = { ...context, hub: config, network };
    const single =
      config.storage || config.external
        ? undefined
        : new VictoriaMetrics(`${name}-victoria-metrics`, storageArgs, { parent: this });
    const cluster =
      config.storage && new VictoriaMetricsCluster(name, storageArgs, { parent: this });
    const stored = single ? [single.service] : (cluster?.services ?? []);

    this.siteTokens = this.tokens(config, sites);
    this.readToken = password(`${name}-reader`, undefined, this);
    const { entrance } = config;
    const made =
      entrance.certificate === undefined || entrance.key === undefined
        ? selfSigned(`${name}-certificate`, entrance.names, this)
        : undefined;
    this.certificate = made?.certificate;
    const dependsOn = stored.map(({ ready }) => ready);
    const database = databaseOf(config);
    const vmauth = new Vmauth(
      `${name}-vmauth`,
      {
        ...context,
        network,
        entrance,
        sites: this.siteTokens,
        reader: this.readToken,
        certificate: made?.certificate ?? entrance.certificate ?? "",
        key: made?.key ?? pulumi.secret(entrance.key ?? ""),
        database,
      },
      { parent: this, dependsOn },
    );
    const grafana = new HubGrafana(
      `${name}-grafana`,
      {
        ...context,
        grafana: config.grafana,
        alerts: config.alerts,
        timeZone: config.timeZone,
        lateAlerts: known(config.alerts),
        api: apiUrl(config),
        network,
        purge: config.purge,
        rotation: config.rotate.grafana,
        shown: {
          sites,
          storage: stored.length > 0 ? (cluster ? "cluster" : "single") : "external",
        },
        query: database.query,
      },
      { parent: this, dependsOn },
    );
    const backup =
      single && config.backup
        ? new Vmbackup(
            `${name}-vmbackup`,
            { ...context, network, backup: config.backup, volume: single.volume.name },
            { parent: this, dependsOn },
          )
        : undefined;
    this.addresses = {
      grafana: config.grafana.url ?? `http://127.0.0.1:${config.grafana.port}`,
      write: uplinkUrl(config),
    };
    const services = [
      ...stored,
      vmauth.service,
      grafana.service,
      ...(backup ? [backup.service] : []),
    ];
    this.revision = pulumi
      .all(services.map(({ revision }) => revision))
      .apply((all) => all.join("-"));
    this.grafanaPassword = grafana.adminPassword;
    this.registerOutputs({ addresses: this.addresses, revision: this.revision });
  }

  private tokens(
    { revoked, rotate }: HubConfig,
    sites: readonly Pick<HubSite, "name">[],
  ): pulumi.Output<Record<string, string>> {
    const allowed = sites.filter((site) => !revoked.includes(site.name));
    const made = allowed.map(({ name: site }): [string, pulumi.Output<string>] => [
      site,
      password(`${this.name}-token-${site}`, rotate[site], this),
    ]);
    return pulumi.secret(pulumi.all(Object.fromEntries(made)));
  }
}

/** What is shown of a site, with its model. @throws InputError for a bad model. */
function siteShown({ name, model, location }: HubSiteArgs): HubShownSite {
  const path = typeof model === "string" ? model : siteSchema.shape.model.parse(undefined);
  // What is no path is a model that was loaded.
  const loaded = typeof model === "object" ? (model as Model) : undefined;
  return { name, location, model: loaded ?? loadModel(modelFile({ model: path }), path) };
}

/** Whom alerts tell, as all of it is known in a stack's program. */
const known = ({ contacts, smtp, deadMan }: Alerts): LateAlerts => ({
  contacts: Object.fromEntries(
    Object.entries(contacts).map(([name, contact]) => [name, pulumi.output(contact)]),
  ),
  smtpPassword: smtp?.password === undefined ? undefined : pulumi.output(smtp.password),
  deadManUrl: deadMan?.url === undefined ? undefined : pulumi.output(deadMan.url),
});
