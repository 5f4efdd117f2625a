import * as pulumi from "@pulumi/pulumi";
import { Site } from "../components/site";
import { hearRevisions, type RevisionSource } from "../components/revision";
import { parseSite } from "../configs/site";
import { transformOf } from "../transform";
import { invoke, reveal, secret } from "../rehearsal";
import { answers, digest } from "./answers";
import { revisionLabel } from "./revisions";
import {
  engineProvider,
  keyOf,
  masked,
  type RenderedResource,
  sealedText,
  type Values,
} from "./plan";

/**
 * Inputs with every secret reduced to its digest, as JSON where the provider reads JSON: enough to
 * see that it changes.
 */
function sealed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sealed);
  if (typeof value !== "object" || value === null) return value;
  if (masked(value) !== value && typeof masked(value) === "string")
    return secret(JSON.stringify(digest(JSON.stringify(reveal(value)))));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, sealed(inner)]));
}

/** Without this a mock would take all uploads of a container for secrets where one of them is. */
function openUpload(upload: { content?: pulumi.Input<string> }) {
  const content = pulumi.output(upload.content);
  const shown = pulumi
    .output(pulumi.isSecret(content))
    .apply((secret) =>
      pulumi.unsecret(content).apply((text) => (secret ? sealedText(digest(text ?? "")) : text)),
    );
  return { ...upload, content: shown };
}

/**
 * All that a site's program asks for, with every rendered config, from its configuration alone: the
 * program runs on Pulumi's own mocks, without an engine, a state, a secret or a site. One at a
 * time: the mocks are the process's.
 * @param input the site's `bess-telemetry:site`.
 * @param transform what transform.ts changes there. Default: what it does for the stack.
 * @throws InputError as the deployment would.
 */
export async function renderedPlan(
  stack: string,
  input: unknown,
  transform = transformOf(stack),
): Promise<RenderedResource[]> {
  const made: RenderedResource[] = [];
  const retained = new Set<string>();
  pulumi.runtime.setMocks(
    {
      call: ({ token, inputs }) => invoke(token, inputs),
      newResource({ type, name, inputs, custom }) {
        if (custom && (!type.startsWith("pulumi:") || type === engineProvider))
          made.push({
            type,
            name,
            inputs: sealed(inputs) as Values,
            retained: retained.has(`${type} ${name}`),
          });
        return { id: name, state: { ...inputs, ...answers[type]?.(name, inputs) } };
      },
    },
    "bess-telemetry",
    stack,
    true,
  );
  const observe: pulumi.ResourceTransformation = ({ type, name, props, opts }) => {
    if (opts.retainOnDelete) retained.add(`${type} ${name}`);
    return Array.isArray(props.uploads)
      ? { props: { ...props, uploads: props.uploads.map(openUpload) }, opts }
      : undefined;
  };
  const sources = new Map<string, RevisionSource>();
  hearRevisions((revision, source) => sources.set(revision, source));
  const { stackTraceLimit } = Error;
  // Pulumi notes a stack trace with every promise, which here would take most of the time.
  Error.stackTraceLimit = 0;
  try {
    const args = { ...parseSite(input), transform };
    new Site(stack, args, { transformations: [observe] });
  } finally {
    await pulumi.runtime.disconnect();
    hearRevisions(undefined);
    Error.stackTraceLimit = stackTraceLimit;
  }
  return made
    .map((resource) => withRevision(resource, sources))
    .sort((a, b) => keyOf(a).localeCompare(keyOf(b)));
}

/** A container with what its revision is the digest of: under other names that is another one. */
function withRevision(
  resource: RenderedResource,
  sources: ReadonlyMap<string, RevisionSource>,
): RenderedResource {
  const uploads = uploadsOf(resource);
  const source = sources.get(revisionLabel(resource.inputs) ?? "");
  if (!source) return resource;
  const files = source.files.map((file) => {
    const upload = uploads.findIndex(({ content }) => content === file.content);
    return upload < 0 ? file : { ...file, content: upload };
  });
  return { ...resource, revision: { ...source, files } };
}

const uploadsOf = ({ inputs }: RenderedResource) =>
  Array.isArray(inputs.uploads) ? (inputs.uploads as { content?: unknown }[]) : [];
