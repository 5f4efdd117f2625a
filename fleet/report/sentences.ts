import { placeholders, type SitePlan, type Step, type Values } from "../../automation";
import type { Service } from "../../configs/images";

/** The display name of each service, and what its restart means for a site. */
const services: Record<Service, { title: string; restart: string }> = {
  mosquitto: {
    title: "Mosquitto",
    restart:
      "gateways reconnect after some seconds and send again what was not acknowledged; " +
      "the broker keeps its queue",
  },
  telegraf: { title: "Telegraf", restart: "nothing is lost, the broker queues" },
  influxdb: {
    title: "InfluxDB",
    restart: "nothing is lost: stored data is in its volume, and new data waits at the broker",
  },
  explorer: { title: "Explorer", restart: "its pages are unavailable for some seconds" },
  grafana: { title: "Grafana", restart: "dashboards are unavailable for some seconds" },
  simulator: { title: "Simulator", restart: "simulated values pause for some seconds" },
};

/** Last part of a type's token: `docker:index/container:Container` is a `Container`. */
export const kindOf = (type: string) => type.slice(type.lastIndexOf(":") + 1);

const isService = (name: unknown): name is Service =>
  typeof name === "string" && Object.hasOwn(services, name);

/** The service of a resource: by a container's host name, else by a name such as `dev-telegraf`. */
function serviceOf({ name, old, new: now }: Step): Service | undefined {
  const hostname = (now ?? old)?.hostname;
  if (isService(hostname)) return hostname;
  return (Object.keys(services) as Service[]).find(
    (service) => name.endsWith(`-${service}`) || name.includes(`-${service}-`),
  );
}

/** Display name of a resource's service; the resource's own name where it belongs to none. */
function titleOf(step: Step): string {
  const service = serviceOf(step);
  return service ? services[service].title : step.name;
}

/** `uploads[0].content` belongs to the input `uploads`. */
const inputOf = (path: string) => /^[^.[]+/.exec(path)?.[0] ?? path;
const changedInputs = (step: Step) => new Set(step.changed.map(inputOf));

/** Texts as one list: `a`, `a and b`, `a, b, and c`. */
const joined = (texts: readonly string[]) =>
  texts.length < 3 ? texts.join(" and ") : `${texts.slice(0, -1).join(", ")}, and ${texts.at(-1)}`;

/** A value as inline code on one line, which no value can close. */
export const code = (value: unknown) =>
  `\`${String(value).replaceAll("`", "'").replace(/\s+/g, " ")}\``;

const codes = (values: Iterable<unknown>) => joined([...values].map(code));

/** Changes of a container's inputs in words; other inputs are shown by their names. */
const inputChanges: Record<string, string> = {
  command: "its arguments changed",
  entrypoints: "its start command changed",
  envs: "its settings changed",
  healthcheck: "its health check changed",
  networksAdvanced: "its networks changed",
  ports: "its ports changed",
  volumes: "its volumes changed",
  name: "its name changed",
  user: "its user changed",
};

/**
 * Whether a container's config files changed, or its secrets. Where the preview hides all uploads,
 * a change of the labels means the config: they hold a hash of it that leaves secrets out.
 */
function uploadCauses(step: Step): string[] {
  const paths = step.changed.filter((path) => inputOf(path) === "uploads");
  if (paths.length === 0) return [];
  const config = "its config changed";
  const secret = "one of its secrets changed";
  const uploads = [step.old?.uploads, step.new?.uploads];
  if (!uploads.every(Array.isArray)) return [changedInputs(step).has("labels") ? config : secret];
  const changed = paths.map((path) => Number(/\[(\d+)\]/.exec(path)?.[1]));
  const isSecret = (index: number) =>
    uploads.some((files: { content?: unknown }[]) => files[index]?.content === placeholders.secret);
  return [
    ...(changed.some((index) => !isSecret(index)) ? [config] : []),
    ...(changed.some(isSecret) ? [secret] : []),
  ];
}

/** The change of a container's image, by name: the container has only its id. */
function imageCauses(step: Step, plan: SitePlan): string[] {
  if (!changedInputs(step).has("image")) return [];
  const image = plan.steps.find(
    ({ type, name }) => kindOf(type) === "RemoteImage" && name === step.name,
  );
  return image?.old && image.new && image.old.name !== image.new.name
    ? [`its image changes from ${code(image.old.name)} to ${code(image.new.name)}`]
    : ["its image changed"];
}

const isMemory = (input: string) => input === "memory" || input === "memorySwap";

/** Why a container is replaced. */
function containerCauses(step: Step, plan: SitePlan): string[] {
  // Labels change with every config, and memory alone does not replace a container.
  const others = [...changedInputs(step)]
    .filter((input) => !["image", "uploads", "labels"].includes(input) && !isMemory(input))
    .map((input) => inputChanges[input] ?? `its ${code(input)} changed`);
  const causes = [...imageCauses(step, plan), ...uploadCauses(step), ...others];
  if (causes.length > 0) return causes;
  return changedInputs(step).has("labels")
    ? ["its labels changed"]
    : ["a resource that it depends on is replaced"];
}

/** What the restart of a container means for its site. */
function restartEffect(step: Step, plan: SitePlan): string {
  const service = serviceOf(step);
  const losesVolume = plan.steps.some(
    (other) =>
      kindOf(other.type) === "Volume" && other.op === "replace" && serviceOf(other) === service,
  );
  if (losesVolume) return "it starts with an empty volume";
  return service ? services[service].restart : "it is unavailable for some seconds";
}

const dataLoss = (step: Step) => `**the data of ${titleOf(step)} is deleted** with it`;
const formerName = (step: Step) => code(step.old?.name ?? step.name);

/** Describes what happens to a resource in a Markdown sentence. */
type Describe = (step: Step, plan: SitePlan) => string;

/** Replacements, by kind of resource. */
const replacements: Record<string, Describe> = {
  Container: (step, plan) =>
    `**${titleOf(step)} restarts**: ${joined(containerCauses(step, plan))}; ` +
    `${restartEffect(step, plan)}.`,
  Volume: (step) =>
    `**The volume ${formerName(step)} is replaced**: its ${codes(changedInputs(step))} changed; ` +
    (step.retained
      ? `the old volume stays on the host, but ${titleOf(step)} starts with an empty one.`
      : `${dataLoss(step)}.`),
  Network: (step) =>
    `**The network ${formerName(step)} is replaced**: every container on it restarts.`,
  RemoteImage: ({ old, new: now }) =>
    `The image ${code(now?.name)} is pulled and replaces ${code(old?.name)}; ` +
    "the old image stays on the host.",
  RandomPassword: (step) =>
    `The secret ${code(step.name)} is generated anew: the services that use it restart` +
    (step.name.endsWith("-gateway") ? ", and the gateway needs its new password." : "."),
  RandomBytes: (step) => `The salt ${code(step.name)} is generated anew, with its password.`,
  RandomId: (step) =>
    `The token name ${code(step.name)} is generated anew: its user gets a new token.`,
  Command: (step) => `${code(step.name)} runs again: its ${codes(changedInputs(step))} changed.`,
};

/** Updates, by kind of resource. */
const updates: Record<string, Describe> = {
  Container: (step) => {
    const { memory: oldLimit } = step.old ?? {};
    const { memory: newLimit } = step.new ?? {};
    const others = [...changedInputs(step)].filter((input) => !isMemory(input));
    return `${titleOf(step)} keeps running: ${joined([
      ...(changedInputs(step).has("memory")
        ? [`its memory limit changes from ${oldLimit} to ${newLimit} MiB`]
        : []),
      ...(others.length > 0 ? [`its ${codes(others)} changes`] : []),
    ])}.`;
  },
  Command: (step) =>
    step.name.endsWith("-schema")
      ? "InfluxDB's databases and tables are declared again; stored data stays."
      : `${code(step.name)} runs again.`,
};

/** Deletions, by kind of resource. */
const deletions: Record<string, Describe> = {
  Container: (step) => `**${titleOf(step)} is removed.**`,
  Volume: (step) =>
    step.retained
      ? `The volume ${formerName(step)} leaves the stack; it stays on the host with its data.`
      : `**The volume ${formerName(step)} is deleted**: ${dataLoss(step)}.`,
};

type ChangeOperation = Exclude<Step["op"], "same">;

const descriptions: Record<ChangeOperation, Record<string, Describe>> = {
  create: {},
  replace: replacements,
  update: updates,
  delete: deletions,
};

/** What happens to a resource that has no sentence of its own. */
function summaryOf({ op, changed }: Step): string {
  // Pulumi plans such an update where the provider changes, for example Grafana's password.
  if (op === "update" && changed.length === 0)
    return "may be written again, unchanged: the settings of its provider change";
  return { replace: "replaced", update: "updated", delete: "deleted" }[op as string] ?? op;
}

const operationsByGravity = ["replace", "delete", "update", "create"];
const kindsByGravity = ["Volume", "Network", "Container", "Command"];

/** Position of a step in a report: lost data first, then what restarts. */
function gravity({ op, type, retained }: Step): number {
  const kind = kindsByGravity.indexOf(kindOf(type));
  const losesData = kindOf(type) === "Volume" && op !== "create" && !retained;
  return (
    (losesData ? -100 : 0) +
    operationsByGravity.indexOf(op) * 10 +
    (kind < 0 ? kindsByGravity.length : kind)
  );
}

/** Sorts steps, the gravest first. */
export const byGravity = (a: Step, b: Step): number => gravity(a) - gravity(b);

/**
 * Describes what a plan does, why, and what that means for the site.
 * @param plan its steps in the order of the report; steps that change nothing are left out.
 * @returns Markdown sentences. Resources without a sentence of their own share one for each kind.
 * Values are inline code, and secrets are not shown.
 */
export function describePlan(plan: SitePlan): string[] {
  const sentences: string[] = [];
  const created: string[] = [];
  const others = new Map<string, { kind: string; summary: string; names: string[] }>();
  for (const step of plan.steps) {
    if (step.op === "same") continue;
    const kind = kindOf(step.type);
    const describe = descriptions[step.op][kind];
    if (step.op === "create") created.push(kind);
    else if (describe) sentences.push(describe(step, plan));
    else {
      const summary = summaryOf(step);
      const group = others.get(`${kind} ${summary}`) ?? { kind, summary, names: [] };
      group.names.push(step.name);
      others.set(`${kind} ${summary}`, group);
    }
  }
  return [
    ...sentences,
    ...[...others.values()].map(
      ({ kind, summary, names }) => `${kind} ${codes(names)}: ${summary}.`,
    ),
    ...(created.length > 0 ? [describeCreated(created)] : []),
  ];
}

/** @param kinds one entry for each created resource. */
function describeCreated(kinds: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const parts = [...counts].map(([kind, count]) => `${count} × ${kind}`);
  const total = kinds.length === 1 ? "1 resource is" : `${kinds.length} resources are`;
  return `${total} created: ${parts.join(", ")}.`;
}

/**
 * The inputs of a resource that a person changes. Of a container, they leave out the labels and the
 * image's id, which follow from others.
 */
export function withoutDerivedInputs(step: Step, inputs: Values): Values {
  if (kindOf(step.type) !== "Container") return inputs;
  const { labels: _, image, ...rest } = inputs;
  const isName =
    typeof image === "string" && !image.startsWith("sha256:") && image !== placeholders.unknown;
  return isName ? { image, ...rest } : rest;
}
