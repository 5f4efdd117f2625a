import { request } from "node:https";
import { deployedStack } from "../automation";
import { hubSites, modelsOf } from "../configs/hub-sites";
import type { FleetSite } from "../configs/inventory";
import { siteLabel } from "../configs/uplink";
import { hubSiteQueries } from "../dashboards";

/** How a hub is asked. */
export interface HubAccess {
  /** Its entrance, such as `https://hub.example:8427`. */
  url: string;
  /** A token that reads. */
  token: string;
  /** Certificate of its authority, in PEM form. Default: the public ones. */
  ca?: string | undefined;
}

/** What a hub knows of a site; what is undefined has not come for some minutes. */
export interface SiteAtHub {
  site: string;
  wave: string;
  /** Seconds since its newest minute ended; undefined where nothing came for a day. */
  age?: number;
  /** Alerts that fire. */
  alerts?: number;
  muted: boolean;
  /** Average state of charge in %. */
  soc?: number;
  /** Watts; over zero: out of the batteries. */
  power?: number;
  version?: string;
}

interface Found {
  metric: Record<string, string>;
  value: [time: number, value: string];
}

/** The way to the hub of a stack, from the stack's outputs. @throws Error where it was never deployed. */
export async function hubAccess(stack: string): Promise<HubAccess> {
  const { addresses, readToken, certificate } = await deployedStack(stack).outputs();
  const write = (addresses as { write?: string } | undefined)?.write;
  if (write === undefined || typeof readToken !== "string")
    throw new Error(`the stack ${stack} has no outputs of a hub: run npx bess up --stack ${stack}`);
  return { url: new URL(write).origin, token: readToken, ca: certificate as string | undefined };
}

/** Series that answer a query in PromQL now. @throws Error with the hub's words. */
function ask({ url, token, ca }: HubAccess, query: string): Promise<Found[]> {
  return new Promise((resolve, reject) => {
    const failed = ({ message }: Error) => reject(new Error(`${url} is not reached: ${message}`));
    const asked = request(`${url}/api/v1/query?${new URLSearchParams({ query })}`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(30_000),
      ...(ca !== undefined && { ca }),
    });
    asked.once("error", failed);
    asked.once("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.once("error", failed);
      response.once("end", () => {
        if (response.statusCode !== 200)
          return reject(new Error(`${url} answers ${response.statusCode}: ${text.slice(0, 200)}`));
        const { data } = JSON.parse(text) as { data: { result: Found[] } };
        return resolve(data.result);
      });
    });
    asked.end();
  });
}

/** What a hub knows of sites: one query for each column, however many there are. */
export async function sitesAtHub(
  sites: readonly Pick<FleetSite, "name" | "wave">[],
  hub: HubAccess,
  models = modelsOf(hubSites()),
): Promise<SiteAtHub[]> {
  const bySite = async (query: string | undefined) =>
    new Map(
      (query === undefined ? [] : await ask(hub, query)).map((one) => [one.metric[siteLabel], one]),
    );
  const queries = hubSiteQueries(models);
  const [age, firing, muted, soc, power, info] = await Promise.all(
    [queries.age, queries.firing, queries.muted, queries.soc, queries.power, queries.info].map(
      bySite,
    ),
  );
  return sites.map(({ name, wave }) => {
    const number = (of: Map<string | undefined, Found> | undefined) => {
      const found = of?.get(name);
      return found && Number(found.value[1]);
    };
    const columns = {
      age: number(age),
      alerts: number(firing),
      soc: number(soc),
      power: number(power),
      version: info?.get(name)?.metric.version,
    };
    const known = Object.entries(columns).filter(([, value]) => value !== undefined);
    return { site: name, wave, muted: muted?.has(name) ?? false, ...Object.fromEntries(known) };
  });
}
