import type { SitePlan, Values } from "../automation";
import {
  type Allowances,
  changeViolations,
  type DataChange,
  dataChanges,
  storedBy,
  type Violation,
  violations,
} from "../policy";

/** What a plan does to what its site stores. */
export function dataChangesOf({ steps, engine }: SitePlan): DataChange[] {
  const provider = (inputs: Values | undefined) =>
    inputs ? [{ type: "pulumi:providers:docker", name: "", inputs }] : [];
  const before = steps.flatMap(({ type, name, old, retained, formerlyRetained = retained }) =>
    old ? [{ type, name, inputs: old, retained: formerlyRetained }] : [],
  );
  const after = steps.flatMap(({ type, name, new: now, retained }) =>
    now ? [{ type, name, inputs: now, retained }] : [],
  );
  return dataChanges(
    storedBy([...before, ...provider(engine?.old)]),
    storedBy([...after, ...provider(engine?.new)]),
  );
}

/**
 * What a plan would break of the fleet's policy, what it deletes included.
 * @param allowances what the fleet allows beyond the rules. Default: nothing.
 */
export const planViolations = (plan: SitePlan, allowances?: Allowances): Violation[] => [
  ...violations(
    plan.steps.map(({ op, type, name, old, new: now, retained }) => ({
      type,
      name,
      inputs: now ?? old ?? {},
      retained,
      deleted: op === "delete",
    })),
    allowances,
  ),
  ...changeViolations(plan.site, dataChangesOf(plan), allowances),
];
