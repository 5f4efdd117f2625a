import { randomBytes } from "node:crypto";
import { packageVersion, type Provider, type ProviderContext, type ResourceType } from "./provider";
import type { PropertyMap } from "./wire";

const environmentOf = ({ environment }: PropertyMap) =>
  (environment ?? {}) as Record<string, string>;

/** @throws Error where the engine has no container of that name. */
function findContainer(name: string, inputs: PropertyMap, context: ProviderContext) {
  const engine = context.engine(environmentOf(inputs).DOCKER_HOST);
  const container = engine.state.containers[name];
  if (!container)
    throw new Error(`exit status 1: Error response from daemon: No such container: ${name}`);
  return { engine, container };
}

/**
 * The container that a command line enters by `docker exec`; undefined where it enters none.
 * @throws Error where the container does not exist, or its service does not answer.
 */
function execTarget(line: string, inputs: PropertyMap, context: ProviderContext) {
  const name = /\bdocker exec\b.* (\S+) (?:ba)?sh\b/.exec(line)?.[1];
  if (!name) return undefined;
  const { engine, container } = findContainer(name, inputs, context);
  if (!container.healthy) throw new Error(`exit status 1: the service of ${name} does not answer`);
  return { engine, objects: engine.objectsOf(container) };
}

/**
 * What a command does that waits for a container to be healthy: it restarts one that is not.
 * @param resource type and name of the command, which is named after the container.
 * @throws Error where the container is not healthy then either.
 */
function awaitHealth(inputs: PropertyMap, context: ProviderContext, resource: string): void {
  const name = / -- (\S+) \d+\b/.exec(inputs.create as string)?.[1];
  if (!name) return;
  const { engine, container } = findContainer(name, inputs, context);
  const owner = resource.replace(/^Command:(.*)-ready$/, "Container:$1");
  if (container.fault === undefined)
    engine.save(() => (container.healthy ||= !context.faults.isUnhealthy(owner)));
  if (container.healthy) return;
  const why = container.fault === undefined ? "" : `: ${container.fault}`;
  throw new Error(`exit status 1: the container ${name} is not healthy${why}`);
}

/** Key of InfluxDB's token among the objects of its API; undefined where a command is for none. */
function tokenKey(inputs: PropertyMap): string | undefined {
  const name = environmentOf(inputs).TOKEN_NAME;
  return name && `token ${name}`;
}

/**
 * Outputs of a command, which is never run. One that makes a token of InfluxDB leaves the token at
 * the site.
 */
function simulate(inputs: PropertyMap, context: ProviderContext): PropertyMap {
  const target = execTarget(inputs.create as string, inputs, context);
  const key = tokenKey(inputs);
  if (!target || !key) return { stdout: "", stderr: "" };
  target.engine.save(() => (target.objects[key] = "there"));
  return { stdout: `apiv3_${randomBytes(48).toString("base64url")}\n`, stderr: "" };
}

const localCommand: ResourceType = {
  replaceOnChanges: ["triggers"],
  computed: ["stderr", "stdout"],
  computedOnUpdate: ["stderr", "stdout"],
  create(inputs, context, resource) {
    awaitHealth(inputs, context, resource);
    return { id: randomBytes(16).toString("hex"), outputs: simulate(inputs, context) };
  },
  update: (_, inputs, context) => simulate(inputs, context),
  remove(_, state, context) {
    if (!state.delete) return;
    const target = execTarget(state.delete as string, state, context);
    const key = tokenKey(state);
    if (target && key) target.engine.save(() => delete target.objects[key]);
  },
};

/** Facts of a simulated host, as the check over SSH prints them: the host can carry any site. */
function hostFacts(): string {
  const facts = {
    machine: "aarch64",
    bits: "64",
    system: "debian 12 Debian GNU/Linux 12 (bookworm)",
    page: "4096",
    controllers: "cpuset cpu io memory pids",
    memory: "67108864",
    clock: String(Math.round(Date.now() / 1000)),
    synchronised: "yes",
    ordered: "yes",
    uptime: "864000",
    sudo: "yes",
    user: "rehearsed",
    docker: "28.5.1",
    disk: `${2 ** 50} ${2 ** 40} ${2 ** 40} 0`,
    end: "yes",
  };
  return Object.entries(facts)
    .map(([key, value]) => `${key}\t${value}\n`)
    .join("");
}

/** The provider of `@pulumi/command`; it runs no command. */
export const command: Provider = {
  package: "command",
  version: packageVersion("@pulumi/command"),
  types: { "command:local:Command": localCommand },
  functions: { "command:local:run": (args) => ({ ...args, stdout: hostFacts(), stderr: "" }) },
};
