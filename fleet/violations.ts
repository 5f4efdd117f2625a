import type { SitePlan } from "../automation";
import { type Allowances, type Violation, violations } from "../policy";

/**
 * What a plan would break of the fleet's policy, what it deletes included.
 * @param allowances what the fleet allows beyond the rules. Default: nothing.
 */
export const planViolations = (plan: SitePlan, allowances?: Allowances): Violation[] =>
  violations(
    plan.steps.map(({ op, type, name, old, new: now, retained }) => ({
      type,
      name,
      inputs: now ?? old ?? {},
      retained,
      deleted: op === "delete",
    })),
    allowances,
  );
