import {
  apiTunnel,
  apiUrl,
  destination,
  localPorts,
  quoted,
  remoteLine,
  sharedOptions,
} from "../../configs/ssh";

const reach = {
  engine: "ssh://pi@bess-pi.local:2222",
  ssh: { identity: "~/.ssh/id_site", jump: "ops@gate.example:22" },
};

describe("how ssh reaches a site", () => {
  test("never takes an unknown host key, nor asks for anything", () => {
    expect(sharedOptions(reach)).toEqual(
      expect.arrayContaining(["StrictHostKeyChecking=yes", "BatchMode=yes"]),
    );
  });
  test("has the key and the jump host of the stack", () => {
    expect(sharedOptions(reach)).toEqual(
      expect.arrayContaining([
        "IdentityFile=~/.ssh/id_site",
        "IdentitiesOnly=yes",
        "ProxyJump=ops@gate.example:22",
      ]),
    );
  });
  test("leaves what the stack does not say to the user's own ssh config", () => {
    expect(sharedOptions({ ...reach, ssh: {} }).join(" ")).not.toMatch(
      /Identity|ProxyJump|KnownHosts/,
    );
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
    expect(localPorts("pi")).toEqual({
      api: 23208,
      grafana: 23209,
      explorer: 23210,
      influxdb: 23211,
    });
    expect(apiUrl({ name: "pi", engine: "ssh://pi@host", grafana })).toBe("http://127.0.0.1:23208");
  });
  test("keeps the sites of a fleet apart", () => {
    const sites = Array.from({ length: 20 }, (_, i) => localPorts(`site-${i}`).api);
    expect(new Set(sites).size).toBe(20);
    expect(sites.every((port) => port >= 20000 && port <= 29996)).toBe(true);
  });
  test.each<[string, Parameters<typeof apiTunnel>[0], ReturnType<typeof apiTunnel>, string]>([
    [
      "is not there on a local engine",
      { name: "dev", grafana },
      undefined,
      "http://127.0.0.1:3000",
    ],
    [
      "uses the port of grafana.url",
      {
        name: "pi",
        engine: "ssh://pi@host",
        grafana: { port: 3000, url: "http://127.0.0.1:4000" },
      },
      { local: 4000, remote: 3000 },
      "http://127.0.0.1:4000",
    ],
    [
      "is not there where Grafana is reached without it",
      {
        name: "pi",
        engine: "ssh://pi@host",
        grafana: { port: 3000, url: "https://grafana.example" },
      },
      undefined,
      "https://grafana.example",
    ],
  ])("%s", (_, site, tunnel, url) => {
    expect([apiTunnel(site), apiUrl(site)]).toEqual([tunnel, url]);
  });
});
