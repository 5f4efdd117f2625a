import { stringify } from "yaml";
import { type HubConfig, retentionHours } from "./hub";
import { hubDedup } from "./uplink";
import { ports as vmauthPorts } from "./vmauth";

/** Ports inside the containers, as VictoriaMetrics' own documentation has them. */
export const ports = {
  single: 8428,
  insert: 8480,
  select: 8481,
  storage: 8482,
  /** Of a storage node, for vminsert and vmselect. */
  storageInsert: 8400,
  storageSelect: 8401,
} as const;

/** Paths inside the containers. */
export const paths = {
  data: "/storage",
  scrape: "/etc/victoria-metrics/scrape.yaml",
  /** vmselect's answers that do not fit into memory. */
  cache: "/tmp/vmselect",
} as const;

/** Tenant of the cluster that the hub's sites are in. */
const tenant = 0;

/** Where a hub's values are written to and asked for, below which the API's paths are. */
export interface HubDatabase {
  write: string;
  query: string;
}

/** The hub's database as its own containers reach it. */
export function databaseOf({ storage, external }: HubConfig): HubDatabase {
  if (external) return external;
  if (storage)
    return {
      write: `http://vminsert:${ports.insert}/insert/${tenant}/prometheus`,
      query: `http://vmselect:${ports.select}/select/${tenant}/prometheus`,
    };
  const single = `http://victoria-metrics:${ports.single}`;
  return { write: single, query: single };
}

/** Seconds between two looks at what the hub's programs tell of themselves. */
const scrapeSeconds = 30;

/**
 * What VictoriaMetrics asks the hub's other programs: how much each site sends, for one.
 * @param vmauth address of its port for the hub's own programs.
 */
export const scrapeConfig = (vmauth = `vmauth:${vmauthPorts.internal}`): string =>
  stringify({
    global: { scrape_interval: `${scrapeSeconds}s` },
    scrape_configs: [
      {
        job_name: "vmauth",
        scheme: "https",
        // The certificate is made for the names by which sites reach the hub.
        tls_config: { insecure_skip_verify: true },
        static_configs: [{ targets: [vmauth] }],
      },
    ],
  });

/** Of a minute that was sent again, the last is kept; sites do not know the future. */
const stored = ({ retention }: Pick<HubConfig, "retention">): string[] => [
  `-storageDataPath=${paths.data}`,
  `-retentionPeriod=${retentionHours(retention)}`,
  `-dedup.minScrapeInterval=${hubDedup}`,
];

/**
 * Of queries: a minute is shown as soon as it is there, and a site's last one for five minutes, however
 * seldom it sent before.
 */
const asked = ["-search.latencyOffset=1s", "-search.maxStalenessInterval=5m"];

/** Arguments of the single node. @param scrape file of {@link scrapeConfig}. */
export const singleArguments = (
  hub: Pick<HubConfig, "retention">,
  scrape: string = paths.scrape,
): string[] => [
  ...stored(hub),
  ...asked,
  `-selfScrapeInterval=${scrapeSeconds}s`,
  `-promscrape.config=${scrape}`,
];

/** Arguments of a cluster's storage node. */
export const storageArguments = stored;

const nodeList = (nodes: readonly string[], port: number) =>
  `-storageNode=${nodes.map((node) => `${nodeAddress(node)}:${port}`).join(",")}`;

/** Address of a node, of its engine's. */
export const nodeAddress = (engine: string): string => new URL(engine).hostname;

/** Arguments of what writes to a cluster's nodes. */
export const insertArguments = ({
  nodes,
  replication,
}: NonNullable<HubConfig["storage"]>): string[] => [
  nodeList(nodes, ports.storageInsert),
  `-replicationFactor=${replication}`,
];

/** Arguments of what reads of a cluster's nodes. With fewer than `replication` lost, no answer is partial. */
export const selectArguments = ({
  nodes,
  replication,
}: NonNullable<HubConfig["storage"]>): string[] => [
  nodeList(nodes, ports.storageSelect),
  `-replicationFactor=${replication}`,
  `-dedup.minScrapeInterval=${hubDedup}`,
  `-cacheDataPath=${paths.cache}`,
  ...asked,
];

/** Proves that a program answers; the images are Alpine's. */
export const healthCheck = (port: number): string[] => [
  "CMD-SHELL",
  `wget -q -O /dev/null http://127.0.0.1:${port}/health`,
];
