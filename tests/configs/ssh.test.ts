import { fromMirror, images } from "../../configs/images";
import { siteImages, siteServices, parseSite } from "../../configs/site";
import { apiTunnel, apiUrl, destination, localPorts, quoted, remoteLine, sharedOptions } from "../../configs/ssh";
import architectures from "../../configs/architectures.json";

const reach = { engine: "ssh://pi@bess-pi.local:2222", ssh: { identity: "~/.ssh/id_site", jump: "ops@gate.example:22" } };

describe("how ssh reaches a site", () => {
  test("never takes an unknown host key, nor asks for anything", () => {
    expect(sharedOptions(reach)).toEqual(expect.arrayContaining(["StrictHostKeyChecking=yes", "BatchMode=yes"]));
  });
  test("has the key and the jump host of the stack", () => {
    expect(sharedOptions(reach)).toEqual(expect.arrayContaining(["IdentityFile=~/.ssh/id_site", "IdentitiesOnly=yes", "ProxyJump=ops@gate.example:22"]));
  });
  test("leaves what the stack does not say to the user's own ssh config", () => {
    expect(sharedOptions({ ...reach, ssh: {} }).join(" ")).not.toMatch(/Identity|ProxyJump|KnownHosts/);
  });
  test("names no folder of this machine's: the options stand in the state", () => {
    expect(sharedOptions({ ...reach, ssh: {} }).join(" ")).not.toMatch(/ \/|=\//);
  });
  test.each([
    ["ssh://pi@host", ["-l", "pi", "--", "host"]],
    ["ssh://pi@host:2222", ["-l", "pi", "-p", "2222", "--", "host"]],
    ["ssh://pi@[fd00::7]:2222", ["-l", "pi", "-p", "2222", "--", "fd00::7"]],
  ])("%s", (engine, expected) => {
    expect(destination({ engine, ssh: {} })).toEqual(expected);
  });
  test("passes a command through both shells unharmed", () => {
    expect(quoted("it's $HOME")).toBe(`'it'\\''s $HOME'`);
    expect(remoteLine(reach, "bash -s")).toMatch(/ -- bess-pi\.local 'bash -s'$/);
  });
});

describe("the tunnel to Grafana's API", () => {
  const grafana = { port: 3000 };
  test("has a port of the site's own, the same every time", () => {
    expect(localPorts("pi")).toEqual({ api: 23208, grafana: 23209, explorer: 23210, influxdb: 23211 });
    expect(apiUrl({ name: "pi", engine: "ssh://pi@host", grafana })).toBe("http://127.0.0.1:23208");
  });
  test("keeps the sites of a fleet apart", () => {
    const sites = Array.from({ length: 20 }, (_, i) => localPorts(`site-${i}`).api);
    expect(new Set(sites).size).toBe(20);
    expect(sites.every((port) => port >= 20000 && port <= 29996)).toBe(true);
  });
  test.each<[string, Parameters<typeof apiTunnel>[0], ReturnType<typeof apiTunnel>, string]>([
    ["is not there on a local engine", { name: "dev", grafana }, undefined, "http://127.0.0.1:3000"],
    ["uses the port of grafana.url", { name: "pi", engine: "ssh://pi@host", grafana: { port: 3000, url: "http://127.0.0.1:4000" } }, { local: 4000, remote: 3000 }, "http://127.0.0.1:4000"],
    ["is not there where Grafana is reached without it", { name: "pi", engine: "ssh://pi@host", grafana: { port: 3000, url: "https://grafana.example" } }, undefined, "https://grafana.example"],
  ])("%s", (_, site, tunnel, url) => {
    expect([apiTunnel(site), apiUrl(site)]).toEqual([tunnel, url]);
  });
});

describe("images", () => {
  test.each([
    ["telegraf:1.39.3-alpine", "mirror.lan:5000/library/telegraf:1.39.3-alpine"],
    ["grafana/grafana:13.1.1", "mirror.lan:5000/grafana/grafana:13.1.1"],
    ["ghcr.io/grafana/grafana:13.1.1", "ghcr.io/grafana/grafana:13.1.1"],
    ["localhost/grafana:1", "localhost/grafana:1"],
  ])("%s comes from a mirror as %s", (image, expected) => {
    expect(fromMirror("mirror.lan:5000", image)).toBe(expected);
  });
  test("come from where the stack says, for the services that it runs", () => {
    const site = parseSite({ name: "pi", explorer: { enabled: false }, images: { mirror: "mirror.lan", grafana: "ghcr.io/g/g:1" } });
    expect(siteServices(site)).toEqual(["mosquitto", "telegraf", "influxdb", "grafana"]);
    expect(siteImages(site)).toMatchObject({ telegraf: `mirror.lan/library/${images.telegraf}`, grafana: "ghcr.io/g/g:1" });
  });
  test.each(Object.values(images))("%s has a recorded manifest for a Raspberry Pi and for a server", (image) => {
    expect((architectures.architectures as Record<string, string[]>)[image]).toEqual(expect.arrayContaining(["arm64", "amd64"]));
  });
  test("that are recorded are the pinned ones, and no others", () => {
    expect(Object.keys(architectures.architectures).sort()).toEqual([...new Set(Object.values(images))].sort());
  });
});
