import { randomBytes } from "node:crypto";
import { versionOf } from "./packages";
import type { Context, Provider, ResourceType } from "./provider";
import type { Values } from "./wire";

/** The container that a command line enters by `docker exec`, which must be there and answer. */
function entered(line: string, inputs: Values, { engine }: Context) {
  const name = /\bdocker exec\b.* (\S+) (?:ba)?sh\b/.exec(line)?.[1];
  if (!name) return undefined;
  const host = engine((inputs.environment as Values | undefined)?.DOCKER_HOST);
  const container = host.held.containers[name];
  if (!container)
    throw new Error(`exit status 1: Error response from daemon: No such container: ${name}`);
  if (!container.healthy) throw new Error(`exit status 1: the service of ${name} does not answer`);
  return { host, objects: host.objects(container) };
}

const tokenOf = (inputs: Values) =>
  (inputs.environment as Values | undefined)?.TOKEN_NAME as string | undefined;

/** What a command does at the simulated site. It is never run: only the tokens of InfluxDB come of it. */
function execute(inputs: Values, context: Context): Values {
  const within = entered(inputs.create as string, inputs, context);
  const token = tokenOf(inputs);
  if (!within || !token) return { stdout: "", stderr: "" };
  within.host.keep(() => (within.objects[`token ${token}`] = "there"));
  return { stdout: `apiv3_${randomBytes(48).toString("base64url")}\n`, stderr: "" };
}

const command: ResourceType = {
  replaces: ["triggers"],
  computed: ["stderr", "stdout"],
  renewed: ["stderr", "stdout"],
  create: (inputs, context) => ({
    id: randomBytes(16).toString("hex"),
    outputs: execute(inputs, context),
  }),
  update: (_, inputs, context) => execute(inputs, context),
  remove(_, state, context) {
    if (!state.delete) return;
    const within = entered(state.delete as string, state, context);
    within?.host.keep(() => delete within.objects[`token ${tokenOf(state)}`]);
  },
};

/** What a simulated host answers when it is looked at over SSH: it can carry any site. */
function hostAnswer(): string {
  const facts = {
    machine: "aarch64",
    bits: "64",
    system: "debian 12 Debian GNU/Linux 12 (bookworm)",
    page: "4096",
    controllers: "cpuset cpu io memory pids",
    memory: "67108864",
    clock: String(Math.round(Date.now() / 1000)),
    synchronised: "yes",
    uptime: "864000",
    sudo: "yes",
    user: "rehearsed",
    docker: "28.5.1",
    disk: `${2 ** 50} ${2 ** 40} ${2 ** 40}`,
    end: "yes",
  };
  return Object.entries(facts)
    .map(([key, value]) => `${key}\t${value}\n`)
    .join("");
}

/** Commands, of which none is run. */
export const commands: Provider = {
  package: "command",
  version: versionOf("@pulumi/command"),
  types: { "command:local:Command": command },
  functions: { "command:local:run": (args) => ({ ...args, stdout: hostAnswer(), stderr: "" }) },
};
