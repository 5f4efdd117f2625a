import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import * as configs from "../configs/interface";
import type { SiteConfig } from "../configs/site";
import { password } from "./secrets";
import { dataVolume, type File, Service, type ServiceContext } from "./service";
import type { LateValues } from "./site-values";

/** What the interface is, and where browsers reach it. */
export interface InterfaceArgs extends ServiceContext {
  /**
   * The user's own image, and the name that browsers reach it by.
   * @example
   * ```ts
   * { interface: parseSite({ name: "kiel-1", interface: { image, host: "kiel-1.example" } }).interface }
   * ```
   */
  interface: NonNullable<SiteConfig["interface"]>;
  /**
   * Certificate and key of the proxy; secret.
   * @default it makes one, of an authority of its own
   * @example
   * ```ts
   * { tls: { certificate, key } }
   * ```
   */
  tls: LateValues["interfaceTls"];
  /**
   * Names of the Docker networks: of the interface and its proxy alone, and the one of Grafana.
   * @example
   * ```ts
   * { networks: { web: "kiel-1-web", data: "kiel-1-data" } }
   * ```
   */
  networks: Record<"web" | "data", pulumi.Input<string>>;
  /**
   * Whether the volumes are deleted with the stack.
   * @example
   * ```ts
   * { purge: false }
   * ```
   */
  purge: boolean;
  /**
   * A new value makes a new key of the interface's tokens: who is logged in by one must do so anew.
   * @default the first key stays
   * @example
   * ```ts
   * { rotation: "2026-11" }
   * ```
   */
  rotation?: pulumi.Input<string> | undefined;
}

/**
 * The user's own interface beside a site, and a proxy that gives it and Grafana one origin with TLS. The
 * interface reaches neither the broker nor the database.
 */
export class Interface extends pulumi.ComponentResource {
  /** The interface's container. */
  readonly service: Service;
  /** The proxy's. */
  readonly proxy: Service;
  /** Name of the interface's data volume. */
  readonly volume: pulumi.Output<string>;
  /** Password of the interface's first user; secret. */
  readonly password: pulumi.Output<string>;

  constructor(name: string, args: InterfaceArgs, opts: pulumi.ComponentResourceOptions) {
    super("bess:index:Interface", name, {}, opts);
    // ASP.NET asks for each kind of character.
    this.password = new random.RandomPassword(
      `${name}-password`,
      {
        length: 24,
        minLower: 1,
        minUpper: 1,
        minNumeric: 1,
        minSpecial: 1,
        overrideSpecial: "-_.",
      },
      { parent: this, additionalSecretOutputs: ["result", "bcryptHash"] },
    ).result;
    this.volume = dataVolume(`${name}-data`, { ...args, service: "interface" }, this).name;
    this.service = this.createInterface(name, args);
    this.proxy = this.createProxy(`${name.slice(0, -"interface".length)}proxy`, args);
    this.registerOutputs({ password: this.password });
  }

  private createInterface(name: string, args: InterfaceArgs): Service {
    const { email, host, port, environmentFile } = args.interface;
    const jwtKey = password(`${name}-jwt-key`, args.rotation, this);
    const settings = pulumi
      .all([jwtKey, this.password])
      .apply(([key, first]) =>
        configs.settingsFile({ email, host, port, jwtKey: key, password: first }),
      );
    return new Service(
      name,
      {
        ...args,
        service: "interface",
        networks: [args.networks.web],
        // A new volume belongs to root, and whom the image knows is not known. It has no capability.
        user: "0:0",
        environment: [...configs.environment],
        files: [{ path: environmentFile, content: settings, secret: true }],
        volumes: [{ name: this.volume, path: configs.paths.data }],
        healthCheck: configs.interfaceHealthCheck(),
      },
      { parent: this },
    );
  }

  private createProxy(name: string, args: InterfaceArgs): Service {
    const { host, port, address } = args.interface;
    const { tls } = args;
    const volume = dataVolume(`${name}-data`, { ...args, service: "proxy" }, this);
    const files: File[] = [
      {
        path: configs.paths.caddyfile,
        content: configs.caddyfile({ host, port, certified: tls !== undefined }),
      },
      ...(tls
        ? [
            { path: configs.paths.certificate, content: tls.certificate },
            { path: configs.paths.key, content: tls.key, secret: true },
          ]
        : []),
    ];
    return new Service(
      name,
      {
        ...args,
        service: "proxy",
        networks: [args.networks.web, args.networks.data],
        user: "0:0",
        // Linux does not start the image's program without it, though no port below 1024 is used.
        capabilities: ["CAP_NET_BIND_SERVICE"],
        files,
        volumes: [{ name: volume.name, path: configs.paths.proxyData }],
        ports: [{ internal: configs.ports.proxy, external: port, address }],
        healthCheck: configs.proxyHealthCheck(),
      },
      { parent: this, dependsOn: [this.service.ready] },
    );
  }
}
