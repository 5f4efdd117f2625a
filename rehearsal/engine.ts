import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** A container on a simulated engine. */
export interface Container {
  id: string;
  image: string;
  healthy: boolean;
  /** Why its program ends at once: it never becomes healthy. Default: it runs. */
  fault?: string | undefined;
  networks: string[];
  /** Published ports, each as `address:port`, such as `127.0.0.1:3000`. */
  ports: string[];
  volumes: string[];
  aliases: string[];
}

/** Everything on a simulated engine, by name. */
interface EngineState {
  /** Address of the engine, such as `ssh://bess@kiel-1`. */
  host: string;
  networks: Record<string, { id: string }>;
  /** The data of a volume: the objects that its service's API holds, by kind and name. */
  volumes: Record<string, { objects: Record<string, string> }>;
  containers: Record<string, Container>;
  /** How many operations a flapping resource has had, by its type and name. */
  attempts: Record<string, number>;
  /** What keeps updates away, as the battery of a real site may; nothing if it is not there. */
  busy?: string;
}

/** A simulated image's id. */
export const imageId = (image: string): string =>
  `sha256:${createHash("sha256").update(image).digest("hex")}`;

const randomId = () => randomBytes(32).toString("hex");

const daemonError = (text: string) => new Error(`Error response from daemon: ${text}`);

/**
 * A simulated Docker engine: the networks, volumes and containers of one host, kept in a JSON file.
 * It refuses what Docker refuses, in Docker's words. Uploaded files are not kept, for they hold
 * secrets.
 */
export class Engine {
  private constructor(
    /** Path of the file that keeps the state. */
    readonly file: string,
    readonly state: EngineState,
  ) {}

  /**
   * Opens the engine of a host; a new host has an empty one.
   * @param folder where the engines' files are.
   * @param host address of the engine. Default: the local engine's usual address.
   */
  static open(folder: string, host = "unix:///var/run/docker.sock"): Engine {
    const hash = createHash("sha256").update(host).digest("hex").slice(0, 8);
    const file = join(folder, `${host.replace(/[^\w.-]+/g, "-")}-${hash}.json`);
    const empty: EngineState = { host, networks: {}, volumes: {}, containers: {}, attempts: {} };
    try {
      return new Engine(file, { ...empty, ...JSON.parse(readFileSync(file, "utf8")) });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return new Engine(file, empty);
    }
  }

  /** @throws Error where the name is taken. */
  createNetwork(name: string): { id: string } {
    if (this.state.networks[name]) throw daemonError(`network with name ${name} already exists`);
    return this.save(() => (this.state.networks[name] = { id: randomId() }));
  }

  /** @throws Error while a container is on it. */
  removeNetwork(name: string): void {
    const user = this.firstContainer(({ networks }) => networks.includes(name));
    if (user)
      throw daemonError(
        `error while removing network: network ${name} has active endpoints (${user})`,
      );
    this.save(() => delete this.state.networks[name]);
  }

  /** Creates a volume; as with Docker, one that exists is kept. */
  createVolume(name: string): void {
    this.save(() => (this.state.volumes[name] ??= { objects: {} }));
  }

  /** @throws Error while a container uses it. */
  removeVolume(name: string): void {
    const user = this.firstContainer(({ volumes }) => volumes.includes(name));
    if (user) throw daemonError(`remove ${name}: volume is in use - [${user}]`);
    this.save(() => delete this.state.volumes[name]);
  }

  /**
   * Creates and starts a container, and the volumes that it lacks.
   * @throws Error where the name or a port is taken, a network is unknown, or a read-only container
   * has uploads.
   */
  runContainer(
    name: string,
    container: Omit<Container, "id">,
    { readOnly, uploads }: { readOnly: boolean; uploads: number },
  ): Container {
    const { containers, networks } = this.state;
    const namesake = containers[name];
    if (namesake)
      throw daemonError(
        `Conflict. The container name "/${name}" is already in use by container ` +
          `"${namesake.id}". You have to remove (or rename) that container to be able to ` +
          "reuse that name.",
      );
    const unknownNetwork = container.networks.find((network) => !networks[network]);
    if (unknownNetwork)
      throw daemonError(`network ${unknownNetwork} not found (container ${name})`);
    if (readOnly && uploads > 0)
      throw daemonError(`container rootfs is marked read-only (container ${name})`);
    const allocated = Object.values(containers).flatMap(({ ports }) => ports);
    const takenPort = container.ports.find((port) => allocated.some((other) => clash(other, port)));
    if (takenPort)
      throw daemonError(
        `driver failed programming external connectivity on endpoint ${name}: ` +
          `Bind for ${takenPort} failed: port is already allocated`,
      );
    for (const volume of container.volumes) this.createVolume(volume);
    return this.save(() => (containers[name] = { id: randomId(), ...container }));
  }

  removeContainer(name: string): void {
    this.save(() => delete this.state.containers[name]);
  }

  /** Whether a container runs an image; others count as not yet there. */
  hasImage(image: string): boolean {
    return Object.values(this.state.containers).some((one) => one.image === imageId(image));
  }

  /** The container that publishes a port on the host; else the one with an alias on a network. */
  findContainer({ alias, port }: { alias: string; port?: string }): Container | undefined {
    const containers = Object.values(this.state.containers);
    return (
      containers.find(({ ports }) => port && ports.some((other) => other.endsWith(`:${port}`))) ??
      containers.find(({ aliases }) => aliases.includes(alias))
    );
  }

  /** Name of a container of this engine. */
  nameOf(container: Container): string | undefined {
    return Object.entries(this.state.containers).find(([, other]) => other === container)?.[0];
  }

  /** The API objects of a container's service, kept in its first volume; lost without one. */
  objectsOf({ volumes: [volume = ""] }: Container): Record<string, string> {
    return this.state.volumes[volume]?.objects ?? {};
  }

  /** Changes the state and writes it to the file. @returns what `change` returns. */
  save<T>(change: () => T): T {
    const result = change();
    mkdirSync(dirname(this.file), { recursive: true });
    writeFileSync(`${this.file}.new`, JSON.stringify(this.state));
    renameSync(`${this.file}.new`, this.file);
    return result;
  }

  /** Name of the first container that meets a condition. */
  private firstContainer(condition: (container: Container) => boolean): string | undefined {
    return Object.entries(this.state.containers).find(([, container]) => condition(container))?.[0];
  }
}

/** Whether two published ports, each as `address:port`, cannot be open together. */
function clash(one: string, other: string): boolean {
  const split = (text: string) => {
    const colon = text.lastIndexOf(":");
    return { address: text.slice(0, colon), port: text.slice(colon + 1) };
  };
  const [a, b] = [split(one), split(other)] as const;
  return (
    a.port === b.port &&
    (a.address === b.address ||
      [a.address, b.address].some((it) => it === "0.0.0.0" || it === "[::]"))
  );
}
