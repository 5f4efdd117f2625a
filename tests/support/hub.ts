import { writeFileSync } from "node:fs";
import { request } from "node:https";
import {
  connect,
  createServer as createTcpServer,
  type Server as TcpServer,
  type Socket,
} from "node:net";
import { join } from "node:path";
import { parseHub } from "../../configs/hub";
import { scrapeConfig, singleArguments } from "../../configs/victoria-metrics";
import { usersConfig, vmauthArguments } from "../../configs/vmauth";
import { keyPair, type Pair } from "./key-pairs";
import { freePort, program, Running, temporaryFolder, until } from "./programs";
import { VictoriaMetrics } from "./victoria-metrics";

/** Name by which the hub of the tests is known. */
export const hubName = "hub.lan";

/** What the entrance has answered. */
export interface Answer {
  status: number;
  text: string;
}

/** A hub's database and its entrance, as they are rendered, on free ports of the loopback address. */
export class RunningHub {
  readonly folder = temporaryFolder();
  private vmauth: Running | undefined;
  private constructor(
    readonly database: VictoriaMetrics,
    private readonly ports: { entrance: number; internal: number },
    private readonly pair: Pair,
    readonly reader: string,
  ) {}

  /** @param sites token of each site, by its name. */
  static async start(sites: Record<string, string>, reader = "reader-token"): Promise<RunningHub> {
    const ports = { entrance: await freePort(), internal: await freePort() };
    const pair = keyPair({ subject: hubName, names: `DNS:${hubName},DNS:localhost` });
    const hub = new RunningHub(await startDatabase(ports.internal), ports, pair, reader);
    writeFileSync(hub.at("certificate.pem"), pair.certificate);
    writeFileSync(hub.at("key.pem"), pair.key);
    await hub.open(sites);
    return hub;
  }

  at = (name: string): string => join(this.folder.path, name);

  get url(): string {
    return `https://localhost:${this.ports.entrance}`;
  }

  get certificate(): string {
    return this.pair.certificate;
  }

  /** Process id of vmauth. */
  get doorPid(): number {
    if (!this.vmauth) throw new Error("vmauth was not started");
    return this.vmauth.pid;
  }

  /** File with the certificate, which is the sites' authority. */
  get ca(): string {
    return this.at("certificate.pem");
  }

  /** Starts the entrance anew with other tokens, as an update of the hub does. */
  async open(sites: Record<string, string>): Promise<void> {
    await this.vmauth?.stop();
    const { url } = this.database;
    const users = usersConfig({ sites, reader: this.reader, write: url, query: url });
    writeFileSync(this.at("users.yaml"), users);
    const running = new Running(
      program("vmauth"),
      vmauthArguments({
        entrance: `127.0.0.1:${this.ports.entrance}`,
        internal: `127.0.0.1:${this.ports.internal}`,
        users: this.at("users.yaml"),
        certificate: this.ca,
        key: this.at("key.pem"),
      }),
    );
    this.vmauth = running;
    await until(
      () => `vmauth answers; it printed:\n${running.output}`,
      () =>
        this.ask("GET", "/", undefined).then(
          () => true,
          () => false,
        ),
    );
  }

  /** Asks the entrance. @param token of the asker; undefined for nobody. */
  ask(method: string, path: string, token: string | undefined): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asked = request(`${this.url}${path}`, {
        method,
        ca: this.pair.certificate,
        // A path is sent as it is written, also one that climbs out of its folder.
        path,
        ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
      });
      asked.once("error", reject);
      asked.once("response", (response) => {
        let text = "";
        response.on("data", (data: Buffer) => (text += data.toString()));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      });
      asked.end();
    });
  }

  async remove(): Promise<void> {
    await this.vmauth?.stop("SIGKILL");
    await this.database.remove();
    this.folder.remove();
  }
}

/** The way from a machine to a hub, which can be cut: then it refuses, or takes all and answers nothing. */
export class Link {
  state: "up" | "refused" | "silent" = "up";
  private readonly sockets = new Set<Socket>();
  private readonly server: TcpServer;

  private constructor(hub: RunningHub) {
    this.server = createTcpServer((socket) => {
      this.hold(socket);
      if (this.state === "refused") socket.destroy();
      if (this.state !== "up") return;
      const there = this.hold(connect(Number(new URL(hub.url).port), "127.0.0.1"));
      socket.pipe(there).pipe(socket);
    });
  }

  /** Listens at an address of this process. */
  static async open(hub: RunningHub, address: string, port: number): Promise<Link> {
    const link = new Link(hub);
    await new Promise<void>((resolve) => link.server.listen(port, address, resolve));
    return link;
  }

  /** Connections that are open end. */
  change(state: Link["state"]): void {
    this.state = state;
    for (const socket of this.sockets) socket.destroy();
  }

  close(): void {
    this.change("refused");
    this.server.close();
  }

  private hold(socket: Socket): Socket {
    this.sockets.add(socket);
    return socket
      .on("error", () => socket.destroy())
      .once("close", () => this.sockets.delete(socket));
  }
}

/** The database with the hub's own arguments; what it asks of vmauth, it asks at this port. */
async function startDatabase(internal: number): Promise<VictoriaMetrics> {
  const folder = temporaryFolder();
  const scrape = join(folder.path, "scrape.yaml");
  writeFileSync(scrape, scrapeConfig(`127.0.0.1:${internal}`));
  const own = singleArguments(parseHub({}), scrape).filter(
    (flag) => !flag.startsWith("-storageDataPath"),
  );
  return VictoriaMetrics.start(own);
}

/** A vmagent that sends what it is given to a hub: a sender that is not this project's. */
export class Sender {
  private constructor(
    private readonly running: Running,
    private readonly port: number,
    private readonly folder: ReturnType<typeof temporaryFolder>,
  ) {}

  /** @param query what is put behind the hub's address. */
  static async start(hub: RunningHub, token: string, query = ""): Promise<Sender> {
    const [port, folder] = [await freePort(), temporaryFolder()];
    const running = new Running(program("vmagent"), [
      `-httpListenAddr=127.0.0.1:${port}`,
      `-remoteWrite.tmpDataPath=${folder.path}`,
      `-remoteWrite.url=${hub.url}/api/v1/write${query}`,
      `-remoteWrite.bearerToken=${token}`,
      `-remoteWrite.tlsCAFile=${hub.ca}`,
      "-remoteWrite.flushInterval=100ms",
    ]);
    const sender = new Sender(running, port, folder);
    await until(
      () => `vmagent answers; it printed:\n${running.output}`,
      () => sender.metrics().then(Boolean, () => false),
    );
    return sender;
  }

  private async metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.port}/metrics`)).text();
  }

  /** Hands it values as text, in the format of Prometheus' exposition. */
  async send(text: string): Promise<void> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/api/v1/import/prometheus`, {
      method: "POST",
      body: text,
    });
    if (!answer.ok) throw new Error(await answer.text());
  }

  /** The same as lines of JSON, as `/api/v1/import` takes them. */
  async importJson(lines: string): Promise<void> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/api/v1/import`, {
      method: "POST",
      body: lines,
    });
    if (!answer.ok) throw new Error(await answer.text());
  }

  /** Requests that the hub has answered by a status. */
  async answered(status: number): Promise<number> {
    const pattern = new RegExp(
      `^vmagent_remotewrite_requests_total\\{.*status_code="${status}"\\} (\\d+)`,
      "m",
    );
    return Number(pattern.exec(await this.metrics())?.[1] ?? 0);
  }

  async remove(): Promise<void> {
    await this.running.stop("SIGKILL");
    this.folder.remove();
  }
}
