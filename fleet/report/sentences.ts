import { placeholders, type SitePlan, type Step, type Values } from "../../automation";
import { code, codes, joined } from "../../configs/text";
import { type Service, serviceTitles } from "../../configs/images";
import * as mosquitto from "../../configs/mosquitto";
import type { DataChange } from "../../policy";

/** What a service's restart means for a site. */
interface Restarts {
  restart: string;
  /** The same where the plan loses data by something else. Default: as `restart`. */
  amidLoss?: string;
}

const services: Record<Service, Restarts> = {
  mosquitto: {
    restart:
      "gateways reconnect after some seconds and send again what was not acknowledged; " +
      "the broker keeps its queue",
    amidLoss: "gateways reconnect after some seconds and send again what was not acknowledged",
  },
  telegraf: {
    restart: "nothing is lost, the broker queues",
    amidLoss: "the broker queues meanwhile",
  },
  influxdb: {
    restart: "nothing is lost: stored data is in its volume, and new data waits at the broker",
    amidLoss: "new data waits at the broker meanwhile",
  },
  rollup: {
    restart:
      "long ranges are unavailable for some seconds; what is not rolled up yet is afterwards",
  },
  explorer: { restart: "its pages are unavailable for some seconds" },
  grafana: { restart: "dashboards are unavailable for some seconds" },
  simulator: { restart: "simulated values pause for some seconds" },
  backup: { restart: "a backup that is being made is made anew" },
  interface: { restart: "its pages are unavailable for some seconds" },
  proxy: {
    restart: "the interface and Grafana under it are unavailable for some seconds",
  },
  copier: { restart: "a backup that is being made is made anew" },
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
  return service ? serviceTitles[service] : step.name;
}

/** `uploads[0].content` belongs to the input `uploads`. */
const inputOf = (path: string) => /^[^.[]+/.exec(path)?.[0] ?? path;
const changedInputs = (step: Step) => new Set(step.changed.map(inputOf));

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

/** An image's name without its digest. */
const tagged = (image: unknown) => String(image).replace(/@.*/, "");

/** A digest as a person compares it. */
const shortDigest = (digest: string) => code(digest.slice(0, "sha256:".length + 12));

/**
 * What changes where an image keeps its tag, and its digest alone changes; undefined where more does.
 */
function digestChange(old: unknown, now: unknown): string | undefined {
  const [[tag, from], [other, to]] = [String(old).split("@"), String(now).split("@")];
  if (tag !== other || from === to) return undefined;
  if (from && to)
    return `its content changes under the same tag, from ${shortDigest(from)} to ${shortDigest(to)}`;
  return to
    ? `it is verified by its digest ${shortDigest(to)} from now on`
    : "it is not verified by a digest any more";
}

/** The change of a container's image, by name: the container has only its id. */
function imageCauses(step: Step, plan: SitePlan): string[] {
  if (!changedInputs(step).has("image")) return [];
  const image = plan.steps.find(
    ({ type, name }) => kindOf(type) === "RemoteImage" && name === step.name,
  );
  const digest = image && digestChange(image.old?.name, image.new?.name);
  if (digest)
    return [`of its image, ${digest}; a site that has this content already restarts nothing`];
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

/** A port of the host: `0.0.0.0:1883`. */
interface Opened {
  internal?: unknown;
  external?: unknown;
  ip?: string;
}

const isEveryAddress = (ip: string | undefined) => ip === undefined || /^(0\.0\.0\.0|::)$/.test(ip);

/** What no longer reaches a container, by its ports. */
function closedPorts({ old, new: now }: Step): string[] {
  if (!Array.isArray(old?.ports)) return [];
  const opened: Opened[] = Array.isArray(now?.ports) ? now.ports : [];
  const place = ({ ip = "0.0.0.0", external }: Opened) => code(`${ip}:${external}`);
  return (old.ports as Opened[]).flatMap((port) => {
    const successor = opened.find(({ internal }) => internal === port.internal);
    if (!successor) return [`nothing listens at ${place(port)} any more`];
    return port.external === successor.external &&
      (port.ip === successor.ip || isEveryAddress(successor.ip))
      ? []
      : [`it no longer listens at ${place(port)}, but at ${place(successor)}`];
  });
}

/** The broker's configuration before and after; empty where it is hidden. */
function brokerConfigs({ old, new: now }: Step): [old: string, now: string] {
  const textOf = (inputs: Values | undefined) =>
    Array.isArray(inputs?.uploads)
      ? ((inputs.uploads as { file?: string; content?: string }[]).find(
          ({ file }) => file === mosquitto.paths.config,
        )?.content ?? "")
      : "";
  return [textOf(old), textOf(now)];
}

/** What keeps a gateway's messages from the broker, or from its queue, once it has restarted. */
function brokerLosses(step: Step, plan: SitePlan): string[] {
  const [old, now] = brokerConfigs(step);
  const setting = (name: string, text: string) => new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1];
  const [from, to] = [old, now].map((text) => setting("max_queued_messages", text));
  const closed = closedPorts(step);
  const isRotated = plan.steps.some(
    ({ op, name }) => op === "replace" && name === `${step.name}-gateway`,
  );
  const isClosedToStrangers =
    setting("allow_anonymous", old) === "true" && setting("allow_anonymous", now) === "false";
  const refused = [
    ...closed,
    ...(isRotated ? ["it refuses the gateway until that has its new password"] : []),
    ...(isClosedToStrangers ? ["it refuses gateways without a password"] : []),
  ];
  return [
    ...refused,
    ...(refused.length > 0 ? ["what a gateway cannot keep until it is told so **is lost**"] : []),
    ...(from !== undefined && to !== undefined && Number(to) < Number(from)
      ? [
          `its queue holds ${to} messages, before ${from}: if more wait at the restart, ` +
            "the newest of them **are lost**",
        ]
      : []),
  ];
}

/** Whether a volume that is replaced is another one on the host: the engine goes by the name. */
const isOtherVolume = ({ old, new: now, retained }: Step) => !retained || old?.name !== now?.name;

/** What the restart of a container means for its site. */
function restartEffect(step: Step, plan: SitePlan, losesData: boolean): string {
  const service = serviceOf(step);
  if (!service) return "it is unavailable for some seconds";
  const losesVolume = plan.steps.some(
    (other) =>
      kindOf(other.type) === "Volume" &&
      other.op === "replace" &&
      isOtherVolume(other) &&
      serviceOf(other) === service,
  );
  if (losesVolume) return "it starts with an empty volume";
  const losses = service === "mosquitto" ? brokerLosses(step, plan) : closedPorts(step);
  const { restart, amidLoss = restart } = services[service];
  // A gateway that is refused does not come back by itself.
  const isCalm = service !== "mosquitto" || losses.length === 0;
  return [...(isCalm ? [losesData ? amidLoss : restart] : []), ...losses].join("; ");
}

const dataLoss = (step: Step) => `**the data of ${titleOf(step)} is deleted** with it`;
const formerName = (step: Step) => code(step.old?.name ?? step.name);

/** Describes what happens to a resource in a Markdown sentence. */
type Describe = (step: Step, plan: SitePlan, losesData: boolean) => string;

/** Replacements, by kind of resource. */
const replacements: Record<string, Describe> = {
  Container: (step, plan, losesData) =>
    `**${titleOf(step)} restarts**: ${joined(containerCauses(step, plan))}; ` +
    `${restartEffect(step, plan, losesData)}.`,
  Volume: (step) => {
    const changed = `its ${codes(changedInputs(step))} changed`;
    if (!step.retained)
      return `**The volume ${formerName(step)} is replaced**: ${changed}; ${dataLoss(step)}.`;
    return isOtherVolume(step)
      ? `**The volume ${formerName(step)} is replaced**: ${changed}; the old volume stays on the ` +
          `host, but ${titleOf(step)} starts with an empty one.`
      : `The volume ${formerName(step)} is declared anew: ${changed}; the engine keeps the volume ` +
          "that has this name, with its data, and what changed has no effect on it.";
  },
  Network: (step) =>
    `**The network ${formerName(step)} is replaced**: every container on it restarts.`,
  RemoteImage: ({ old, new: now }) => {
    const digest = digestChange(old?.name, now?.name);
    return digest
      ? `The image ${code(tagged(now?.name))}: ${digest}.`
      : `The image ${code(now?.name)} is pulled and replaces ${code(old?.name)}; ` +
          "the old image stays on the host.";
  },
  RandomPassword: (step) =>
    `The secret ${code(step.name)} is generated anew: the services that use it restart` +
    (step.name.endsWith("-gateway")
      ? ", and the gateway needs its new password: until it has it, the broker refuses it."
      : "."),
  RandomBytes: (step) => `The salt ${code(step.name)} is generated anew, with its password.`,
  RandomId: (step) =>
    `The token name ${code(step.name)} is generated anew: its user gets a new token.`,
  Command: (step) =>
    `${code(step.name)} runs again: its ${codes(changedInputs(step))} changed${reboot(step)}.`,
};

/** What a step of a host's preparation may do beside its own. */
const reboot = ({ new: now }: Step) =>
  String(now?.create).includes("systemctl reboot")
    ? "; **it may reboot the host**, which takes no messages meanwhile"
    : "";

/** A rule of alerts, as far as a sentence tells of it. */
interface AlertRule {
  uid?: string;
  name?: string;
  annotations?: { fires?: string };
}

const rulesOf = (inputs: Values | undefined): AlertRule[] =>
  Array.isArray(inputs?.rules) ? (inputs.rules as AlertRule[]) : [];

const firesWhen = ({ annotations }: AlertRule) => annotations?.fires ?? "";

/** What changes of a group's alerts: each rule with its words before and after. */
function alertChanges({ old, new: now, name }: Step): string {
  const [before, after] = [rulesOf(old), rulesOf(now)];
  const find = (rules: AlertRule[], { uid }: AlertRule) => rules.find((rule) => rule.uid === uid);
  const changed = after.flatMap((rule) => {
    const former = find(before, rule);
    if (!former) return [`The alert ${code(rule.name)} is new: ${firesWhen(rule)}.`];
    const [from, to] = [firesWhen(former), firesWhen(rule)];
    return from === to
      ? []
      : [`The alert ${code(rule.name)} changes: it fires when “${to}”, before when “${from}”.`];
  });
  const gone = before.filter((rule) => !find(after, rule));
  const removed =
    gone.length > 0 ? [`No alert any more: ${codes(gone.map((it) => it.name ?? ""))}.`] : [];
  return [...changed, ...removed].join(" ") || `Alerts of ${code(name)} are written again.`;
}

/** Name of a contact, without what begins all names of a stack's. */
const contactOf = ({ old, new: now }: Step) =>
  code(String((now ?? old)?.name ?? "").replace(/^bess-/, ""));

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
      ? "InfluxDB's databases and tables are declared again."
      : `${code(step.name)} runs again${reboot(step)}.`,
  RuleGroup: alertChanges,
  ContactPoint: (step) => `The contact ${contactOf(step)} for alerts changes.`,
  NotificationPolicy: () => "Who is told of which alerts changes.",
};

/** Deletions, by kind of resource. */
const deletions: Record<string, Describe> = {
  Container: (step) => `**${titleOf(step)} is removed.**`,
  Volume: (step) =>
    step.retained
      ? `The volume ${formerName(step)} leaves the stack; it stays on the host with its data.`
      : `**The volume ${formerName(step)} is deleted**: ${dataLoss(step)}.`,
  RemoteImage: (step) => `The image ${formerName(step)} leaves the stack; it stays on the host.`,
  RuleGroup: alertChanges,
  ContactPoint: (step) => `**The contact ${contactOf(step)} is told of no alert any more.**`,
};

/** Creations that mean something to a site that is there already, by kind of resource. */
const creations: Record<string, (step: Step) => string | undefined> = {
  Container: (step) =>
    serviceOf(step) === "simulator"
      ? "**Simulator is new**: its invented values are stored in the tables of the gateway's own."
      : undefined,
  Command: (step) =>
    /-host-[a-z]+$/.test(step.name)
      ? `${code(step.name)} prepares the host${reboot(step)}.`
      : undefined,
};

type ChangeOperation = Exclude<Step["op"], "same">;

const descriptions: Record<ChangeOperation, Record<string, Describe>> = {
  // Counted together.
  create: {},
  replace: replacements,
  update: updates,
  delete: deletions,
};

/** What the deletion of a command does at the site, by the end of its name. */
const commandDeletions: [name: RegExp, summary: string][] = [
  [
    /-session-[0-9a-f]+$/,
    "deleted, and the session of its topic with it; what waits there is kept as a file in the " +
      "broker's volume, which `bess replay` reads",
  ],
  [/-token-\w+$/, "deleted, and the token is revoked"],
];

/** What happens to a resource that has no sentence of its own. */
function summaryOf({ op, type, name, changed }: Step): string {
  const deletion =
    op === "delete" &&
    kindOf(type) === "Command" &&
    commandDeletions.find(([ending]) => ending.test(name))?.[1];
  if (deletion) return deletion;
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
 * Describes what a plan does, why, and what that means for the site: first the data that is lost.
 * @param plan its steps in the order of the report; steps that change nothing are left out.
 * @param changes what the plan does to what the site stores, the losses first.
 * @returns Markdown sentences. Resources without a sentence of their own share one for each kind.
 * Values are inline code, and secrets are not shown.
 */
export function describePlan(plan: SitePlan, changes: readonly DataChange[]): string[] {
  const sentences: string[] = [];
  const created: string[] = [];
  const others = new Map<string, { kind: string; summary: string; names: string[] }>();
  const losesData = changes.some(({ loses }) => loses);
  const isNew = plan.steps.some(({ op, type }) => op === "create" && kindOf(type) === "Network");
  for (const step of plan.steps) {
    if (step.op === "same") continue;
    const kind = kindOf(step.type);
    const describe = descriptions[step.op][kind];
    if (step.op === "create") {
      created.push(kind);
      const meaning = isNew ? undefined : creations[kind]?.(step);
      if (meaning) sentences.push(meaning);
    } else if (describe) sentences.push(describe(step, plan, losesData));
    else {
      const summary = summaryOf(step);
      const group = others.get(`${kind} ${summary}`) ?? { kind, summary, names: [] };
      group.names.push(step.name);
      others.set(`${kind} ${summary}`, group);
    }
  }
  const effects = (loses: boolean) =>
    changes.filter((change) => change.loses === loses).map(({ effect }) => effect);
  return [
    ...effects(true),
    ...sentences,
    ...effects(false),
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
