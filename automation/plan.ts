import type { EngineEvent, StepEventMetadata } from "@pulumi/pulumi/automation";
import { isUnknown, isWrapped, planChange, propertyChanges } from "../rehearsal";

/** A resource's inputs, secrets masked. */
export type Values = Record<string, unknown>;

/**
 * What happens to a resource. A replacement is one operation, whatever the order of its making and
 * deleting.
 */
export type Operation = "create" | "update" | "replace" | "delete" | "same";

/** What happens to one resource of a site. */
export interface Step {
  op: Operation;
  urn: string;
  /** Such as `docker:index/container:Container`. */
  type: string;
  /** The resource's name in the program, such as `dev-telegraf`. */
  name: string;
  /** Paths of the inputs that change, such as `uploads[0].content`. */
  changed: string[];
  /** Inputs before; none where it is created. */
  old?: Values | undefined;
  /** Inputs after; none where it is deleted. */
  new?: Values | undefined;
  /**
   * Whether what stands at the site outlives its deletion from the stack: the former one, where
   * this step deletes it.
   */
  retained: boolean;
  /** The same, as the last update left it. Default: as `retained`. */
  formerlyRetained?: boolean;
}

/** Type of the provider that names a site's Docker engine. */
export const engineProvider = "pulumi:providers:docker";

/** Inputs of the provider of a site's Docker engine, before and after. */
export interface EngineStep {
  old?: Values | undefined;
  new?: Values | undefined;
}

/** What would happen at one site. */
export interface SitePlan {
  site: string;
  /** Default: the site's name. */
  stack?: string;
  /** Host of its engine, where that is one over SSH. */
  host?: string | undefined;
  wave?: string;
  /** Every resource of the site but components and providers. */
  steps: Step[];
  /** Default: not known. */
  engine?: EngineStep;
  /** Why no plan could be made; there are no steps then. */
  failed?: string;
}

/** What stands in the place of a secret, and of what is known only once it is made. */
export const placeholders = { secret: "[secret]", unknown: "[known once it is made]" } as const;

/**
 * A value as it may be shown, at any depth: without secrets and private keys, and without what a
 * provider filled in itself.
 */
export function masked(value: unknown): unknown {
  if (isUnknown(value)) return placeholders.unknown;
  if (typeof value === "string")
    return value.includes("PRIVATE KEY-----") ? placeholders.secret : value;
  if (Array.isArray(value)) return value.map(masked);
  if (typeof value !== "object" || value === null) return value;
  if (isWrapped(value)) return placeholders.secret;
  const { __defaults: filled = [], ...rest } = value as { __defaults?: unknown };
  const given = Object.entries(rest).filter(
    ([key]) => !key.startsWith("__") && !(Array.isArray(filled) && filled.includes(key)),
  );
  return Object.fromEntries(given.map(([key, inner]) => [key, masked(inner)]));
}

/** Whether a value is one of {@link placeholders}. */
export const isHidden = (value: unknown): boolean =>
  Object.values<unknown>(placeholders).includes(value);

const operations: Record<string, Operation> = {
  same: "same",
  refresh: "same",
  read: "same",
  create: "create",
  import: "create",
  update: "update",
  delete: "delete",
  replace: "replace",
  "create-replacement": "replace",
  "delete-replaced": "replace",
  "import-replacement": "replace",
};

/**
 * What a report tells: resources that are made at the site. Components hold others, and providers
 * only know how.
 */
const isTold = ({ type, old, new: now }: StepEventMetadata) =>
  Boolean((now ?? old)?.custom) && !type.startsWith("pulumi:");

/**
 * A site's plan from the events of a preview, as the Automation API's `onEvent` gives them.
 * @param site whose plan it is.
 */
export function planFromEvents(
  events: Iterable<EngineEvent>,
  site: Omit<SitePlan, "steps">,
): SitePlan {
  const steps = new Map<string, Step>();
  const engine: EngineStep = {};
  for (const { resourcePreEvent } of events) {
    const step = resourcePreEvent?.metadata;
    if (step?.type === engineProvider) {
      engine.old ??= inputsOf(step.old);
      engine.new = inputsOf(step.new) ?? engine.new;
    }
    const op = step && operations[step.op];
    // A resource that waits to be deleted since an earlier update was cut off has the URN of its
    // successor.
    if (!op || !isTold(step) || (step.op === "delete" && step.old?.delete)) continue;
    const before = steps.get(step.urn);
    const changed = before?.changed.length ? before.changed : Object.keys(step.detailedDiff ?? {});
    steps.set(step.urn, {
      op,
      urn: step.urn,
      type: step.type,
      name: step.urn.slice(step.urn.lastIndexOf("::") + 2),
      changed: changed.length > 0 ? changed : (step.diffs ?? []),
      old: before?.old ?? inputsOf(step.old),
      new: before?.new ?? inputsOf(step.new),
      retained: before?.retained ?? isRetained(op, step),
      ...(step.old && { formerlyRetained: Boolean(step.old.retainOnDelete) }),
    });
  }
  return { ...site, steps: [...steps.values()].map(completed), engine };
}

/** As {@link compare} has it. */
const isRetained = (op: Operation, { old, new: now }: StepEventMetadata) =>
  Boolean((op === "delete" || op === "replace" ? (old ?? now) : (now ?? old))?.retainOnDelete);

const inputsOf = (state: StepEventMetadata["old"]) =>
  state ? (masked(state.inputs) as Values) : undefined;

/**
 * A creation has no old side, a deletion no new; and a change that the provider could not name is
 * found in the inputs.
 */
function completed(step: Step): Step {
  const [old, now] = [
    step.op === "create" ? undefined : step.old,
    step.op === "delete" ? undefined : step.new,
  ];
  const found =
    step.op === "update" && step.changed.length === 0 && old && now
      ? [...new Set(propertyChanges(old, now).map(({ input }) => input))].filter(
          (input) => !isHidden(now[input]),
        )
      : step.changed;
  return { ...step, changed: found, old, new: now };
}

/**
 * A plan with the files of its containers as they are rendered, where the engine hides them: a real
 * provider keeps all uploads of a container secret as soon as one of them is.
 * @param rendered the same change, rendered without secrets.
 */
export function withRenderedFiles(plan: SitePlan, rendered: SitePlan): SitePlan {
  const known = new Map(rendered.steps.map((step) => [`${step.type}::${step.name}`, step]));
  const steps = plan.steps.map((step): Step => {
    const twin = known.get(`${step.type}::${step.name}`);
    if (!twin || !(isHidden(step.old?.uploads) || isHidden(step.new?.uploads))) return step;
    const files = twin.changed.filter((path) => path.startsWith("uploads"));
    return {
      ...step,
      changed:
        files.length > 0
          ? [...step.changed.filter((path) => !path.startsWith("uploads")), ...files]
          : step.changed,
      old: step.old && { ...step.old, uploads: twin.old?.uploads },
      new: step.new && { ...step.new, uploads: twin.new?.uploads },
    };
  });
  return { ...plan, steps };
}

/** One resource as the program asks for it. A secret is kept as its digest alone. */
export interface RenderedResource {
  type: string;
  name: string;
  inputs: Values;
  /** Whether it outlives its deletion from the stack. */
  retained: boolean;
  /** Of a container: what the revision on its label is the digest of. */
  revision?: RenderedRevision;
}

/** What a revision is the digest of; of a file that is uploaded, the number stands for its content. */
export interface RenderedRevision {
  files: readonly { path: string; content: unknown }[];
}

/** A secret within a value that is none. */
export const sealedText = (hash: string) => `[secret ${hash}]`;
const isSealedText = (text: string) => /^\[secret [0-9a-f]{16}\]$/.test(text);

/** Inputs as they may be shown. */
function opened(value: unknown): unknown {
  if (typeof value === "string") return isSealedText(value) ? placeholders.secret : value;
  if (Array.isArray(value)) return value.map(opened);
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, opened(inner)]))
    : value;
}

/** What a resource is known by within its site. */
export const keyOf = ({ type, name }: Pick<RenderedResource, "type" | "name">): string =>
  `${type}::${name}`;

/**
 * What the way from one rendered plan to another would do at a site, as its providers would plan
 * it.
 */
export function comparePlans(
  site: Omit<SitePlan, "steps">,
  base: readonly RenderedResource[],
  head: readonly RenderedResource[],
): SitePlan {
  const byKey = (resources: readonly RenderedResource[]) =>
    new Map(
      resources
        .filter(({ type }) => type !== engineProvider)
        .map((resource) => [keyOf(resource), resource]),
    );
  const engineOf = (resources: readonly RenderedResource[]) =>
    resources.find(({ type }) => type === engineProvider)?.inputs;
  const [before, after] = [byKey(base), byKey(head)];
  const keys = [...new Set([...before.keys(), ...after.keys()])].sort();
  return {
    ...site,
    engine: { old: engineOf(base), new: engineOf(head) },
    steps: keys.map((key) => compare(site.stack ?? site.site, before.get(key), after.get(key))),
  };
}

function compare(stack: string, before?: RenderedResource, after?: RenderedResource): Step {
  const one = before ?? after;
  if (!one) throw new Error("a resource that neither plan has cannot be compared");
  const { type, name } = one;
  const { changed, replaces } =
    before && after
      ? planChange(type, before.inputs, after.inputs)
      : { changed: [], replaces: false };
  const op = operationOf({ before, after, changed, replaces });
  // What goes now goes as the last update left it; what stays would go as this one leaves it.
  const { retained } = op === "delete" || op === "replace" ? one : (after ?? one);
  return {
    op,
    urn: `urn:pulumi:${stack}::bess-telemetry::${type}::${name}`,
    type,
    name,
    changed,
    old: before && (opened(masked(before.inputs)) as Values),
    new: after && (opened(masked(after.inputs)) as Values),
    retained,
    ...(before && { formerlyRetained: before.retained }),
  };
}

function operationOf(change: {
  before: RenderedResource | undefined;
  after: RenderedResource | undefined;
  changed: readonly string[];
  replaces: boolean;
}): Operation {
  if (!change.before) return "create";
  if (!change.after) return "delete";
  if (change.replaces) return "replace";
  return change.changed.length > 0 ? "update" : "same";
}
