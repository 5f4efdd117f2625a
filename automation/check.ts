import { checkTransform } from "../components/transform";
import { type CheckedSite, checkSite } from "../configs/checks";
import { siteConfig, siteSource, type StackSite } from "../configs/sites";
import { transformOf } from "../transform";

/**
 * Checks all that a stack's site is made from, before Pulumi is started: the program would refuse
 * the same, after the stack is made and its file is written to. A secret that is still encrypted is
 * taken for right.
 * @throws InputError with every finding.
 */
export function checkStack(found: StackSite): CheckedSite {
  const checked = checkSite(siteConfig(found), siteSource(found));
  checkTransform(transformOf(found.stack.split("/").at(-1) ?? found.stack));
  return checked;
}
