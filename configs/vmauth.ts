import { stringify } from "yaml";
import { siteLabel } from "./uplink";
import { ports } from "./vmauth-ports";

export { ports };

/** Paths inside vmauth's container. */
export const paths = {
  users: "/run/secrets/users.yaml",
  certificate: "/run/secrets/certificate.pem",
  key: "/run/secrets/key.pem",
} as const;

/** Requests of one site that are worked on at the same time. Its uplink sends one after the other. */
const concurrent = 4;

/** Paths of the API by which values are asked for. */
const readPaths = [
  "/api/v1/query",
  "/api/v1/query_range",
  "/api/v1/series",
  "/api/v1/labels",
  "/api/v1/label/[^/]+/values",
];

/** Who may come in, and where each is let to. */
export interface Entrance {
  /** Token of each site that may send, by its name. */
  sites: Record<string, string>;
  /** Token that may read the values of all sites, and write none. */
  reader: string;
  /** Addresses below which the API's paths are. */
  write: string;
  query: string;
}

/**
 * vmauth's users. A site may write alone, and whatever it says of itself, `site` is the name that its token
 * was made for: a parameter here wins over one of the request's.
 */
export const usersConfig = ({ sites, reader, write, query }: Entrance): string =>
  stringify({
    users: [
      ...Object.entries(sites).map(([site, token]) => ({
        name: site,
        bearer_token: token,
        max_concurrent_requests: concurrent,
        url_map: [
          {
            src_paths: ["/api/v1/write"],
            url_prefix: `${write}?extra_label=${siteLabel}=${site}`,
          },
        ],
      })),
      {
        name: "reader",
        bearer_token: reader,
        max_concurrent_requests: concurrent,
        url_map: [{ src_paths: readPaths, url_prefix: query }],
      },
    ],
  });

/** Where vmauth listens, and finds its files. */
export interface Listening {
  entrance: string;
  internal: string;
  users: string;
  certificate: string;
  key: string;
}

/** vmauth's arguments. What tells of it, and can end it, is not at the entrance. @param at default: as in its container. */
export const vmauthArguments = (
  at: Listening = {
    entrance: `:${ports.entrance}`,
    internal: `:${ports.internal}`,
    ...paths,
  },
): string[] => [
  `-auth.config=${at.users}`,
  `-httpListenAddr=${at.entrance}`,
  `-httpInternalListenAddr=${at.internal}`,
  "-tls",
  "-tlsMinVersion=TLS12",
  `-tlsCertFile=${at.certificate}`,
  `-tlsKeyFile=${at.key}`,
  "-http.disableCORS",
];

/** Proves that vmauth answers. */
export const healthCheck = [
  "CMD-SHELL",
  `wget -q --no-check-certificate -O /dev/null https://127.0.0.1:${ports.internal}/health`,
];
