import { chownSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import * as influxdb from "../../../configs/influxdb";
import { loadModel } from "../../../configs/model";
import * as mosquitto from "../../../configs/mosquitto";
import { type Profile, profiles } from "../../../configs/profiles";
import { retentionOf } from "../../../configs/retention";
import * as rollups from "../../../configs/rollups";
import type { RollupConfig } from "../../../configs/rollups";
import * as telegraf from "../../../configs/telegraf";
import type { RunScript } from "../../../fleet";
import { deployOnMocks, type MockedContainer } from "../mocked-site";
import { hubName } from "../hub";
import { influxdb3, program, temporaryFolder, until } from "../programs";
import { Container, type Image, withOptions } from "./container";
import { Disk, type DiskCache } from "./disk";
import { Namespace } from "./namespace";

/** A service that keeps a site's telemetry, or passes it on. */
export type DataService = "mosquitto" | "telegraf" | "influxdb" | "rollup";

/** What the images of the data path bring. */
const images: Record<DataService, () => Image> = {
  mosquitto: () => ({
    entrypoint: [],
    command: ["/usr/sbin/mosquitto", "-c", mosquitto.paths.config],
    user: "1883:1883",
    programs: [
      `${program("mosquitto")}:/usr/sbin/mosquitto`,
      `${program("mosquitto_sub")}:/usr/bin/mosquitto_sub`,
      `${beside("libmosquitto.so.1")}:/usr/bin/libmosquitto.so.1`,
      `${beside("mosquitto_persist_sqlite.so")}:${mosquitto.paths.plugin}`,
    ],
  }),
  telegraf: () => ({
    entrypoint: [],
    command: ["telegraf"],
    user: "100:101",
    programs: [`${program("telegraf")}:/usr/bin/telegraf`],
  }),
  influxdb: () => ({
    entrypoint: [],
    command: ["influxdb3", "serve"],
    user: "1500:1500",
    programs: [`${influxdb3()}:/usr/bin/influxdb3`],
  }),
  rollup: () => ({
    entrypoint: [],
    command: [],
    user: "1000:1000",
    programs: [`${process.execPath}:/usr/bin/node`],
  }),
};

/** Where services find their tokens of the database. */
const tokenFiles: [DataService, string][] = [
  ["telegraf", `${telegraf.paths.secrets}/${telegraf.secrets.influxdb}`],
  ["rollup", rollups.paths.token],
];

/** What was built with the broker lies beside it. */
const beside = (file: string) => join(dirname(program("mosquitto")), file);

/** What a machine is made for. */
export interface MachineChoices {
  services: readonly DataService[];
  /** Default: `pi`. */
  profile?: keyof typeof profiles;
  /** Size of its disk. Default: 512. */
  mebibytes?: number;
  /** Options of `influxdb3` that differ from the site's, such as `--wal-snapshot-size`. */
  influxdb?: Record<string, string>;
  /** Way to a hub, which is reached at a port of {@link Machine.outside}. */
  uplink?: { port: number; token: string; ca: string };
  /** Seconds after which the relay notes a block again, for rollups that come soon. Default: the site's. */
  noteSeconds?: number;
}

/** Renders anew what decides how soon rollups come. */
function hasten(
  { influxdb: database, rollup }: Record<DataService, MockedContainer>,
  noteSeconds: number,
): void {
  const fileOf = ({ uploads }: MockedContainer, path: string) => {
    const found = uploads.find(({ file }) => file === path);
    if (!found) throw new Error(`the site has no file ${path}`);
    return found;
  };
  const relay = fileOf(database, influxdb.paths.relay);
  relay.content = influxdb.relayProgram({ node: "dev", noteSeconds });
  const config = fileOf(rollup, rollups.paths.config);
  const due: RollupConfig["due"] = { ...rollups.dueSeconds, note: 2 * noteSeconds };
  config.content = JSON.stringify({ ...(JSON.parse(config.content) as RollupConfig), due });
}

/**
 * A machine with a site's data path: the containers of the site in a network of their own, their
 * volumes on a disk whose power can be cut. Site and model are the default ones.
 */
export class Machine {
  readonly disk: Disk;
  readonly profile: Profile;
  readonly model = loadModel("configs/telemetry.yaml");
  /** Address at which this process reaches the services. */
  readonly address: string;
  private readonly containers = new Map<DataService, Container>();
  private readonly folder = temporaryFolder();

  private constructor(
    private readonly choices: MachineChoices,
    private readonly site: Record<DataService, MockedContainer>,
    /** Where its network and its mounts are. */
    readonly namespace: Namespace,
  ) {
    this.profile = profiles[choices.profile ?? "pi"];
    this.address = namespace.join();
    this.disk = new Disk(namespace, choices.mebibytes ?? 512);
    for (const service of choices.services)
      this.containers.set(service, this.makeContainer(service));
    this.makeVolumes();
  }

  /** Makes one, with nothing started. @throws Error if a program of its services is missing. */
  static async make(choices: MachineChoices): Promise<Machine> {
    const { port, ...uplink } = choices.uplink ?? { port: 0, token: "", ca: "" };
    const { containers } = await deployOnMocks({
      name: "dev",
      profile: choices.profile ?? "pi",
      ...(port && { uplink: { ...uplink, url: `https://${hubName}:${port}/api/v1/write` } }),
    });
    const database = containers.influxdb;
    database.command = withOptions(database.command ?? [], choices.influxdb ?? {});
    if (choices.noteSeconds !== undefined) hasten(containers, choices.noteSeconds);
    return new Machine(choices, containers, await Namespace.make());
  }

  /** Address of this process, as the services reach it. */
  get outside(): string {
    return this.namespace.outside;
  }

  /** A service's container. @throws Error if the machine was made without it. */
  container(service: DataService): Container {
    const container = this.containers.get(service);
    if (!container) throw new Error(`this machine has no ${service}`);
    return container;
  }

  /**
   * Deploys the site, as `up` does: the database with its tables and a token, then what needs them, and
   * at last Telegraf's sessions.
   */
  async deploy(): Promise<void> {
    const database = this.containers.get("influxdb");
    if (database) {
      database.start();
      await this.healthy(["influxdb"]);
      const schema = influxdb.schema(
        this.model,
        retentionOf({ profile: this.choices.profile ?? "pi" }),
      );
      await this.run("influxdb", ["bash", "-s"], influxdb.schemaScript(schema));
      for (const [service, file] of tokenFiles) {
        const container = this.containers.get(service);
        if (!container) continue;
        const create = influxdb.createTokenScript();
        const token = await this.run("influxdb", ["bash", "-s"], create, `${service}-1`);
        container.upload(file, token.trim());
      }
    }
    // One after the other: Telegraf comes back to a broker that was not there after ten seconds.
    for (const [service, container] of this.containers) {
      if (service !== "influxdb") container.start();
      await this.healthy([service]);
    }
    const sessions = telegraf.sessions("dev", this.model);
    const former = this.containers.has("mosquitto") ? sessions : [];
    await Promise.all(
      former.map(({ formerId }) =>
        this.run("mosquitto", ["sh", mosquitto.paths.session, "drop", formerId]),
      ),
    );
  }

  /** Starts all services at once, as the engine does at a boot. */
  start(): void {
    for (const container of this.containers.values()) container.start();
  }

  /** Waits until health checks pass. @throws Error with what the services have printed. */
  async healthy(services: readonly DataService[] = this.choices.services, seconds = 120) {
    for (const service of services) {
      const container = this.containers.get(service);
      await until(
        () => `${service} is healthy:\n${this.output()}`,
        async () => (await container?.healthy()) === true,
        seconds,
      );
    }
  }

  /** Stops all services, as a shutdown does. */
  async shutDown(): Promise<void> {
    await Promise.all([...this.containers.values()].map((container) => container.stop()));
  }

  /** Cuts the power. @returns the moment from which nothing reached the disk, as Date.now() has it. */
  async cut(cache: DiskCache): Promise<number> {
    this.disk.cut(cache);
    const moment = Date.now();
    await this.kill();
    return moment;
  }

  /** Boots after {@link cut}: the file system recovers, and the engine starts the services. */
  async boot(): Promise<void> {
    await this.disk.recover();
    this.start();
  }

  /** Ends all services, and empties the disk. */
  async renew(): Promise<void> {
    await this.kill();
    await this.disk.format();
    this.makeVolumes();
  }

  /** Every file on the disk, as its path there. */
  files(): string[] {
    const root = this.namespace.path(this.disk.path);
    return readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(root, join(entry.parentPath, entry.name)));
  }

  /** What the services have set aside. */
  setAside(): string[] {
    return this.files().filter((file) => file.includes("/.set-aside/"));
  }

  /** How often services ended by themselves since the last boot. */
  restarts(): number {
    return [...this.containers.values()].reduce((sum, { restarts }) => sum + restarts, 0);
  }

  /** The last that each service has printed. */
  output(): string {
    return [...this.containers]
      .map(([service, { output }]) => `${service}:\n${output.slice(-2000)}`)
      .join("\n");
  }

  /** A user's password at the broker. */
  password(user: "gateway" | "telegraf"): string {
    return `secret-dev-mosquitto-${user}`;
  }

  /** Answer of the database to a query in SQL, as an admin. */
  async query<Row>(sql: string, db: string = influxdb.databases.telemetry): Promise<Row[]> {
    return JSON.parse(
      await this.ask("query_sql", JSON.stringify({ db, q: sql, format: "json" })),
    ) as Row[];
  }

  /** Writes line protocol with times in nanoseconds, as an admin. @param port the API's or the relay's. */
  async write(
    lines: string,
    port = influxdb.port,
    db: string = influxdb.databases.telemetry,
  ): Promise<void> {
    await this.ask(`write_lp?db=${db}&precision=nanosecond`, lines, port);
  }

  /** Runs scripts in the database's container, as `docker exec` does. */
  readonly script: RunScript = async (program, script, heard) => {
    const command = [program, program === "bash" ? "-s" : "-"];
    const ended = await this.container("influxdb").execute(command, { input: script, heard });
    if (ended.code === 0) return ended.stdout;
    throw new Error(ended.stderr.trim().split("\n").at(-1) || `it ended with ${ended.code}`);
  };

  /** Ends all, and leaves nothing behind. */
  async close(): Promise<void> {
    await this.kill();
    await this.namespace.close();
    this.disk.remove();
    this.folder.remove();
  }

  private async ask(path: string, body: string, port = influxdb.port): Promise<string> {
    const seed = this.site.influxdb.uploads.find(({ file }) => file === influxdb.paths.seed);
    const { token } = JSON.parse(seed?.content ?? "{}") as { token?: string };
    const response = await fetch(`http://${this.address}:${port}/api/v3/${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body,
    }).catch((error: Error) => {
      throw new Error(`${path}: ${String(error.cause)}\n${this.output()}`);
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} answers ${response.status}: ${text}`);
    return text;
  }

  private async kill(): Promise<void> {
    await Promise.all([...this.containers.values()].map((one) => one.stop("SIGKILL")));
  }

  private makeContainer(service: DataService): Container {
    const folder = join(this.folder.path, service);
    mkdirSync(folder);
    const container = new Container(this.site[service], images[service](), {
      folder,
      namespace: this.namespace,
      volume: (name) => join(this.disk.path, name),
    });
    const hosts = `127.0.0.1 localhost mosquitto influxdb\n${this.outside} ${hubName}\n`;
    container.upload("/etc/hosts", hosts);
    // Mosquitto 2.1.2 needs its user's name.
    const [uid, gid] = images[service]().user.split(":");
    container.upload("/etc/passwd", `${service}:x:${uid}:${gid}::/:/bin/sh\n`);
    container.upload("/etc/group", `${service}:x:${gid}:\n`);
    return container;
  }

  /** Volumes as Docker makes them: owned like the folder of the image. */
  private makeVolumes(): void {
    for (const service of this.choices.services)
      for (const { volumeName } of this.site[service].volumes ?? []) {
        const path = this.namespace.path(join(this.disk.path, volumeName));
        // That of the notes is the database's, and the rollups read it.
        if (existsSync(path)) continue;
        mkdirSync(path);
        const [uid, gid] = images[service]().user.split(":").map(Number) as [number, number];
        chownSync(path, uid, gid);
      }
    // The engine keeps its own files safe.
    this.namespace.run("sync", "--file-system", this.disk.path);
  }

  /** Runs a script in a service's container, as `up` does. @returns what it printed. */
  private async run(
    service: DataService,
    command: string[],
    input = "",
    token = "",
  ): Promise<string> {
    const environment = { TOKEN_NAME: token };
    const ended = await this.container(service).execute(command, { input, environment });
    if (ended.code !== 0) throw new Error(`the script failed: ${ended.stderr}`);
    return ended.stdout;
  }
}
