import { createHash } from "node:crypto";

/** All that a container is made from but its secrets. */
export interface RevisionSource {
  files: readonly { path: string; content: unknown }[];
}

type Listener = (revision: string, source: RevisionSource) => void;
let listener: Listener | undefined;

/** Has somebody hear what each revision is the digest of, until another one does, or nobody. */
export const hearRevisions = (heard: Listener | undefined): void => void (listener = heard);

/** Digest of what a container is made from. */
export function revisionOf(source: RevisionSource): string {
  const text = JSON.stringify(source);
  const revision = createHash("sha256").update(text).digest("hex").slice(0, 12);
  listener?.(revision, source);
  return revision;
}
