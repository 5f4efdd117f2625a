import { revisionOf } from "../components/revision";
import { labels } from "../configs/containers";
import type { RenderedResource, RenderedRevision, Values } from "./plan";

/** The revision on a container's label; undefined where it has none. */
export function revisionLabel({ labels: found }: Values): string | undefined {
  if (!Array.isArray(found)) return undefined;
  const own = (found as { label?: unknown; value?: unknown }[]).find(
    ({ label }) => label === labels.revision,
  );
  return typeof own?.value === "string" ? own.value : undefined;
}

/** What a rendered container's revision is the digest of, whole. */
function sourceOf({ inputs, revision }: RenderedResource): RenderedRevision | undefined {
  const uploads = Array.isArray(inputs.uploads) ? (inputs.uploads as { content?: unknown }[]) : [];
  return (
    revision && {
      ...revision,
      files: revision.files.map((file) => ({
        ...file,
        content: typeof file.content === "number" ? uploads[file.content]?.content : file.content,
      })),
    }
  );
}

/** The same as text; empty where it has none. */
export const revisionText = (resource: RenderedResource): string =>
  JSON.stringify(sourceOf(resource) ?? "");

/**
 * The revision that a rendered container has under other names.
 * @param named puts these names into what it is the digest of.
 */
export function revisionUnder(
  resource: RenderedResource,
  named: <T>(value: T) => T,
): string | undefined {
  const source = sourceOf(resource);
  return source ? revisionOf(named(source)) : revisionLabel(resource.inputs);
}
