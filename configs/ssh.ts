import { posix } from "node:path";
import * as z from "zod";

/** How OpenSSH reaches a site, where the user's own ssh config does not say it already. */
export const sshSchema = z.strictObject({
  identity: z
    .string()
    .regex(/^(~\/|\/)[^\s%]+$/, "write the path of a private key file, from / or ~/")
    .optional()
    .meta({
      description:
        "Private key file for the site. " +
        "Without it: the keys of the SSH agent and of your SSH configuration.",
      examples: ["~/.ssh/id_ed25519"],
    }),
  jump: z
    .string()
    .regex(
      /^[\w.-]+@?[\w.:[\]-]*(,[\w.-]+@?[\w.:[\]-]*)*$/,
      "write [user@]host[:port], more of them split by commas",
    )
    .optional()
    .meta({
      description: "Jump host, as in `ssh -J`.",
      examples: ["admin@gateway.example:2222"],
    }),
  knownHosts: z
    .string()
    .regex(/^(~\/|\/)[^\s%]+$/, "write the path of a known_hosts file, from / or ~/")
    .optional()
    .meta({
      description:
        "File that holds the site's host key. Without it: the one of your SSH configuration.",
      examples: ["~/.ssh/known_hosts_sites"],
    }),
});

/** A site that is reached over SSH. */
export interface SshTarget {
  /** `ssh://user@host` or `ssh://user@host:port`. */
  engine: string;
  ssh: z.output<typeof sshSchema>;
}

/** A port of the site, or one that the site reaches, forwarded from this machine. */
export interface Forward {
  /** Port of this machine's loopback address. */
  local: number;
  remote: number;
  /** Address of the remote port, as the site sees it. Default: its loopback address. */
  address?: string;
}

/** Whether an engine is reached over SSH. */
export const isSsh = (engine: string | undefined): engine is string =>
  engine?.startsWith("ssh://") ?? false;

/** A host's name or address as every spelling of it becomes; its own loopback is `localhost`. */
function hostKey(host: string): string {
  const [plain] = host.split(/\.$/);
  // A URL of http, unlike one of ssh, has its host lower-cased, and an IPv4 address written out.
  const url = `http://${plain}`;
  const { hostname } = new URL(URL.canParse(url) ? url : "http://localhost");
  return /^(127(\.\d+){3}|\[::1\])$/.test(hostname) ? "localhost" : hostname;
}

/**
 * What tells one engine from another: its host and port, or its socket, the same however they are
 * spelled. Two users of one host are one engine.
 */
export function engineKey(engine: string): string {
  const [, scheme, host = "", port] =
    /^(ssh|tcp):\/\/(?:[^@/]*@)?(\[[^\]]*\]|[^:/]*)(?::(\d+))?/.exec(engine) ?? [];
  if (scheme) return `${scheme}://${hostKey(host)}:${Number(port ?? 22)}`;
  return `unix://${posix.normalize(engine.replace(/^unix:\/\//, "")).replace(/^\/var\/run\//, "/run/")}`;
}

/** Seconds after which a site that no longer answers counts as gone. */
const silenceSeconds = 20;

/** Options of every ssh: it asks for nothing, takes no unknown host, and notices a dead link. */
function options({ ssh }: SshTarget): string[] {
  return [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=20",
    "ServerAliveInterval=5",
    `ServerAliveCountMax=${silenceSeconds / 5}`,
    "Compression=yes",
    ...(ssh.identity ? [`IdentityFile=${ssh.identity}`, "IdentitiesOnly=yes"] : []),
    ...(ssh.jump ? [`ProxyJump=${ssh.jump}`] : []),
    ...(ssh.knownHosts ? [`UserKnownHostsFile=${ssh.knownHosts}`] : []),
  ].flatMap((option) => ["-o", option]);
}

/**
 * Options by which everything that an update does at a site shares one connection. The first ssh
 * opens it, and it closes a minute after the last one has ended. The path names no machine, because
 * the Docker provider keeps it in the state.
 */
export const sharedOptions = (target: SshTarget): string[] => [
  ...options(target),
  ...["ControlMaster=auto", "ControlPath=~/.ssh/bess-%C", "ControlPersist=60"].flatMap((option) => [
    "-o",
    option,
  ]),
];

/** Options of a connection of its own, which ends with its process. */
export const ownOptions = (target: SshTarget): string[] => [
  ...options(target),
  "-o",
  "ControlMaster=no",
  "-o",
  "ControlPath=none",
  "-o",
  "ExitOnForwardFailure=yes",
];

/** The arguments by which ssh is told the site: user, port and host. */
export function destination({ engine }: SshTarget): string[] {
  const { username, hostname, port } = new URL(engine);
  return ["-l", username, ...(port ? ["-p", port] : []), "--", hostname.replace(/^\[|\]$/g, "")];
}

/** Arguments that forward ports over the shared connection; a forward that exists stays. */
export const forwardArguments = (
  target: SshTarget,
  forwards: Forward[],
  operation: "forward" | "cancel" = "forward",
): string[] => [
  ...sharedOptions(target),
  "-O",
  operation,
  ...listenArguments(forwards),
  ...destination(target),
];

/** `-L` for each port. */
export const listenArguments = (forwards: Forward[]): string[] =>
  forwards.flatMap(({ local, remote, address = "127.0.0.1" }) => [
    "-L",
    `127.0.0.1:${local}:${address}:${remote}`,
  ]);

/** A word as a shell takes it. */
export const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

/** Shell command line of `ssh` with these arguments. */
export const sshLine = (args: string[]): string => ["ssh", ...args].map(quoted).join(" ");

/**
 * Shell command line that runs a command at the site over the shared connection, with this shell's
 * standard input.
 */
export const remoteLine = (target: SshTarget, command: string): string =>
  sshLine([...sharedOptions(target), "-T", ...destination(target), command]);

/** Where a site's Docker engine is. */
export interface EnginePlace {
  /** Default: `DOCKER_HOST`, else the local engine. */
  engine?: string | undefined;
  ssh: SshTarget["ssh"];
}

/**
 * Shell command line that runs a command beside a site's engine, with this shell's standard input:
 * here, or at the site if that is reached over SSH. The site's own client asks its engine in one
 * round trip; one here would open several connections for it.
 */
export const engineLine = ({ engine, ssh }: EnginePlace, command: string): string =>
  isSsh(engine) ? remoteLine({ engine, ssh }, command) : command;

/** Environment variables that such a line needs here. */
export const engineEnvironment = ({ engine }: EnginePlace): Record<string, string> =>
  engine && !isSsh(engine) ? { DOCKER_HOST: engine } : {};

/** Stable local ports of a site: Grafana's API while a program runs, and what a person opens. */
export function localPorts(
  site: string,
): Record<"api" | "grafana" | "explorer" | "influxdb", number> {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(site)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  const first = 20000 + (hash % 2500) * 4;
  return { api: first, grafana: first + 1, explorer: first + 2, influxdb: first + 3 };
}

/** The tunnel to Grafana's API. None where `grafana.url` is not this machine's own address. */
export function apiTunnel(site: {
  name: string;
  engine?: string | undefined;
  grafana: { url?: string | undefined; port: number };
}): Forward | undefined {
  if (!isSsh(site.engine)) return undefined;
  const { url, port } = site.grafana;
  if (url === undefined) return { local: localPorts(site.name).api, remote: port };
  const own = new URL(url);
  return ["127.0.0.1", "localhost"].includes(own.hostname) && own.port
    ? { local: Number(own.port), remote: port }
    : undefined;
}

/** Where Grafana's API is reached from where Pulumi runs. */
export const apiUrl = (site: Parameters<typeof apiTunnel>[0]): string =>
  site.grafana.url ?? `http://127.0.0.1:${apiTunnel(site)?.local ?? site.grafana.port}`;

/** The error message for a site that ssh could not reach, with a remedy. `stderr` is ssh's. */
export function unreachableMessage({ engine }: SshTarget, stderr: string): string {
  const { hostname, username } = new URL(engine);
  const lines = stderr.trim().split("\n");
  const last = lines.filter((line) => !/^(\*\*|\s*$)/.test(line)).at(-1) ?? "no answer";
  const destination = `${username}@${hostname}`;
  const remedy =
    remedies.find(([pattern]) => pattern.test(stderr))?.[1] ?? ((to) => `try ssh ${to}`);
  return `it is not reached: ${last.slice(0, 200)}: ${remedy(destination)}`;
}

const compareFingerprint = (to: string) =>
  `run ssh ${to} once, and compare the fingerprint with ` +
  "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub at the site";

/** What to do about an error of ssh's: the first remedy whose pattern its output matches. */
const remedies: [pattern: RegExp, remedy: (to: string) => string][] = [
  [
    /IDENTIFICATION HAS CHANGED/,
    (to) =>
      "its host key is another than the known one: if its card was written anew, " +
      `run ssh-keygen -R ${to.slice(to.indexOf("@") + 1)}, and then ${compareFingerprint(to)}`,
  ],
  [
    /Host key verification failed|host key is known/,
    (to) => `its host key is not known here: ${compareFingerprint(to)}`,
  ],
  [
    /Permission denied/,
    (to) =>
      `it takes no key of yours: run ssh-copy-id ${to}, or load the key with ssh-add; ` +
      "passwords are never asked for",
  ],
  [
    /Could not resolve/,
    () => "its name is not known: write its address, or a Host of your ssh config, in engine",
  ],
  [
    /Connection refused/,
    () =>
      "no SSH server answers on this port: enable SSH " +
      "(raspi-config, or a file named ssh on the boot partition)",
  ],
  [
    /timed out|No route|unreachable|not responding/,
    () => "is it powered and on this network? A jump host goes into ssh.jump",
  ],
  [
    /forwarding|Address already in use/i,
    () =>
      "the tunnel's local port is taken by another program: stop that, " +
      "or set grafana.url to http://127.0.0.1 with a free port",
  ],
];
