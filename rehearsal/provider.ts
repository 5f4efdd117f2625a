import type { Engine } from "./engine";
import type { Faults } from "./faults";
import { type Change, changes, reveal, secret, unknown, type Values } from "./wire";

/** What a provider works with: its own configuration, and the simulated site. */
export interface Context {
  config: Values;
  /** The engine of a host; without one the site's. */
  engine(host?: unknown): Engine;
  faults: Faults;
}

/** A resource as it was made. `failed` tells why it is there and yet does not work. */
export interface Made {
  id: string;
  outputs: Values;
  failed?: string;
}

/** What one resource type of a real provider does, as far as the engine can see. */
export interface ResourceType {
  /** Inputs of which a change replaces the resource; any other updates it. */
  replaces: "all" | readonly string[];
  /** Outputs that nobody knows before the resource is made. */
  computed: readonly string[];
  /** Computed outputs that an update makes anew. */
  renewed?: readonly string[];
  /** Outputs that are secrets. */
  secrets?: readonly string[];
  /** Inputs that are JSON, and differ only where what they say differs. */
  json?: readonly string[];
  /** Output that the real provider writes once all went well: where the state lacks it, the resource is replaced. */
  completedBy?: string;
  /** Makes it at the simulated site. @throws Error as the real one fails, and then nothing was made. */
  create(inputs: Values, context: Context, name: string): Made;
  /** Brings it up to date. @returns the outputs that changed. */
  update?(id: string, inputs: Values, context: Context): Values;
  /** Whether it is still there. Without this it always is. */
  present?(id: string, state: Values, context: Context): boolean;
  remove?(id: string, state: Values, context: Context): void;
}

/** A rehearsed provider: its package, and the table of its resource types by their tokens. */
export interface Provider {
  package: string;
  version: string;
  /** Fails where a real one would not be configured. */
  configure?(context: Context): Promise<void>;
  types: Record<string, ResourceType>;
  /** What its functions answer, by their tokens. Default: it has none. */
  functions?: Record<string, (args: Values) => Values>;
}

/** `docker:index/container:Container` is a `Container`. */
export const kindOf = (type: string) => type.slice(type.lastIndexOf(":") + 1);

/** The type of a resource. @throws Error where this provider is not rehearsed so far. */
export function typeOf(provider: Provider, type: string): ResourceType {
  const found = provider.types[type];
  if (!found)
    throw new Error(
      `${type} cannot be rehearsed; ${provider.package} can: ${Object.keys(provider.types).join(", ")}`,
    );
  return found;
}

/** A function's answer. @throws Error where this provider is not rehearsed so far. */
export function answerOf(provider: Provider, token: string, args: Values): Values {
  const found = provider.functions?.[token];
  if (!found)
    throw new Error(
      `${token} cannot be rehearsed; ${provider.package} can: ${Object.keys(provider.functions ?? {}).join(", ") || "none"}`,
    );
  return found(args);
}

/** What an update would change, and which of it replaces the resource. @param state as it was made, where it is known. */
export function difference(
  type: ResourceType,
  before: Values,
  after: Values,
  state?: Values,
): (Change & { replaces: boolean })[] {
  const comparable = (inputs: Values) =>
    Object.fromEntries(
      Object.entries(inputs).map(([key, value]) => [
        key,
        type.json?.includes(key) ? parsed(reveal(value)) : value,
      ]),
    );
  const found = changes(comparable(before), comparable(after)).map((change) => ({
    ...change,
    replaces: type.replaces === "all" || type.replaces.includes(change.input),
  }));
  const { completedBy: lacking } = type;
  const failed = state !== undefined && lacking !== undefined && (state[lacking] ?? null) === null;
  return failed
    ? [...found, { path: lacking, input: lacking, kind: "add", replaces: true }]
    : found;
}

function parsed(text: unknown): unknown {
  return typeof text === "string" && text !== unknown ? JSON.parse(text) : text;
}

/** State of a resource that is not made yet: what was asked for, and what only its making tells. */
export const planned = (type: ResourceType, inputs: Values): Values =>
  marked(type, { ...unknowns(type.computed), ...inputs });

/** State of a resource that will be updated. */
export const plannedUpdate = (type: ResourceType, state: Values, inputs: Values): Values =>
  marked(type, { ...state, ...inputs, ...unknowns(type.renewed ?? []) });

/** State of a resource: what was asked for, and what came of it. */
export const made = (type: ResourceType, inputs: Values, outputs: Values): Values =>
  marked(type, { ...inputs, ...outputs });

const unknowns = (keys: readonly string[]): Values =>
  Object.fromEntries(keys.map((key) => [key, unknown]));

const marked = (type: ResourceType, state: Values): Values =>
  Object.fromEntries(
    Object.entries(state).map(([key, value]) => [
      key,
      type.secrets?.includes(key) ? secret(value) : value,
    ]),
  );
