import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Registries } from "../../cli/images/registry";
import { hubImages, type ImageRecord, images, repositoryOf, tagOf } from "../../configs/images";
import { Checkout } from "../support/checkout";
import { temporaryFolder } from "../support/programs";
import { OwnRegistry, sha256 } from "../support/registry";

// The command is started four times.
jest.setTimeout(300_000);

const pinned = [...new Set(Object.values({ ...images, ...hubImages }))];
const both = ["arm64", "amd64"];
/** An image's name at a mirror of Docker Hub. */
const mirrored = (image: string) =>
  `${image.includes("/") ? "" : "library/"}${repositoryOf(image)}:${tagOf(image)}`;

describe("npx bess images pin, from a real registry", () => {
  const checkout = new Checkout();
  let registry: OwnRegistry;
  const pushed = new Map<string, ImageRecord>();
  beforeAll(async () => {
    registry = await OwnRegistry.start();
    for (const image of pinned)
      pushed.set(image, await registry.push(mirrored(image), image, both));
  });
  afterAll(async () => {
    await registry.stop();
    checkout.remove();
  });
  const pin = (...more: string[]) =>
    checkout.bess("images", "pin", "--mirror", registry.address, ...more);
  const records = () =>
    (
      JSON.parse(readFileSync(checkout.at("configs/registry.json"), "utf8")) as {
        images: Record<string, ImageRecord>;
      }
    ).images;

  test("records each digest, keeps what differs, and takes it when told to", async () => {
    const own = `${registry.address}/team/interface:1.4.0`;
    pushed.set(own, await registry.push("team/interface:1.4.0", "interface", both));
    expect(await pin(own)).toMatchObject({ code: 0, stderr: "" });
    expect(records()).toEqual(Object.fromEntries(pushed));

    // A tag that got other content, and an image that lost an architecture.
    const telegraf = await registry.push(mirrored(images.telegraf), "other", both);
    await registry.push(mirrored(images.grafana), "half", ["amd64"]);
    const again = await pin();
    expect(again.code).toBe(1);
    expect(again.stdout).toContain(
      `differs   ${images.telegraf}: ${pushed.get(images.telegraf)?.digest} is recorded, and the registry has ${telegraf.digest} now\n`,
    );
    expect(again.stdout).toContain(`FAILED    ${images.grafana}: it has no variant for arm64\n`);
    expect(again.stdout).toContain(
      `same      ${images.influxdb}: ${pushed.get(images.influxdb)?.digest}\n`,
    );
    expect(again.stderr).toContain("find out why, then take it by --renew");
    expect(records()).toEqual(Object.fromEntries(pushed));

    expect((await pin("--renew")).stdout).toContain(
      `recorded  ${images.telegraf}: ${telegraf.digest}`,
    );
    expect(records()[images.telegraf]).toEqual(telegraf);
    expect(records()[images.grafana]).toEqual(pushed.get(images.grafana));
  });
  test("refuses a name that is not to be asked for", async () => {
    const { code, stderr } = await pin("own/x");
    expect(code).toBe(1);
    expect(stderr).toContain("the image is own/x: write it with a tag");
  });
});

describe("a registry", () => {
  const folder = temporaryFolder();
  const { DOCKER_CONFIG: former } = process.env;
  beforeAll(() => {
    process.env.DOCKER_CONFIG = folder.path;
  });
  afterAll(() => {
    if (former === undefined) delete process.env.DOCKER_CONFIG;
    else process.env.DOCKER_CONFIG = former;
    folder.remove();
  });

  /** A stand-in for registries that ask for a token, or do not say the truth. */
  async function standIn(answer: (request: IncomingMessage, response: ServerResponse) => void) {
    const server = createServer(answer);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    return { address: `127.0.0.1:${port}`, close: () => server.close() };
  }
  const config = JSON.stringify({ os: "linux", architecture: "arm64" });
  const manifest = JSON.stringify({ schemaVersion: 2, config: { digest: sha256(config) } });

  test("that wants a token gets one, by the login that docker has kept", async () => {
    const seen: string[] = [];
    const { address, close } = await standIn((request, response) => {
      const { authorization = "none" } = request.headers;
      seen.push(`${request.url} ${authorization}`);
      if (request.url?.startsWith("/token")) return response.end(JSON.stringify({ token: "t1" }));
      if (authorization !== "Bearer t1") {
        const challenge = `Bearer realm="http://${request.headers.host}/token",service="registry",scope="repository:own/x:pull"`;
        return response.writeHead(401, { "www-authenticate": challenge }).end();
      }
      return response.end(request.url?.includes("/blobs/") ? config : manifest);
    });
    const auth = Buffer.from("ann:secret").toString("base64");
    writeFileSync(
      join(folder.path, "config.json"),
      JSON.stringify({ auths: { [address]: { auth } } }),
    );
    expect(await new Registries().record(`${address}/own/x:1`, both)).toEqual({
      digest: sha256(manifest),
      architectures: { arm64: { manifest: sha256(manifest), config: sha256(config) } },
    });
    expect(seen).toEqual([
      "/v2/own/x/manifests/1 none",
      `/token?service=registry&scope=repository%3Aown%2Fx%3Apull Basic ${auth}`,
      "/v2/own/x/manifests/1 Bearer t1",
      `/v2/own/x/blobs/${sha256(config)} Bearer t1`,
    ]);
    close();
  });
  test.each<[string, Parameters<typeof standIn>[0], string]>([
    [
      "gives other content than it says",
      (_, response) => response.setHeader("docker-content-digest", sha256("x")).end(manifest),
      `gives ${sha256(manifest)} where it says ${sha256("x")}`,
    ],
    [
      "gives another config than the manifest names",
      (request, response) => response.end(request.url?.includes("/blobs/") ? "{}" : manifest),
      `gives ${sha256("{}")} where it says ${sha256(config)}`,
    ],
    ["knows no such image", (_, response) => response.writeHead(404).end(), "has no such image"],
    ["wants a login", (_, response) => response.writeHead(401).end(), "docker login may help"],
    [
      "has had enough",
      (_, response) => response.writeHead(429).end(),
      "the next run goes on from here",
    ],
  ])("that %s is an error", async (_, answer, message) => {
    const { address, close } = await standIn(answer);
    await expect(new Registries().record(`${address}/own/x:1`, both)).rejects.toThrow(message);
    close();
  });
  test("that is not there is an error", async () => {
    const { address, close } = await standIn(() => undefined);
    close();
    await expect(new Registries().record(`${address}/own/x:1`, both)).rejects.toThrow(
      `${address} does not answer (ECONNREFUSED)`,
    );
  });
});
