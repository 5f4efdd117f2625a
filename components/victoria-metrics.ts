import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { HubService } from "../configs/images";
import type { HubConfig } from "../configs/hub";
import * as configs from "../configs/victoria-metrics";
import { dataVolume, Service, type ServiceContext } from "./service";

/** Where a hub keeps its values. */
export interface HubStorageArgs extends ServiceContext<HubService> {
  hub: HubConfig;
  /** Name of the Docker network of the hub's programs. */
  network: pulumi.Input<string>;
}

/**
 * Files and folders of VictoriaMetrics belong to root, for its image makes none for another user; it has none
 * of root's rights beyond that.
 */
const user = "0:0";

/** VictoriaMetrics as a single node, with its data in a volume. */
export class VictoriaMetrics extends pulumi.ComponentResource {
  /** Its container. */
  readonly service: Service;
  /** Its data volume. */
  readonly volume: docker.Volume;

  constructor(name: string, args: HubStorageArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:VictoriaMetrics", name, {}, opts);
    const { hub, network } = args;
    this.volume = dataVolume(
      `${name}-data`,
      { ...args, service: "victoria-metrics", purge: hub.purge },
      this,
    );
    this.service = new Service(
      name,
      {
        ...args,
        service: "victoria-metrics",
        networks: [network],
        user,
        command: configs.singleArguments(hub),
        files: [{ path: configs.paths.scrape, content: configs.scrapeConfig() }],
        volumes: [{ name: this.volume.name, path: configs.paths.data }],
        healthCheck: configs.healthCheck(configs.ports.single),
        waitSeconds: 600,
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

/** VictoriaMetrics' cluster: storage on other engines, and what writes to it and reads of it on the hub's. */
export class VictoriaMetricsCluster extends pulumi.ComponentResource {
  /** The containers on the hub's engine. */
  readonly services: Service[];

  constructor(name: string, args: HubStorageArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:VictoriaMetricsCluster", name, {}, opts);
    const { hub, network } = args;
    const { storage } = hub;
    if (!storage) throw new Error("a cluster needs hub.storage");
    const nodes = storage.nodes.map((engine, index) => this.node(name, index, engine, args));
    const ready = { parent: this, dependsOn: nodes.map((node) => node.ready) };
    const shared = { ...args, networks: [network], user: "65534:65534" };
    this.services = [
      new Service(
        `${name}-vminsert`,
        {
          ...shared,
          service: "vminsert",
          command: configs.insertArguments(storage),
          healthCheck: configs.healthCheck(configs.ports.insert),
        },
        ready,
      ),
      new Service(
        `${name}-vmselect`,
        {
          ...shared,
          service: "vmselect",
          command: configs.selectArguments(storage),
          healthCheck: configs.healthCheck(configs.ports.select),
        },
        ready,
      ),
    ];
    this.registerOutputs({});
  }

  /** A storage node on an engine of its own. */
  private node(name: string, index: number, engine: string, args: HubStorageArgs): Service {
    const own = `${name}-vmstorage-${index + 1}`;
    const provider = new docker.Provider(own, { host: engine }, { parent: this });
    const opts = { parent: this, provider };
    const { hub, site } = args;
    const network = new docker.Network(own, { name: `${hub.name}-storage` }, opts);
    const volume = new docker.Volume(
      `${own}-data`,
      { name: `${hub.name}-vmstorage-data` },
      { ...opts, retainOnDelete: !hub.purge },
    );
    const address = configs.nodeAddress(engine);
    const { storageInsert, storageSelect, storage } = configs.ports;
    return new Service(
      own,
      {
        ...args,
        site,
        engine,
        service: "vmstorage",
        networks: [network.name],
        user,
        command: configs.storageArguments(hub),
        volumes: [{ name: volume.name, path: configs.paths.data }],
        ports: [storageInsert, storageSelect].map((port) => ({
          internal: port,
          external: port,
          address,
        })),
        healthCheck: configs.healthCheck(storage),
        waitSeconds: 600,
      },
      // A service's own resources take the provider of their parent.
      { parent: this, providers: [provider] },
    );
  }
}
