import { createServer, type Server } from "node:http";
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import { parse } from "yaml";
import {
  caddyfile,
  grafanaUrl,
  interfaceHealthCheck,
  kioskUrl,
  originOf,
  proxyHealthCheck,
  settingsFile,
} from "../../configs/interface";
import { keyPair } from "../support/key-pairs";
import { freePort, listens, program, Running, temporaryFolder, until } from "../support/programs";

test("the address of the overview is under the interface's own origin", () => {
  const place = { host: "kiel-1.example", port: 443 };
  expect(originOf({ ...place, port: 8443 })).toBe("https://kiel-1.example:8443");
  expect(kioskUrl(grafanaUrl(place))).toBe(
    "https://kiel-1.example/grafana/d/bess-overview?orgId=1&kiosk",
  );
});

test("settings are lines that a file of environment variables has", () => {
  const secrets = { jwtKey: "k".repeat(40), password: "Ab1-._" };
  const file = settingsFile({ host: "a.example", port: 443, email: "d@example.com", ...secrets });
  const lines = Object.fromEntries(
    file
      .trim()
      .split("\n")
      .map((line) => line.split(/=(.*)/).slice(0, 2))
      .map(([name, value]) => [name, parse(value ?? "") as string]),
  ) as Record<string, string>;
  expect(lines).toMatchObject({
    JWT_TOKEN: secrets.jwtKey,
    YUZZ_PASSWORD: secrets.password,
    ConnectionStrings__DefaultConnection: "Data Source=/data/interface.db",
  });
});

/** Stands in for the interface or for Grafana: answers what it was asked, and by which name. */
const standIn = (name: string): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer(({ url, headers }, response) =>
      response.end(
        JSON.stringify({
          name,
          url,
          host: headers.host,
          scheme: headers["x-forwarded-proto"],
        }),
      ),
    );
    server.on("upgrade", (_, socket) =>
      socket.end(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
      ),
    );
    server.listen(0, "127.0.0.1", () => resolve(server));
  });
/** Exit code of a command. */
async function exitOf([command = "", ...args]: readonly string[]): Promise<number | null> {
  const run = new Running(command, args);
  await until("it has ended", () => run.exitCode !== null);
  return run.exitCode;
}
const portOf = (server: Server) => (server.address() as AddressInfo).port;

describe.each([
  ["a certificate of yours", true],
  ["one of its own authority", false],
])("the real Caddy, with %s", (_, certified) => {
  const folder = temporaryFolder();
  const at = (file: string) => join(folder.path, file);
  const pair = keyPair({ names: "DNS:kiel-1.example" });
  let servers: Server[] = [];
  let proxy: Running;
  let port: number;
  let health: number;

  beforeAll(async () => {
    servers = [await standIn("interface"), await standIn("grafana")];
    const [own, grafana] = servers.map((server) => `127.0.0.1:${portOf(server)}`);
    port = await freePort();
    health = await freePort();
    writeFileSync(at("certificate.pem"), pair.certificate);
    writeFileSync(at("key"), pair.key);
    writeFileSync(
      at("Caddyfile"),
      caddyfile({
        host: "kiel-1.example",
        port,
        certified,
        listen: port,
        health,
        upstreams: { interface: own ?? "", grafana: grafana ?? "" },
        at: { certificate: at("certificate.pem"), key: at("key"), proxyData: at("data") },
      }),
    );
    proxy = new Running(program("caddy"), ["run", "--config", at("Caddyfile")], {
      env: { HOME: folder.path },
    });
    await until(
      () => `Caddy listens: ${proxy.output}`,
      () => listens(port),
    );
    await until(
      () => `it has its certificate: ${proxy.output}`,
      () =>
        ask("/").then(
          () => true,
          () => false,
        ),
    );
  }, 60_000);
  afterAll(async () => {
    await proxy?.stop();
    for (const server of servers) server.close();
    folder.remove();
  });

  /** Asks as a browser does that trusts the authority. */
  const ask = (path: string, headers: Record<string, string> = {}) =>
    new Promise<{ status?: number; location?: string; told: Record<string, string> }>(
      (resolve, reject) => {
        const ca = certified
          ? pair.certificate
          : readFileSync(at("data/pki/authorities/local/root.crt"), "utf8");
        const options = {
          host: "127.0.0.1",
          port,
          path,
          servername: "kiel-1.example",
          ca,
          headers: { host: `kiel-1.example:${port}`, ...headers },
        };
        const made = request(options, (response) => {
          let body = "";
          response.setEncoding("utf8").on("data", (text: string) => (body += text));
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              ...(response.headers.location && { location: response.headers.location }),
              told: body.startsWith("{") ? (JSON.parse(body) as Record<string, string>) : {},
            }),
          );
        });
        made.on("upgrade", ({ statusCode = 0 }) => resolve({ status: statusCode, told: {} }));
        made.on("error", reject).end();
      },
    );

  test("leads to the interface, which hears that it is reached by TLS", async () => {
    expect((await ask("/Auth/Index?x=1")).told).toEqual({
      name: "interface",
      url: "/Auth/Index?x=1",
      host: `kiel-1.example:${port}`,
      scheme: "https",
    });
  });

  test("leads to Grafana under its path, which Grafana itself does not see", async () => {
    expect((await ask("/grafana/d/bess-overview?kiosk")).told).toMatchObject({
      name: "grafana",
      url: "/d/bess-overview?kiosk",
      host: `kiel-1.example:${port}`,
    });
    expect(await ask("/grafana")).toMatchObject({ status: 302, location: "/grafana/" });
    expect((await ask("/grafanas")).told).toMatchObject({ name: "interface" });
  });

  test("leads a web socket of Grafana's live values through", async () => {
    const upgrade = { connection: "Upgrade", upgrade: "websocket" };
    expect(await ask("/grafana/api/live/ws", upgrade)).toMatchObject({ status: 101 });
  });

  test("is healthy while Grafana answers behind it, as the image's wget sees it", async () => {
    const [, ...wget] = proxyHealthCheck(health);
    expect(await exitOf([program("busybox"), ...wget])).toBe(0);
    await new Promise((resolve) => servers[1]?.close(resolve).closeAllConnections());
    expect(await exitOf([program("busybox"), ...wget])).not.toBe(0);
  });
});

test("the interface is healthy while its port answers without an error of its own", async () => {
  const server = createServer((_, response) => response.writeHead(status).end());
  let status = 302;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const check = () => exitOf(interfaceHealthCheck(portOf(server)).slice(1));
  expect(await check()).toBe(0);
  status = 503;
  expect(await check()).toBe(1);
  const script = interfaceHealthCheck(portOf(server)).slice(1);
  server.close();
  expect(await exitOf(script)).not.toBe(0);
});
