import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { ArchitectureRecord, ImageRecord } from "../../configs/images";

/** Where an image lies, by the OCI distribution specification. */
interface Place {
  registry: string;
  repository: string;
  /** Tag or digest. */
  reference: string;
}

/** Docker Hub goes by two names: that of its API, and that under which docker keeps its login. */
const hub = { api: "registry-1.docker.io", login: "https://index.docker.io/v1/" } as const;

/** Kinds of manifests: of one image, and of an index with one for each platform. */
const kinds = {
  image: [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
  ],
  index: [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
  ],
} as const;

interface Descriptor {
  digest: string;
  platform?: { os?: string; architecture?: string };
}
interface Manifest {
  mediaType?: string;
  manifests?: Descriptor[];
  config?: Descriptor;
}

/** Reads `mirror.lan:5000/team/image:1.0` as docker does. */
function placeOf(image: string): Place {
  const [, name = "", reference = "latest"] =
    /^(.*?)(?:[:@]([^/@]+|sha256:[0-9a-f]+))?$/.exec(image) ?? [];
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const isRegistry = /[.:]|^localhost$/.test(first);
  const repository = isRegistry ? name.slice(slash + 1) : name;
  return isRegistry && first !== "docker.io"
    ? { registry: first, repository, reference }
    : {
        registry: hub.api,
        repository: repository.includes("/") ? repository : `library/${repository}`,
        reference,
      };
}

const sha256 = (bytes: Buffer) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Like docker: without TLS at this machine alone. */
const scheme = (registry: string) =>
  /^(localhost|127\.[\d.]+)(:\d+)?$/.test(registry) ? "http" : "https";

/** What `docker login` has kept for a registry: `user:password` in base64. */
function login(registry: string): string | undefined {
  const file = join(process.env.DOCKER_CONFIG ?? join(homedir(), ".docker"), "config.json");
  if (!existsSync(file)) return undefined;
  const config = JSON.parse(readFileSync(file, "utf8")) as {
    auths?: Record<string, { auth?: string }>;
    credsStore?: string;
    credHelpers?: Record<string, string>;
  };
  const key = registry === hub.api ? hub.login : registry;
  const helper = config.credHelpers?.[key] ?? config.credsStore;
  if (!helper || config.auths?.[key]?.auth) return config.auths?.[key]?.auth;
  try {
    const text = execFileSync(`docker-credential-${helper}`, ["get"], {
      input: key,
      encoding: "utf8",
      stdio: ["pipe", "pipe", "ignore"],
    });
    const found = JSON.parse(text) as { Username: string; Secret: string };
    return Buffer.from(`${found.Username}:${found.Secret}`).toString("base64");
  } catch {
    // Nobody is logged in there.
    return undefined;
  }
}

/** Reads registries; what it reads has the digest that it was asked for, or it throws. */
export class Registries {
  private readonly authorizations = new Map<string, string>();

  /**
   * What a registry has of an image.
   * @param architectures those that are recorded, as a manifest names them.
   * @throws Error where the registry does not answer, or gives other content than it says.
   */
  async record(image: string, architectures: readonly string[]): Promise<ImageRecord> {
    const place = placeOf(image);
    const { manifest, digest } = await this.manifest(place, place.reference);
    const found: Record<string, ArchitectureRecord> = {};
    if (manifest.manifests === undefined) {
      const config = manifest.config?.digest ?? "";
      const bytes = await this.read(place, `blobs/${config}`, config);
      const { architecture = "" } = JSON.parse(bytes.toString()) as { architecture?: string };
      found[architecture] = { manifest: digest, config };
    }
    for (const architecture of architectures) {
      const part = manifest.manifests?.find(
        ({ platform }) => platform?.os === "linux" && platform.architecture === architecture,
      );
      if (!part) continue;
      const config = (await this.manifest(place, part.digest)).manifest.config?.digest;
      found[architecture] = { manifest: part.digest, ...(config && { config }) };
    }
    return { digest, architectures: found };
  }

  private async manifest(place: Place, reference: string) {
    const accept = [...kinds.index, ...kinds.image].join(", ");
    const wanted = reference.startsWith("sha256:") ? reference : undefined;
    const bytes = await this.read(place, `manifests/${reference}`, wanted, accept);
    return { manifest: JSON.parse(bytes.toString()) as Manifest, digest: sha256(bytes) };
  }

  /** @param digest of what is read, if it is known; else what the registry says is checked. */
  private async read(
    place: Place,
    path: string,
    digest?: string,
    accept?: string,
  ): Promise<Buffer> {
    const url = `${scheme(place.registry)}://${place.registry}/v2/${place.repository}/${path}`;
    let answer = await this.get(url, place, accept);
    if (answer.status === 401) {
      await this.authorize(place, answer.headers.get("www-authenticate") ?? "");
      answer = await this.get(url, place, accept);
    }
    if (!answer.ok) throw new Error(`${place.registry} ${refusalOf(answer)}`);
    const bytes = Buffer.from(await answer.arrayBuffer());
    const expected = digest ?? answer.headers.get("docker-content-digest");
    if (expected && sha256(bytes) !== expected)
      throw new Error(`${place.registry} gives ${sha256(bytes)} where it says ${expected}`);
    return bytes;
  }

  private get(url: string, { registry, repository }: Place, accept = "*/*"): Promise<Response> {
    const authorization = this.authorizations.get(`${registry}/${repository}`);
    return fetch(url, {
      headers: { accept, ...(authorization && { authorization }) },
      signal: AbortSignal.timeout(30_000),
    }).catch((error: Error) => {
      const { cause } = error as { cause?: { code?: string; message?: string } };
      const reason = cause?.code ?? cause?.message ?? error.message;
      throw new Error(`${registry} does not answer (${reason})`);
    });
  }

  /** Gets a token, or takes the login, as the registry asks. */
  private async authorize({ registry, repository }: Place, challenge: string): Promise<void> {
    const known = login(registry);
    const basic = known && `Basic ${known}`;
    const asked = Object.fromEntries(
      [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
    ) as { realm?: string; service?: string; scope?: string };
    if (!/^bearer /i.test(challenge) || !asked.realm) {
      if (basic) this.authorizations.set(`${registry}/${repository}`, basic);
      return;
    }
    const url = new URL(asked.realm);
    if (asked.service) url.searchParams.set("service", asked.service);
    url.searchParams.set("scope", asked.scope ?? `repository:${repository}:pull`);
    const answer = await fetch(url, {
      ...(basic && { headers: { authorization: basic } }),
      signal: AbortSignal.timeout(30_000),
    });
    if (!answer.ok) throw new Error(`${url.host} ${refusalOf(answer)}`);
    const { token, access_token: other } = (await answer.json()) as {
      token?: string;
      access_token?: string;
    };
    this.authorizations.set(`${registry}/${repository}`, `Bearer ${token ?? other ?? ""}`);
  }
}

/** A refusal in words. */
function refusalOf({ status, statusText }: Response): string {
  if (status === 404) return "has no such image";
  if (status === 401 || status === 403) return `refuses it (${status}): docker login may help`;
  if (status === 429)
    return "lets nobody read more for now (429): wait, or docker login; the next run goes on from here";
  return `answers ${status} ${statusText}`.trimEnd();
}
