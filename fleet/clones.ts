import { type ClonedData, type ClonedService, clonesScript, parseClones } from "../configs/clones";
import { paths as grafana } from "../configs/grafana";
import { paths as influxdb } from "../configs/influxdb";
import { paths as mosquitto } from "../configs/mosquitto";
import { type EnginePlace, quoted } from "../configs/ssh";
import { besideEngine } from "./engine";

const volumes: Record<ClonedService, string> = {
  influxdb: influxdb.data,
  grafana: grafana.data,
  mosquitto: mosquitto.data,
};

type Place = EnginePlace & { name: string };

const look = (site: Place, ...args: string[]) =>
  besideEngine(
    site,
    ["sh", "-s", "--", ...args].map(quoted).join(" "),
    clonesScript(site.name, volumes),
  );

/** The clones at a site, by service. @throws Error where the engine cannot be reached. */
export const clonesAt = async (site: Place): Promise<ClonedData[]> =>
  parseClones(await look(site, "list"));

/**
 * Has the next start of an older version of a service take a clone.
 * @param clone its version; `as-is` for the data as they are; undefined for none any more.
 */
export const requestClone = async (
  site: Place,
  service: ClonedService,
  clone: string | undefined,
): Promise<void> => void (await look(site, "request", service, clone ?? ""));

/** That all has been made anew that did not fit what was put back. */
export const dataRenewed = async (site: Place): Promise<void> => void (await look(site, "renewed"));

/**
 * What does not fit data that were put back, or are about to be: tokens and tables that were made
 * since. An update makes them anew.
 * @returns patterns of URNs.
 */
export function unfitting(found: readonly ClonedData[]): string[] {
  const returning = found.filter(({ requested, returned }) => requested !== "" || returned);
  return returning.flatMap(({ service }) => replacedWith[service]);
}

const replacedWith: Record<ClonedService, string[]> = {
  influxdb: ["**-influxdb-schema", "**-influxdb-token-*"],
  // Its data sources take the token, which nobody can read back.
  grafana: ["**-influxdb-token-grafana"],
  mosquitto: [],
};
