import { z } from "zod";

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
export interface Reach {
  /** `ssh://user@host` or `ssh://user@host:port`. */
  engine: string;
  ssh: z.output<typeof sshSchema>;
}

/** A port that the site reaches, brought to a port of this machine's loopback address. */
export interface Forward {
  local: number;
  remote: number;
  /** Address of the remote port, as the site sees it. Default: its loopback address. */
  address?: string;
}

/** Whether an engine is reached over SSH. */
export const isSsh = (engine: string | undefined): engine is string =>
  engine?.startsWith("ssh://") ?? false;

/** Seconds after which a site that no longer answers counts as gone. */
export const silenceSeconds = 20;

/** Options of every ssh to a site: it asks nobody, takes no unknown host, and notices a dead link. */
function options({ ssh }: Reach): string[] {
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
 * Options by which all that an update does at a site shares one connection. The first to come opens it, and it closes
 * a minute after the last has gone. The path names no machine: the Docker provider keeps it in the state.
 */
export const sharedOptions = (reach: Reach): string[] => [
  ...options(reach),
  ...["ControlMaster=auto", "ControlPath=~/.ssh/bess-%C", "ControlPersist=60"].flatMap((option) => [
    "-o",
    option,
  ]),
];

/** Options of a connection of its own, which ends with its process. */
export const ownOptions = (reach: Reach): string[] => [
  ...options(reach),
  "-o",
  "ControlMaster=no",
  "-o",
  "ControlPath=none",
  "-o",
  "ExitOnForwardFailure=yes",
];

/** The site in ssh's words. */
export function destination({ engine }: Reach): string[] {
  const { username, hostname, port } = new URL(engine);
  return ["-l", username, ...(port ? ["-p", port] : []), "--", hostname.replace(/^\[|\]$/g, "")];
}

/** Arguments that let the shared connection bring ports here; one that is there already stays. */
export const forwardArguments = (
  reach: Reach,
  forwards: Forward[],
  operation: "forward" | "cancel" = "forward",
): string[] => [
  ...sharedOptions(reach),
  "-O",
  operation,
  ...listenArguments(forwards),
  ...destination(reach),
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

/** Shell command line that runs a command at the site over the shared connection, with this shell's standard input. */
export const remoteLine = (reach: Reach, command: string): string =>
  sshLine([...sharedOptions(reach), "-T", ...destination(reach), command]);

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

/** What kept ssh from a site, in words, with what to do. */
export function unreachable(reach: Reach, stderr: string): string {
  const { hostname, username } = new URL(reach.engine);
  const last =
    stderr
      .trim()
      .split("\n")
      .filter((line) => !/^(\*\*|\s*$)/.test(line))
      .at(-1)
      ?.slice(0, 200) ?? "no answer";
  const advice = advices.find(([sign]) => sign.test(stderr))?.[1] ?? ((to) => `try ssh ${to}`);
  return `it is not reached: ${last}: ${advice(`${username}@${hostname}`)}`;
}

const compare = (to: string) =>
  `run ssh ${to} once, and compare the fingerprint with ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub at the site`;
const anew = (to: string) =>
  `if its card was written anew, run ssh-keygen -R ${to.slice(to.indexOf("@") + 1)}, and then ${compare(to)}`;

const advices: [sign: RegExp, advice: (to: string) => string][] = [
  [/IDENTIFICATION HAS CHANGED/, (to) => `its host key is another than the known one: ${anew(to)}`],
  [
    /Host key verification failed|host key is known/,
    (to) => `its host key is not known here: ${compare(to)}`,
  ],
  [
    /Permission denied/,
    (to) =>
      `it takes no key of yours: run ssh-copy-id ${to}, or load the key with ssh-add; passwords are never asked for`,
  ],
  [
    /Could not resolve/,
    () => "its name is not known: write its address, or a Host of your ssh config, in engine",
  ],
  [
    /Connection refused/,
    () =>
      "no SSH server answers on this port: enable SSH (raspi-config, or a file named ssh on the boot partition)",
  ],
  [
    /timed out|No route|unreachable|not responding/,
    () => "is it powered and on this network? A jump host goes into ssh.jump",
  ],
  [
    /forwarding|Address already in use/i,
    () =>
      "the tunnel's local port is taken by another program: stop that, or set grafana.url to http://127.0.0.1 with a free port",
  ],
];
