import { type RenderedResource, revisionLabel, revisionUnder } from "../../automation";

/**
 * The state of a site as its stack's file has it, under the names of another site with the same
 * settings: as if the engine had deployed that one.
 * @param plan what is rendered for the site.
 */
export function stateUnder(
  state: string,
  plan: readonly RenderedResource[],
  site: string,
  other: string,
): string {
  const renamed = <T>(value: T): T =>
    JSON.parse(JSON.stringify(value).replaceAll(site, other)) as T;
  const revisions = plan.flatMap((resource) => {
    const [from, to] = [revisionLabel(resource.inputs), revisionUnder(resource, renamed)];
    return from !== undefined && to !== undefined ? [[from, to] as const] : [];
  });
  return revisions.reduce(
    (text, [from, to]) => text.replaceAll(from, to),
    state.replaceAll(site, other),
  );
}
