import { parseHub } from "../../configs/hub";
import { siteSchema } from "../../configs/site";
import { addressLines, endpointsOf, openedHub } from "../../cli/open";

const site = (change: object) =>
  siteSchema.parse({ name: "pi", engine: "ssh://pi@host", ...change });

describe("what a person opens of a site", () => {
  test.each<[what: string, change: object, influxdb: string | undefined, expected: string[]]>([
    [
      "Grafana and the Explorer",
      {},
      undefined,
      ["Grafana 127.0.0.1:3000", "Explorer 127.0.0.1:8888"],
    ],
    [
      "InfluxDB's container, where its API is not published",
      {},
      "172.19.0.3",
      ["Grafana 127.0.0.1:3000", "Explorer 127.0.0.1:8888", "InfluxDB 172.19.0.3:8181"],
    ],
    [
      "InfluxDB where it is published",
      { influxdb: { port: 9191 } },
      undefined,
      ["Grafana 127.0.0.1:3000", "Explorer 127.0.0.1:8888", "InfluxDB 127.0.0.1:9191"],
    ],
    [
      "no Explorer that is off",
      { explorer: { enabled: false } },
      undefined,
      ["Grafana 127.0.0.1:3000"],
    ],
  ])("%s", (_, change, influxdb, expected) => {
    expect(
      endpointsOf(site(change), influxdb).map(
        ({ name, address = "127.0.0.1", remote }) => `${name} ${address}:${remote}`,
      ),
    ).toEqual(expected);
  });

  test("is at the site's own local ports through a tunnel, and at the services' own without one", () => {
    const endpoints = endpointsOf(site({}));
    expect(addressLines(endpoints, true)).toEqual([
      "Grafana   http://127.0.0.1:23209",
      "Explorer  http://127.0.0.1:23210",
    ]);
    expect(addressLines(endpoints, false)).toEqual([
      "Grafana   http://127.0.0.1:3000",
      "Explorer  http://127.0.0.1:8888",
    ]);
  });
});

test("a hub is its Grafana, where sites write, and how its tokens are seen", () => {
  const hub = parseHub({
    engine: "ssh://bess@hub.example",
    entrance: { names: ["hub.example"] },
    grafana: { port: 3001 },
  });
  const { target, endpoints, lines } = openedHub("hub", hub);
  expect(target?.engine).toBe("ssh://bess@hub.example");
  expect(endpoints.map(({ name, remote }) => `${name} ${remote}`)).toEqual(["Grafana 3001"]);
  expect(lines.join("\n")).toMatch(
    /grafanaPassword [^]*https:\/\/hub\.example:8427\/api\/v1\/write[^]*siteTokens [^]*readToken /,
  );
});
