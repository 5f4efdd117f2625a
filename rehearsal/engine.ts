import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** A container on a simulated engine. */
export interface Container {
  id: string;
  image: string;
  healthy: boolean;
  networks: string[];
  /** Such as `127.0.0.1:3000`. */
  ports: string[];
  volumes: string[];
  aliases: string[];
}

/** What a simulated engine holds. */
interface Held {
  host: string;
  networks: Record<string, { id: string }>;
  /** What a service keeps in its volume: the objects of its API, by kind and name. */
  volumes: Record<string, { objects: Record<string, string> }>;
  containers: Record<string, Container>;
  /** How often a flapping resource was asked for. */
  asked: Record<string, number>;
}

const identifier = () => randomBytes(32).toString("hex");

/** What Docker answers when it refuses, in its own words. */
const refused = (text: string) => new Error(`Error response from daemon: ${text}`);

/**
 * A simulated Docker engine: the names, ports, networks, volumes and containers of one host, kept in one file.
 * It refuses what Docker refuses. Files that are uploaded are not kept: they hold secrets.
 */
export class Engine {
  private constructor(
    /** Where it is kept. */
    readonly file: string,
    readonly held: Held,
  ) {}

  /** Opens the engine of a host; a host never seen has an empty one. Default: the local engine's usual address. */
  static open(folder: string, host = "unix:///var/run/docker.sock"): Engine {
    const file = join(
      folder,
      `${host.replace(/[^\w.-]+/g, "-")}-${createHash("sha256").update(host).digest("hex").slice(0, 8)}.json`,
    );
    const empty: Held = { host, networks: {}, volumes: {}, containers: {}, asked: {} };
    try {
      return new Engine(file, JSON.parse(readFileSync(file, "utf8")));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return new Engine(file, empty);
    }
  }

  createNetwork(name: string): { id: string } {
    if (this.held.networks[name]) throw refused(`network with name ${name} already exists`);
    return this.keep(() => (this.held.networks[name] = { id: identifier() }));
  }

  removeNetwork(name: string): void {
    const user = this.users((container) => container.networks.includes(name))[0];
    if (user)
      throw refused(`error while removing network: network ${name} has active endpoints (${user})`);
    this.keep(() => delete this.held.networks[name]);
  }

  /** Docker takes a volume that is there already. */
  createVolume(name: string): void {
    this.keep(() => (this.held.volumes[name] ??= { objects: {} }));
  }

  removeVolume(name: string): void {
    const user = this.users((container) => container.volumes.includes(name))[0];
    if (user) throw refused(`remove ${name}: volume is in use - [${user}]`);
    this.keep(() => delete this.held.volumes[name]);
  }

  /** @throws Error where the name or a port is taken, a network unknown, or files are to be written to a read-only container. */
  run(
    name: string,
    wanted: Omit<Container, "id">,
    files: { readOnly: boolean; uploads: number },
  ): Container {
    const other = this.held.containers[name];
    if (other)
      throw refused(
        `Conflict. The container name "/${name}" is already in use by container "${other.id}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
    const network = wanted.networks.find((wantedNetwork) => !this.held.networks[wantedNetwork]);
    if (network) throw refused(`network ${network} not found`);
    if (files.readOnly && files.uploads > 0) throw refused("container rootfs is marked read-only");
    const port = wanted.ports.find((wantedPort) =>
      Object.values(this.held.containers).some(({ ports }) =>
        ports.some((taken) => clash(taken, wantedPort)),
      ),
    );
    if (port)
      throw refused(
        `driver failed programming external connectivity on endpoint ${name}: Bind for ${port} failed: port is already allocated`,
      );
    for (const volume of wanted.volumes) this.createVolume(volume);
    return this.keep(() => (this.held.containers[name] = { id: identifier(), ...wanted }));
  }

  removeContainer(name: string): void {
    this.keep(() => delete this.held.containers[name]);
  }

  /** The container that is reached by a name of a network, or by a port of the host. */
  find(by: { alias: string; port?: string }): Container | undefined {
    const all = Object.values(this.held.containers);
    return (
      all.find(({ ports }) => by.port && ports.some((port) => port.endsWith(`:${by.port}`))) ??
      all.find(({ aliases }) => aliases.includes(by.alias))
    );
  }

  /** The objects that a container's service keeps in its volume; one without a volume keeps none. */
  objects(container: Container): Record<string, string> {
    return container.volumes[0] ? this.held.volumes[container.volumes[0]].objects : {};
  }

  /** Writes down what was changed. */
  keep<T>(change: () => T): T {
    const result = change();
    mkdirSync(dirname(this.file), { recursive: true });
    writeFileSync(`${this.file}.new`, JSON.stringify(this.held));
    renameSync(`${this.file}.new`, this.file);
    return result;
  }

  private users(of: (container: Container) => boolean): string[] {
    return Object.entries(this.held.containers).flatMap(([name, container]) =>
      of(container) ? [name] : [],
    );
  }
}

function clash(one: string, other: string): boolean {
  const [a, b] = [one, other].map((port) => ({
    address: port.slice(0, port.lastIndexOf(":")),
    port: port.slice(port.lastIndexOf(":")),
  }));
  return (
    a.port === b.port &&
    (a.address === b.address || a.address === "0.0.0.0" || b.address === "0.0.0.0")
  );
}
