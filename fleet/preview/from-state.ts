import {
  type EngineEvent,
  planFromEvents,
  type SitePlan,
  StackError,
  withRenderedFiles,
} from "../../automation";
import type { FleetSite } from "../../configs/inventory";
import { tell } from "../losses";
import * as rollout from "../rollout";
import { dataChangesOf } from "../violations";

/**
 * The plan of one site against its stack's state, as Pulumi's engine makes it.
 * @param rendered the same change, as base and head render it.
 */
export async function planFromState(
  site: FleetSite,
  current: rollout.Revision,
  openStack: rollout.OpenStack,
  rendered: SitePlan,
): Promise<SitePlan> {
  const { name, stack, wave } = site;
  const about = { site: name, stack, wave };
  try {
    const events: EngineEvent[] = [];
    await openStack(site, current).preview({ onEvent: (event) => void events.push(event) });
    return withRenderedFiles(planFromEvents(events, about), rendered);
  } catch (error) {
    // A stack that is not there yet has no state to plan from: everything is new.
    if (error instanceof StackError && error.kind === "not-found") {
      const renamed = dataChangesOf(rendered).find(({ change }) => change.startsWith("stack "));
      if (renamed) return { ...about, steps: [], failed: tell(renamed) };
      return {
        ...rendered,
        steps: rendered.steps
          .filter(({ op }) => op !== "delete")
          .map((step) => ({ ...step, op: "create", old: undefined })),
      };
    }
    return { ...about, steps: [], failed: rollout.failureReason(error as Error) };
  }
}
