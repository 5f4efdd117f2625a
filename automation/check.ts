import { checkTransform } from "../components/transform";
import { type CheckedSite, checkSite } from "../configs/checks";
import { siteConfig, siteSource, type StackSite } from "../configs/sites";
import { transformOf } from "../transform";

/** What sets a site apart from one that fits its model and host's size just as it does. */
const alike = ({ settings }: StackSite) =>
  JSON.stringify({ ...settings, name: "", engine: String(settings.engine).replace(/@.*/, "") });

/**
 * Checks sites as {@link checkStack} does; of those that differ in their name and host alone, one
 * against its model and size.
 */
export function stackChecker(): (found: StackSite) => void {
  const fitting = new Set<string>();
  return (found) => {
    const key = alike(found);
    if (fitting.has(key)) {
      siteConfig(found);
      checkTransformOf(found);
    } else checkStack(found);
    fitting.add(key);
  };
}

const transformAt = (stack: string) => transformOf(stack.split("/").at(-1) ?? stack);

const checkTransformOf = ({ stack }: StackSite): void => checkTransform(transformAt(stack));

/** Whether transform.ts changes anything at a stack's site: it may do so by the name. */
export const isTransformed = (stack: string): boolean => Object.keys(transformAt(stack)).length > 0;

/**
 * Checks all that a stack's site is made from, before Pulumi is started: the program would refuse
 * the same, after the stack is made and its file is written to. A secret that is still encrypted is
 * taken for right.
 * @throws InputError with every finding.
 */
export function checkStack(found: StackSite): CheckedSite {
  const checked = checkSite(siteConfig(found), siteSource(found));
  checkTransformOf(found);
  return checked;
}
