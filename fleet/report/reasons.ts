import type { Service } from "../../configs/images";
import { placeholders, type SitePlan, type Step, type Values } from "../../automation/plan";

/** How people call a service, and what its restart means to them. */
const services: Record<Service, { title: string; restart: string }> = {
  mosquitto: {
    title: "Mosquitto",
    restart:
      "gateways are cut off for some seconds and send again what was not acknowledged; the queue is written when it stops",
  },
  telegraf: { title: "Telegraf", restart: "nothing is lost, the broker queues" },
  influxdb: {
    title: "InfluxDB",
    restart: "no data is lost: what is stored is in its volume, what arrives waits at the broker",
  },
  explorer: { title: "Explorer", restart: "its pages are away for some seconds, nothing is lost" },
  grafana: { title: "Grafana", restart: "dashboards are away for some seconds, nothing is lost" },
  simulator: { title: "Simulator", restart: "simulated values pause for some seconds" },
};

/** `docker:index/container:Container` is a `Container`. */
export const kindOf = (type: string) => type.slice(type.lastIndexOf(":") + 1);

const isService = (name: unknown): name is Service =>
  typeof name === "string" && Object.hasOwn(services, name);

/** The service that a step belongs to, by the container's host name or by the resource's own name, `dev-telegraf` for instance. */
function serviceOf({ name, old, new: now }: Step): Service | undefined {
  const hostname = (now ?? old)?.hostname;
  if (isService(hostname)) return hostname;
  return (Object.keys(services) as Service[]).find(
    (service) => name.endsWith(`-${service}`) || name.includes(`-${service}-`),
  );
}

/** How a service is called; a container that is none of ours by its own name. */
const titleOf = (step: Step) => {
  const service = serviceOf(step);
  return service ? services[service].title : step.name;
};

const rootOf = (path: string) => /^[^.[]+/.exec(path)?.[0] ?? path;
const rootsOf = (step: Step) => new Set(step.changed.map(rootOf));
const list = (parts: string[]) =>
  parts.length < 3 ? parts.join(" and ") : `${parts.slice(0, -1).join(", ")}, and ${parts.at(-1)}`;
export const code = (text: unknown) =>
  `\`${String(text).replaceAll("`", "'").replace(/\s+/g, " ")}\``;

/** Inputs of a container in words; those that are not here are told by their name. */
const words: Record<string, string> = {
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

type Upload = { file?: string; content?: unknown };

/** Whether a container's config changed, or only a secret of it. Where all uploads are hidden, its revision tells: it leaves secrets out. */
function uploadCauses(step: Step): string[] {
  const paths = step.changed.filter((path) => rootOf(path) === "uploads");
  if (paths.length === 0) return [];
  const config = "its config changed";
  const secret = "a secret of it is new";
  const uploads = [step.old?.uploads, step.new?.uploads];
  if (!uploads.every(Array.isArray))
    return [step.changed.some((path) => path.startsWith("labels")) ? config : secret];
  const touched = paths.map((path) => Number(/\[(\d+)\]/.exec(path)?.[1]));
  const isSecret = (i: number) =>
    uploads.some((side) => ((side as Upload[])[i]?.content ?? "") === placeholders.secret);
  return [
    ...(touched.some((i) => !isSecret(i)) ? [config] : []),
    ...(touched.some(isSecret) ? [secret] : []),
  ];
}

/** From which image to which; the container itself names it by an id. */
function imageCause(step: Step, plan: SitePlan): string[] {
  if (!rootsOf(step).has("image")) return [];
  const image = plan.steps.find(
    ({ type, name }) => kindOf(type) === "RemoteImage" && name === step.name,
  );
  return image?.old && image.new && image.old.name !== image.new.name
    ? [`its image changes from ${code(image.old.name)} to ${code(image.new.name)}`]
    : ["its image changed"];
}

/** Why a container is made anew. */
function causes(step: Step, plan: SitePlan): string[] {
  // Labels follow all else, and memory alone would not replace it.
  const told = new Set(["image", "uploads", "labels"]);
  const others = [...rootsOf(step)]
    .filter((root) => !told.has(root) && !isMemory(root))
    .map((root) => words[root] ?? `its ${code(root)} changed`);
  const found = [...imageCause(step, plan), ...uploadCauses(step), ...others];
  if (found.length > 0) return found;
  return rootsOf(step).has("labels") ? ["its labels changed"] : ["one that it needs is made anew"];
}

type Reason = (step: Step, plan: SitePlan) => string;

const dataLoss = (step: Step) => `**the data of ${titleOf(step)} is deleted** with it`;

/** Replacements in words, by kind of resource. */
const replaced: Record<string, Reason> = {
  Container: (step, plan) => {
    const service = serviceOf(step);
    const emptied = plan.steps.some(
      (other) =>
        kindOf(other.type) === "Volume" && other.op === "replace" && serviceOf(other) === service,
    );
    const means = emptied
      ? "it begins with an empty volume"
      : service
        ? services[service].restart
        : "it is away for some seconds";
    return `**${titleOf(step)} restarts**: ${list(causes(step, plan))}; ${means}.`;
  },
  Volume: (step) =>
    `**The volume ${code(step.old?.name ?? step.name)} is replaced**: its ${list([...rootsOf(step)].map(code))} changed; ${
      step.retained
        ? `the old one stays on the host, but ${titleOf(step)} begins with an empty one`
        : dataLoss(step)
    }.`,
  Network: (step) =>
    `**The network ${code(step.old?.name ?? step.name)} is replaced**: every container on it restarts.`,
  RemoteImage: ({ old, new: now }) =>
    `The image ${code(now?.name)} is pulled in the place of ${code(old?.name)}; the old one stays on the host.`,
  RandomPassword: (step) =>
    `The secret ${code(step.name)} is made anew: who uses it restarts${step.name.endsWith("-gateway") ? ", and the gateway must be given its new password" : ""}.`,
  RandomBytes: (step) =>
    `The salt ${code(step.name)} is made anew, with the password that it belongs to.`,
  RandomId: (step) =>
    `The token's name ${code(step.name)} is made anew: its user gets a new token.`,
  Command: (step) =>
    `${code(step.name)} runs again: ${list([...rootsOf(step)].map((root) => `its ${code(root)} changed`))}.`,
};

const isMemory = (root: string) => root === "memory" || root === "memorySwap";

/** Updates in words, by kind of resource. */
const updated: Record<string, Reason> = {
  Container: (step) => {
    const others = [...rootsOf(step)].filter((root) => !isMemory(root)).map(code);
    const memory = rootsOf(step).has("memory")
      ? [`its memory limit changes from ${step.old?.memory} to ${step.new?.memory} MiB`]
      : [];
    return `${titleOf(step)} runs on: ${list([...memory, ...(others.length > 0 ? [`its ${list(others)} changes`] : [])])}.`;
  },
  Command: (step) =>
    step.name.endsWith("-schema")
      ? "InfluxDB's databases and tables are declared again; what is stored stays."
      : `${code(step.name)} runs again.`,
};

/** Deletions in words, by kind of resource. */
const deleted: Record<string, Reason> = {
  Container: (step) => `**${titleOf(step)} is removed.**`,
  Volume: (step) =>
    step.retained
      ? `The volume ${code(step.old?.name ?? step.name)} leaves the stack; it stays on the host with its data.`
      : `**The volume ${code(step.old?.name ?? step.name)} is deleted**: ${dataLoss(step)}.`,
};

const worded = { replace: replaced, update: updated, delete: deleted } as const;
const verbs = {
  replace: "replaced",
  update: "changed in place",
  unsure: "perhaps written again, with no change: the preview cannot ask who holds it",
  delete: "deleted",
  create: "created",
} as const;
type Told = Exclude<Step["op"], "same">;

/** An update that names no change is planned where the provider itself is changed, Grafana's password for instance. */
const verbOf = ({ op, changed }: Step) =>
  verbs[op === "update" && changed.length === 0 ? "unsure" : (op as Told)];

const kindsByWeight = ["Volume", "Network", "Container", "Command"];

/** Order in which steps are told: what is lost first, then what restarts. */
export function rank({ op, type, retained }: Step): number {
  const weight = kindsByWeight.indexOf(kindOf(type));
  const lossFirst = kindOf(type) === "Volume" && op !== "create" && !retained ? -100 : 0;
  return (
    lossFirst +
    ["replace", "delete", "update", "create"].indexOf(op) * 10 +
    (weight < 0 ? kindsByWeight.length : weight)
  );
}

/**
 * What a plan does, why, and what that means at the site, in sentences; the gravest first. Resources that need no
 * sentence of their own are told together, by kind. Values are shown as code, and no secret.
 */
export function reasonsOf(plan: SitePlan): string[] {
  const sentences: string[] = [];
  const together = new Map<string, { verb: string; kind: string; names: string[] }>();
  for (const step of [...plan.steps]
    .filter(({ op }) => op !== "same")
    .sort((a, b) => rank(a) - rank(b))) {
    const [op, kind] = [step.op as Told, kindOf(step.type)];
    const own = op === "create" ? undefined : worded[op][kind];
    if (own) sentences.push(own(step, plan));
    else {
      const verb = verbOf(step);
      const key = op === "create" ? op : `${verb} ${kind}`;
      const group = together.get(key) ?? { verb, kind, names: [] };
      group.names.push(op === "create" ? kind : step.name);
      together.set(key, group);
    }
  }
  return [...sentences, ...[...together.values()].map(toldTogether)];
}

function toldTogether({
  verb,
  kind,
  names,
}: {
  verb: string;
  kind: string;
  names: string[];
}): string {
  if (verb !== verbs.create) return `${kind} ${list(names.map(code))}: ${verb}.`;
  const counts = [...new Set(names)].map(
    (name) => `${names.filter((other) => other === name).length} × ${name}`,
  );
  return `${names.length} ${names.length === 1 ? "resource is" : "resources are"} created: ${counts.join(", ")}.`;
}

/** Inputs that change with every change and tell nothing more. */
export function tellingInputs(step: Step, inputs: Values): Values {
  const { labels: _, image, ...rest } = inputs;
  if (kindOf(step.type) !== "Container") return inputs;
  return typeof image === "string" && !image.startsWith("sha256:") && image !== placeholders.unknown
    ? { image, ...rest }
    : rest;
}
