import * as pulumi from "@pulumi/pulumi";
import { Site, type SiteArgs } from "../../components";
import type { Service } from "../../configs/images";

/** A container's inputs, with Pulumi's marks of secrets taken off. */
export interface MockedContainer {
  name: string;
  image: string;
  user?: string;
  hostname: Service;
  entrypoints?: string[];
  command?: string[];
  envs?: string[];
  healthcheck: { tests: string[] };
  volumes?: { volumeName: string; containerPath: string }[];
  ports?: { internal: number; external: number; ip: string }[];
  uploads: { file: string; content: string; permissions?: string }[];
  labels: { label: string; value: string }[];
  networksAdvanced: { name: string }[];
  [key: string]: unknown;
}

/** A resource as it was registered; `retained` is its retainOnDelete. */
export interface RegisteredResource {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
  retained: boolean | undefined;
}

/** A site that was made on mocks. */
export interface MockedSite {
  registered: RegisteredResource[];
  containers: Record<Service, MockedContainer>;
  /** Files of each container that are no secret, by the container's resource name. */
  openFiles: Record<string, string[]>;
}

const secretMark = "4dabf18193072939515e22adb298388d";

/** Whether an input is encrypted in the state. */
export const isSecret = (value: unknown) =>
  value !== null && typeof value === "object" && secretMark in value;

/** An input with the marks of secrets taken off. */
function unwrap(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unwrap);
  if (value === null || typeof value !== "object") return value;
  if (secretMark in value) return unwrap((value as { value?: unknown }).value ?? null);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unwrap(inner)]));
}

type Answer = (name: string, inputs: { keepers?: { rotation: string } }) => object;

/** Stands in for what OpenSSL prints, trimmed as the provider does. */
const pem = ["PRIVATE KEY", "CERTIFICATE"]
  .map((kind) => `-----BEGIN ${kind}-----\nMA==\n-----END ${kind}-----`)
  .join("\n");

/** What the providers would answer. */
const outputs: Partial<Record<string, Answer>> = {
  "random:index/randomPassword:RandomPassword": (name, { keepers }) => ({
    result: `secret-${name}${keepers?.rotation ?? ""}`,
  }),
  "random:index/randomBytes:RandomBytes": (name) => ({
    base64: Buffer.alloc(12, name).toString("base64"),
  }),
  "random:index/randomId:RandomId": () => ({ hex: "ab12cd34" }),
  "command:local:Command": (name) => ({
    stdout: name.endsWith("-certificate") ? pem : `apiv3_${name}`,
  }),
  "docker:index/remoteImage:RemoteImage": (name) => ({ imageId: `sha256:${name}` }),
};

/**
 * Makes a site named `dev` on mocks, and waits until every resource is registered.
 * @param registered is filled with the resources in the order in which they are made.
 */
export const deployOnMocks = (
  args: SiteArgs,
  registered: RegisteredResource[] = [],
): Promise<MockedSite> => makeOnMocks((opts) => new Site("dev", args, opts), registered);

/** The same of whatever `make` makes. @param make is given the options of the component. */
export async function makeOnMocks(
  make: (opts: pulumi.ComponentResourceOptions) => unknown,
  registered: RegisteredResource[] = [],
): Promise<MockedSite> {
  const retained = new Map<string, boolean | undefined>();
  const openFiles: Record<string, string[]> = {};
  const looking: Promise<void>[] = [];
  pulumi.runtime.setMocks({
    call: (call) => call.inputs,
    newResource: ({ type, name, inputs }) => {
      registered.push({ type, name, inputs, retained: retained.get(`${type} ${name}`) });
      return { id: `${name}-id`, state: { ...inputs, ...outputs[type]?.(name, inputs) } };
    },
  });
  const lookAtUploads = async (name: string, uploads: { file: string; content?: unknown }[]) => {
    const secrets = await Promise.all(
      uploads.map(({ content }) => pulumi.isSecret(pulumi.output(content))),
    );
    openFiles[name] = uploads.flatMap(({ file }, index) => (secrets[index] ? [] : [file]));
  };
  const observe: pulumi.ResourceTransformation = ({ type, name, props, opts }) => {
    retained.set(`${type} ${name}`, opts.retainOnDelete);
    if (Array.isArray(props.uploads)) looking.push(lookAtUploads(name, props.uploads));
    return undefined;
  };
  const { stackTraceLimit } = Error;
  // Pulumi takes a stack trace of every promise, which here would take most of the time.
  Error.stackTraceLimit = 0;
  try {
    make({ transformations: [observe] });
  } finally {
    await pulumi.runtime.disconnect();
    Error.stackTraceLimit = stackTraceLimit;
  }
  await Promise.all(looking);
  const containers = registered
    .filter(({ type }) => type === "docker:index/container:Container")
    .map(({ inputs }) => unwrap(inputs) as MockedContainer);
  return {
    registered,
    openFiles,
    containers: Object.fromEntries(
      containers.map((container) => [container.hostname, container]),
    ) as MockedSite["containers"],
  };
}
