import * as z from "zod";
import { port as grafanaPort } from "./grafana";
import { pinnedImage } from "./images";
import { text } from "./validation";

/** Ports inside the containers: of the interface, of the proxy, and of the proxy's health alone. */
export const ports = { interface: 8080, proxy: 8443, health: 8444 } as const;

/** Paths inside the containers. */
export const paths = {
  /** Volume of the interface: its database, and the keys of its cookies. */
  data: "/data",
  database: "/data/interface.db",
  /** Volume of the proxy: its own certificate authority. */
  proxyData: "/data",
  caddyfile: "/etc/caddy/Caddyfile",
  certificate: "/etc/caddy/certificate.pem",
  key: "/run/secrets/interface-key",
  /** Root certificate of the proxy's own authority. */
  authority: "/data/pki/authorities/local/root.crt",
} as const;

/** Where Grafana is, under the interface's own origin. */
const grafanaPath = "/grafana";

const hostName =
  /^(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;

/**
 * Key `interface` of a site.
 * @param parts keys that are alike at other services.
 */
export const interfaceSchema = <
  Address extends z.ZodType,
  Port extends z.ZodType,
  Tls extends z.ZodType,
>(parts: {
  address: Address;
  port: Port;
  tls: Tls;
}) =>
  z.strictObject({
    enabled: z.boolean().default(true).describe("Whether the interface runs."),
    image: z
      .string()
      .regex(pinnedImage, "pin it by a tag other than latest, or by a digest")
      .meta({
        description: "Your own image of the interface.",
        examples: ["registry.example/bess-interface:1.4.0"],
      }),
    host: text(hostName, "write a host name or an IPv4 address, without https:// and port").meta({
      description: "Name or address by which browsers reach it; its certificate is of this.",
      examples: ["kiel-1.example", "192.168.1.20"],
    }),
    address: parts.address,
    port: parts.port,
    tls: parts.tls,
    email: z
      .email("write an e-mail address")
      .default("admin@example.com")
      .meta({
        description: "E-mail address of its first user, `admin`.",
        examples: ["duty@example.com"],
      }),
    environmentFile: text(/^\/[^\s:]+$/, "write an absolute path")
      .default("/app/.env")
      .meta({
        description: "File that the image reads its settings from: `.env` in its working folder.",
        examples: ["/srv/interface/.env"],
      }),
  });

/** What is decided about an interface. */
export interface InterfacePlace {
  host: string;
  port: number;
}

/** Where browsers find the interface. */
export const originOf = ({ host, port }: InterfacePlace): string =>
  `https://${host}${port === 443 ? "" : `:${port}`}`;

/** Where they find Grafana: under the same origin, so that its pages may be embedded there. */
export const grafanaUrl = (place: InterfacePlace): string => `${originOf(place)}${grafanaPath}/`;

/** Address of the overview, without Grafana's own menus. @param grafana where Grafana is, with a / at its end. */
export const kioskUrl = (grafana: string): string => `${grafana}d/bess-overview?orgId=1&kiosk`;

/** What the interface's file of settings says. */
export interface InterfaceSettings extends InterfacePlace {
  email: string;
  jwtKey: string;
  password: string;
}

/**
 * The interface's file of settings. Values stand in quotes; none of them has a quote or a line's end:
 * secrets are letters, digits and the signs that a password needs.
 */
export const settingsFile = ({ email, jwtKey, password, ...place }: InterfaceSettings): string =>
  Object.entries({
    JWT_TOKEN: jwtKey,
    YUZZ_USERNAME: "admin",
    YUZZ_EMAIL: email,
    YUZZ_PASSWORD: password,
    GF_DASHBOARD: kioskUrl(grafanaUrl(place)),
    ConnectionStrings__DefaultConnection: `Data Source=${paths.database}`,
  })
    .map(([name, value]) => `${name}="${value}"\n`)
    .join("");

/** What is no secret of its settings: ASP.NET behind a proxy, and its keys in the volume. */
export const environment = [
  `ASPNETCORE_HTTP_PORTS=${ports.interface}`,
  "ASPNETCORE_FORWARDEDHEADERS_ENABLED=true",
  `HOME=${paths.data}`,
] as const;

/** What the proxy leads to, and its files; by default as in the container. */
export interface ProxyOptions extends InterfacePlace {
  /** Whether it has a certificate of yours. Otherwise it makes one, of an authority of its own. */
  certified: boolean;
  listen?: number;
  health?: number;
  upstreams?: { interface: string; grafana: string };
  at?: Record<"certificate" | "key" | "proxyData", string>;
}

/** The proxy's configuration: one origin with TLS, Grafana under a path, all else the interface. */
export function caddyfile({
  host,
  certified,
  listen = ports.proxy,
  health = ports.health,
  upstreams = {
    interface: `interface:${ports.interface}`,
    grafana: `grafana:${grafanaPort}`,
  },
  at = paths,
}: ProxyOptions): string {
  const tls = certified ? `tls ${at.certificate} ${at.key}` : "tls internal";
  return `{
	admin off
	auto_https disable_redirects
	skip_install_trust
	storage file_system ${at.proxyData}
	default_sni ${host}
	servers {
		protocols h1 h2
	}
}

https://${host}:${listen} {
	${tls}
	handle_path ${grafanaPath}/* {
		reverse_proxy ${upstreams.grafana}
	}
	redir ${grafanaPath} ${grafanaPath}/
	reverse_proxy ${upstreams.interface}
}

http://127.0.0.1:${health} {
	bind 127.0.0.1
	rewrite * /api/health
	reverse_proxy ${upstreams.grafana}
}
`;
}

/** Proves that the interface's port answers; its image need have no program for that but bash. */
export const interfaceHealthCheck = (port: number = ports.interface): string[] => [
  "CMD",
  "bash",
  "-c",
  `exec 3<>/dev/tcp/127.0.0.1/${port}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; ` +
    'read -r _ status _ <&3; [ "$status" -lt 500 ]',
];

/** Proves that the proxy leads to Grafana. Without TLS: what wget can of it is another matter in each image. */
export const proxyHealthCheck = (port: number = ports.health): string[] => [
  "CMD",
  "wget",
  "-q",
  "-O",
  "/dev/null",
  `http://127.0.0.1:${port}/`,
];
