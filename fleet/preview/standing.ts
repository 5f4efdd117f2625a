import {
  answers,
  engineProvider,
  type RenderedResource,
  revisionLabel,
  revisionText,
  revisionUnder,
  type Values,
} from "../../automation";
import { labels } from "../../configs/containers";
import { isHalfMade, isWrapped } from "../../rehearsal";
import type { ResourceState, StackState } from "../state";
import { hasStandIn, named, namedData, type Names } from "./names";

/** One way in which a stack's state is not as a plan would leave it. */
export interface Difference {
  /** Such as `docker:index/container:Container::kiel-1-telegraf`. */
  resource: string;
  /** Such as `image`; empty where it is the whole resource. */
  path: string;
  /** What the state has. */
  value: unknown;
}

/** The resources that a plan has too: no components, and of the providers the engine's alone. */
const isPlanned = ({ custom, type }: ResourceState) =>
  custom === true && (!type.startsWith("pulumi:") || type === engineProvider);

const nameOf = ({ urn = "" }: ResourceState) => urn.slice(urn.lastIndexOf("::") + 2);
const keyOf = (resource: ResourceState) => `${resource.type}::${nameOf(resource)}`;

/** A resource of a plan, under the site's names. */
interface Planned extends RenderedResource {
  /** Its name in the plan, which may be that of a stand-in. */
  original: string;
}

/** A plan, and how its texts read at the site. */
interface Wanted {
  resources: ReadonlyMap<string, Planned>;
  names: Names | undefined;
  /** A text of the plan under the site's names. */
  own(text: string): string;
  /** A text of the state with the plan's answers in the place of the providers'. */
  translated(text: string): string;
}

/** A shorter one could be part of any text. */
const shortestId = 8;

/**
 * What providers have answered at a site, with the answer that a rendered plan has in its place:
 * ids of containers and images, and generated names.
 */
function translations(
  state: readonly ResourceState[],
  resources: Wanted["resources"],
  own: Wanted["own"],
): [from: string, to: string][] {
  return state.flatMap((resource) => {
    const planned = resources.get(keyOf(resource));
    if (!planned) return [];
    const answer = answers[resource.type]?.(planned.original, planned.inputs) ?? {};
    const outputs: Values = { ...resource.outputs, id: resource.id };
    return Object.entries({ ...answer, id: planned.original }).flatMap(
      ([output, to]): [string, string][] => {
        const from = outputs[output];
        return typeof from === "string" && from.length >= shortestId && typeof to === "string"
          ? [[from, own(to)]]
          : [];
      },
    );
  });
}

function wantedBy(
  state: readonly ResourceState[],
  plan: readonly RenderedResource[],
  names: Names | undefined,
): Wanted {
  const own = (text: string) => (names ? named(text, names) : text);
  const resources = new Map(
    plan.map((resource): [string, Planned] => {
      const name = own(resource.name);
      return [`${resource.type}::${name}`, { ...resource, name, original: resource.name }];
    }),
  );
  const pairs = translations(state, resources, own);
  const translated = (text: string) =>
    pairs.reduce((so, [from, to]) => (so.includes(from) ? so.replaceAll(from, to) : so), text);
  return { resources, names, own, translated };
}

/**
 * Where a stack's state differs from what a rendered plan would leave; nothing where an update by
 * that plan would have nothing to do. Secrets are not compared.
 * @param names the site's, where the plan has stand-ins.
 */
export function differences(
  { resources = [], pending_operations: pending = [] }: StackState,
  plan: readonly RenderedResource[],
  names?: Names,
): Difference[] {
  const state = resources.filter(isPlanned);
  const wanted = wantedBy(state, plan, names);
  const whole = (resource: string, value: string): Difference => ({ resource, path: "", value });
  const standing = new Set(state.filter((resource) => !resource.delete).map(keyOf));
  return [
    ...pending.map(({ type, resource }) => whole(keyOf(resource), `its ${type} was cut off`)),
    ...state.flatMap((resource): Difference[] => {
      const twin = wanted.resources.get(keyOf(resource));
      if (resource.delete) return [whole(keyOf(resource), "it waits to be deleted")];
      if (!twin) return [whole(keyOf(resource), "it is no longer asked for")];
      return [
        ...(isCutOff(resource) ? [whole(keyOf(resource), "it is half made")] : []),
        ...inputDifferences(resource, twin, wanted),
      ];
    }),
    ...[...wanted.resources.keys()]
      .filter((key) => !standing.has(key))
      .map((key) => whole(key, "it is missing")),
  ];
}

const isCutOff = ({ type, taint, initErrors = [], outputs }: ResourceState): boolean =>
  taint === true || initErrors.length > 0 || isHalfMade(type, { ...outputs });

function inputDifferences(
  resource: ResourceState,
  twin: Planned,
  { names, own, translated }: Wanted,
): Difference[] {
  const found: Difference[] = [];
  const note = (path: string, value: unknown) =>
    void found.push({ resource: keyOf(resource), path, value });
  const { retainOnDelete: retained = false } = resource;
  if (retained !== twin.retained) note("retainOnDelete", retained);

  const compare = (value: unknown, wanted: unknown, path: string): void => {
    if (isSecret(value) && isSecret(wanted)) return;
    // A real provider hides all uploads of a container as soon as one of them is a secret; the
    // revision on its label is the digest of the others.
    if (isSecret(value) && Array.isArray(wanted) && wanted.some(hasSecret)) return;
    if (Array.isArray(value) && Array.isArray(wanted)) {
      for (let i = 0; i < Math.max(value.length, wanted.length); i++)
        compare(value[i], wanted[i], `${path}[${i}]`);
    } else if (isMap(value) && isMap(wanted) && !isSecret(value) && !isSecret(wanted)) {
      const [given, asked] = [visible(value), visible(wanted)];
      if (asked.label === labels.revision) asked.value = revisionAt(twin, names);
      for (const name of new Set([...Object.keys(given), ...Object.keys(asked)]))
        compare(given[name], asked[name], path ? `${path}.${name}` : name);
    } else if (!isSame(value, wanted)) note(path, isSecret(value) ? "a secret" : value);
  };
  const isSame = (value: unknown, wanted: unknown): boolean => {
    if (typeof value !== "string" || typeof wanted !== "string")
      return (value ?? undefined) === (wanted ?? undefined);
    const text = own(wanted);
    return value === text || translated(value) === text;
  };

  compare(inputsOf(resource), twin.inputs, "");
  return found;
}

/** Whether what a revision is the digest of has stand-ins in it. */
const anonymousRevisions = new WeakMap<object, boolean>();

/** The revision on a container's label, under the names of the site. */
function revisionAt(twin: Planned, names: Names | undefined): string | undefined {
  const { revision, inputs } = twin;
  if (!names || !revision) return revisionLabel(inputs);
  const isAnonymous = anonymousRevisions.get(revision) ?? hasStandIn(revisionText(twin));
  anonymousRevisions.set(revision, isAnonymous);
  return isAnonymous
    ? revisionUnder(twin, (source) => namedData(source, names))
    : revisionLabel(inputs);
}

/** Inputs of a resource; Pulumi's engine adds its version to those of a provider. */
function inputsOf({ type, inputs }: ResourceState): Values {
  const { version: _, ...others }: Values = { ...inputs };
  return type === engineProvider ? others : { ...inputs };
}

const isMap = (value: unknown): value is Values =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What the program has set, without what the provider has filled in. */
function visible(value: Values): Values {
  const filled: unknown[] = Array.isArray(value.__defaults) ? value.__defaults : [];
  return Object.fromEntries(
    Object.entries(value).filter(([key]) => !key.startsWith("__") && !filled.includes(key)),
  );
}

const isSealed = (value: unknown) =>
  typeof value === "string" && /^\[secret [0-9a-f]{16}\]$/.test(value);
const isSecret = (value: unknown): boolean =>
  isSealed(value) ||
  (typeof value === "string" ? value.includes("PRIVATE KEY-----") : isWrapped(value));
const hasSecret = (value: unknown): boolean => isMap(value) && Object.values(value).some(isSecret);
