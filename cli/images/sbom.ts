import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../automation";
import { imageLicence, imageRecord, repositoryOf, tagOf } from "../../configs/images";
import { InputError } from "../../configs/validation";

/** An entry of package-lock.json. */
interface Locked {
  version: string;
  license?: string;
  integrity?: string;
  dev?: boolean;
  optional?: boolean;
  devOptional?: boolean;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

/** A component of CycloneDX. */
interface Component {
  type: "application" | "container" | "library";
  "bom-ref": string;
  scope?: "optional";
  group?: string;
  name: string;
  version?: string;
  hashes?: { alg: string; content: string }[];
  licenses?: ({ expression: string } | { license: { name: string } })[];
  purl?: string;
  components?: Component[];
  properties?: { name: string; value: string }[];
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** A name in a package URL: `/` stays, and `@` does not. */
const urlName = (name: string) => encodeURIComponent(name).replaceAll("%2F", "/");

/** Licences as CycloneDX takes them: what is no expression of SPDX's goes by its name. */
function licences(text: string | undefined): Pick<Component, "licenses"> {
  if (text === undefined) return {};
  const isExpression = !/^SEE |^UNLICENSED$/.test(text);
  return { licenses: [isExpression ? { expression: text } : { license: { name: text } }] };
}

/** A package URL of an image: of its content where its digest is known, else of its tag. */
function imageUrl(image: string, digest: string | undefined): string {
  const repository = repositoryOf(image);
  if (!digest) return `pkg:docker/${urlName(repository)}@${tagOf(image)}`;
  const name = repository.slice(repository.lastIndexOf("/") + 1);
  const isHubs = !/^[^/]*[.:][^/]*\/|^localhost\//.test(repository);
  const place = isHubs
    ? `docker.io/${repository.includes("/") ? "" : "library/"}${repository}`
    : repository;
  const qualifiers = [`repository_url=${encodeURIComponent(place)}`, `tag=${tagOf(image)}`];
  return `pkg:oci/${name}@${encodeURIComponent(digest)}?${qualifiers.join("&")}`;
}

/** An image, with the services that run it, and what each architecture gets. */
function imageComponent(image: string, services: string[]): Component {
  const record = imageRecord(image.replace(/@.*/, ""));
  const digest = /@(.*)$/.exec(image)?.[1] ?? record?.digest;
  const architectures = Object.entries(record?.architectures ?? {}).sort(([a], [b]) =>
    compare(a, b),
  );
  const purl = imageUrl(image, digest);
  return {
    type: "container",
    "bom-ref": purl,
    name: repositoryOf(image),
    version: tagOf(image),
    ...(digest && { hashes: [{ alg: "SHA-256", content: digest.replace("sha256:", "") }] }),
    ...licences(imageLicence(image)),
    purl,
    properties: [
      ...services.map((service) => ({ name: "bess:service", value: service })),
      ...architectures.map(([name, { manifest }]) => ({
        name: "bess:architecture",
        value: manifest ? `${name} ${manifest}` : name,
      })),
    ],
  };
}

/** Name of the package at a path of package-lock.json, with its scope. */
const packageName = (path: string) =>
  path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);

/** Where a package finds another one, as Node.js looks: in its own folder, then in those above. */
function resolved(packages: Record<string, Locked>, from: string, name: string) {
  const above = (folder: string) =>
    folder.slice(0, Math.max(folder.lastIndexOf("node_modules/") - 1, 0));
  for (let folder = from; ; folder = above(folder)) {
    const path = `${folder}${folder && "/"}node_modules/${name}`;
    if (packages[path]) return path;
    if (folder === "") return undefined;
  }
}

/** An npm package that the program uses; one for another processor is optional. */
function packageComponent(path: string, locked: Locked): Component {
  const [scope, name] = /^(@[^/]+)\/(.+)$/.exec(packageName(path))?.slice(1) ?? [];
  const purl = `pkg:npm/${urlName(packageName(path))}@${locked.version}`;
  const [, algorithm, content] = /^(sha\d+)-([^ ]+)/.exec(locked.integrity ?? "") ?? [];
  return {
    type: "library",
    "bom-ref": path,
    ...((locked.optional || locked.devOptional) && { scope: "optional" as const }),
    ...(scope && { group: scope }),
    name: name ?? packageName(path),
    version: locked.version,
    ...(algorithm &&
      content && {
        hashes: [
          {
            alg: algorithm.replace("sha", "SHA-"),
            content: Buffer.from(content, "base64").toString("hex"),
          },
        ],
      }),
    ...licences(locked.license),
    purl,
  };
}

/** What npm has installed for the program, and what depends on what. Tools of tests are left out. */
function npmPackages() {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, Locked>;
  };
  const used = Object.fromEntries(
    Object.entries(lock.packages)
      .filter(([path, { dev }]) => path !== "" && !dev)
      .sort(([a], [b]) => compare(a, b)),
  );
  const needs = (path: string, { dependencies, optionalDependencies, peerDependencies }: Locked) =>
    Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies }).flatMap(
      (name) => resolved(used, path, name) ?? [],
    );
  return {
    components: Object.entries(used).map(([path, locked]) => packageComponent(path, locked)),
    direct: needs("", lock.packages[""] ?? { version: "" }),
    dependencies: Object.entries(used).map(([path, locked]) => ({
      ref: path,
      dependsOn: needs(path, locked).sort(compare),
    })),
  };
}

/** A UUID that the content alone decides: what is equal has the same one. */
function contentId(content: string): string {
  const hex = createHash("sha256").update(content).digest("hex");
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
  ];
  return `urn:uuid:${parts.join("-")}-${hex.slice(20, 32)}`;
}

/** The time that reproducible builds are given. */
function givenTime(): { timestamp?: string } {
  const epoch = process.env.SOURCE_DATE_EPOCH;
  if (!epoch) return {};
  if (!/^\d{1,10}$/.test(epoch))
    throw new InputError("the environment", [
      `SOURCE_DATE_EPOCH is ${epoch}: write whole seconds since 1970`,
    ]);
  return { timestamp: new Date(Number(epoch) * 1000).toISOString() };
}

/**
 * The bill of materials of a site in CycloneDX 1.6: its images, and the program's packages. Equal
 * content gives equal bytes; it has a time only where `SOURCE_DATE_EPOCH` gives one.
 * @param images each image with the services that run it.
 */
export function sbomOf(site: string, images: ReadonlyMap<string, string[]>): string {
  const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    name: string;
    version: string;
  };
  const containers = [...images]
    .sort(([a], [b]) => compare(a, b))
    .map(([image, services]) => imageComponent(image, services));
  const npm = npmPackages();
  const [siteRef, programRef] = [`site:${site}`, `program:${own.name}`];
  const refs = (components: Component[]) => components.map((component) => component["bom-ref"]);
  const program: Component = {
    type: "application",
    "bom-ref": programRef,
    name: own.name,
    version: own.version,
    purl: `pkg:npm/${urlName(own.name)}@${own.version}`,
    components: npm.components,
  };
  const content = {
    version: 1,
    metadata: {
      ...givenTime(),
      tools: { components: [{ type: "application", name: own.name, version: own.version }] },
      component: { type: "application", "bom-ref": siteRef, name: site },
    },
    components: [...containers, program],
    dependencies: [
      { ref: siteRef, dependsOn: [...refs(containers), programRef] },
      ...containers.map((container) => ({ ref: container["bom-ref"] })),
      { ref: programRef, dependsOn: npm.direct.sort(compare) },
      ...npm.dependencies,
    ],
    compositions: [
      // All images of the site are here, but not what is in them.
      { aggregate: "complete", dependencies: [siteRef] },
      { aggregate: "unknown", assemblies: refs(containers) },
      { aggregate: "complete", assemblies: [programRef], dependencies: [programRef] },
    ],
  };
  const head = { bomFormat: "CycloneDX", specVersion: "1.6" };
  const serialNumber = contentId(JSON.stringify(content));
  return `${JSON.stringify({ ...head, serialNumber, ...content }, null, 2)}\n`;
}
