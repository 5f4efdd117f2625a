import { type Stored, storedBy } from "../policy";

/** A resource as a stack's state holds it. */
export interface ResourceState {
  type: string;
  urn?: string;
  id?: string | undefined;
  inputs?: { name?: string };
  outputs?: { commit?: unknown };
  /** Whether a provider made it; a component only holds others. */
  custom?: boolean;
  retainOnDelete?: boolean;
  /** Whether it waits to be deleted, and another one has taken its place. */
  delete?: boolean;
  /** Whether the next update replaces it. */
  taint?: boolean;
  /** What went wrong while it was made. */
  initErrors?: readonly string[];
}

/** The part of a stack's state that is read here. */
export interface StackState {
  resources?: ResourceState[];
  pending_operations?: { type: string; resource: ResourceState }[];
}

/** What is stored at a site, by its stack's state. */
export const storedInState = ({ resources = [] }: StackState): Stored =>
  storedBy(
    resources
      .filter((resource) => !resource.delete)
      .map(({ type, urn = "", inputs = {}, retainOnDelete }) => ({
        type,
        name: urn.slice(urn.lastIndexOf("::") + 2),
        inputs: { ...inputs },
        retained: retainOnDelete ?? false,
      })),
  );

/** The commit that a stack was brought to last; undefined where none has come to its end. */
export function commitInState({ resources = [] }: StackState): string | undefined {
  const commit = resources.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs?.commit;
  return typeof commit === "string" ? commit : undefined;
}

/**
 * Names of the containers that an update had begun to make when it was cut off, and the ids of
 * those that the state holds.
 */
export function begunContainers({ resources = [], pending_operations: pending = [] }: StackState): {
  names: string[];
  held: Set<string>;
} {
  const isContainer = ({ type }: ResourceState) => type === "docker:index/container:Container";
  const begun = pending.filter(
    ({ type, resource }) => type === "creating" && isContainer(resource),
  );
  return {
    names: begun.flatMap(({ resource }) => resource.inputs?.name ?? []),
    held: new Set(resources.filter(isContainer).flatMap(({ id }) => id ?? [])),
  };
}
