import type { Engine } from "./engine";
import type { Faults } from "./faults";
import {
  type PropertyChange,
  propertyChanges,
  type PropertyMap,
  reveal,
  secret,
  unknown,
} from "./wire";

/** What an operation of a provider works with. */
export interface ProviderContext {
  /** The provider's own configuration, such as Docker's `host`. */
  config: PropertyMap;
  /** The simulated engine of a host. Default: the site's. */
  engine(host?: unknown): Engine;
  faults: Faults;
}

/** A created resource. */
export interface CreateResult {
  id: string;
  outputs: PropertyMap;
}

/** What one resource type of a real provider does, as far as the engine can see. */
export interface ResourceType {
  /** Inputs of which a change replaces the resource; a change of any other updates it. */
  replaceOnChanges: "all" | readonly string[];
  /** Outputs that are known only after the resource is created. */
  computed: readonly string[];
  /** Computed outputs that each update computes again. Default: none. */
  computedOnUpdate?: readonly string[];
  /** Properties that are secrets. Default: none. */
  secrets?: readonly string[];
  /** Inputs that hold JSON; only a change of its content counts, not one of its spelling. */
  json?: readonly string[];
  /** Output that the real provider sets last: a resource without it is replaced. */
  completedBy?: string;
  /**
   * Creates the resource at the simulated site.
   * @param name the resource's type and name, such as `Container:dev-grafana`.
   * @throws Error where the real provider would fail, and nothing is created.
   */
  create(inputs: PropertyMap, context: ProviderContext, name: string): CreateResult;
  /** Updates the resource. @returns the outputs that changed. Default: none change. */
  update?(id: string, inputs: PropertyMap, context: ProviderContext): PropertyMap;
  /** Whether the resource still exists at the site. Default: always. */
  exists?(id: string, state: PropertyMap, context: ProviderContext): boolean;
  /** Deletes the resource from the site. Default: there is nothing to delete. */
  remove?(id: string, state: PropertyMap, context: ProviderContext): void;
}

/** A simulated provider: its package, and its resource types and functions by their tokens. */
export interface Provider {
  /** Such as `docker`. */
  package: string;
  /** Version of the npm package; the engine takes a plugin of exactly this version. */
  version: string;
  /** @throws Error where the real provider would refuse its configuration. */
  configure?(context: ProviderContext): Promise<void>;
  types: Record<string, ResourceType>;
  /** Functions that programs invoke. Default: none. */
  functions?: Record<string, (args: PropertyMap) => PropertyMap>;
}

/** Version of an installed npm package, without a leading `v`. */
export const packageVersion = (name: string): string =>
  require(`${name}/package.json`).version.replace(/^v/, "");

/** Last part of a type's token: `docker:index/container:Container` is a `Container`. */
export const kindOf = (type: string) => type.slice(type.lastIndexOf(":") + 1);

/** A resource type by its token. @throws Error where it is not simulated. */
export const resourceType = ({ package: name, types }: Provider, token: string): ResourceType =>
  lookUp(types, token, name);

/** Invokes a function by its token. @throws Error where it is not simulated. */
export const invokeFunction = (
  { package: name, functions = {} }: Provider,
  token: string,
  args: PropertyMap,
): PropertyMap => lookUp(functions, token, name)(args);

function lookUp<T>(entries: Record<string, T>, token: string, name: string): T {
  const found = entries[token];
  if (!found)
    throw new Error(
      `${token} cannot be rehearsed; ${name} can: ${Object.keys(entries).join(", ") || "none"}`,
    );
  return found;
}

/** A changed property, and whether its change replaces the resource. */
export type PlannedChange = PropertyChange & { replaces: boolean };

/**
 * What an update would change.
 * @param state outputs of the resource. Default: not known, and taken as complete.
 */
export function diff(
  type: ResourceType,
  before: PropertyMap,
  after: PropertyMap,
  state?: PropertyMap,
): PlannedChange[] {
  const comparable = (inputs: PropertyMap) =>
    Object.fromEntries(
      Object.entries(inputs).map(([key, value]) => [
        key,
        type.json?.includes(key) ? parseJson(reveal(value)) : value,
      ]),
    );
  const found = propertyChanges(comparable(before), comparable(after)).map((change) => ({
    ...change,
    replaces: type.replaceOnChanges === "all" || type.replaceOnChanges.includes(change.input),
  }));
  const output = type.completedBy;
  const incomplete = state && output !== undefined && (state[output] ?? null) === null;
  return incomplete
    ? [...found, { path: output, input: output, kind: "add", replaces: true }]
    : found;
}

function parseJson(text: unknown): unknown {
  return typeof text === "string" && text !== unknown ? JSON.parse(text) : text;
}

/** State of a resource that is not created yet: its inputs, and its computed outputs unknown. */
export const plannedState = (type: ResourceType, inputs: PropertyMap): PropertyMap =>
  withSecrets(type, { ...unknowns(type.computed), ...inputs });

/** State of a resource that is not updated yet. */
export const plannedUpdate = (
  type: ResourceType,
  state: PropertyMap,
  inputs: PropertyMap,
): PropertyMap =>
  withSecrets(type, { ...state, ...inputs, ...unknowns(type.computedOnUpdate ?? []) });

/** State of a resource: its inputs and outputs. */
export const stateOf = (
  type: ResourceType,
  inputs: PropertyMap,
  outputs: PropertyMap,
): PropertyMap => withSecrets(type, { ...inputs, ...outputs });

const unknowns = (keys: readonly string[]): PropertyMap =>
  Object.fromEntries(keys.map((key) => [key, unknown]));

const withSecrets = (type: ResourceType, state: PropertyMap): PropertyMap =>
  Object.fromEntries(
    Object.entries(state).map(([key, value]) => [
      key,
      type.secrets?.includes(key) ? secret(value) : value,
    ]),
  );
