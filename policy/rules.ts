import { pinnedImage } from "../configs/images";
import type { Allowances } from "../configs/inventory";
import { ports as mqttPorts } from "../configs/mosquitto";
import { ports as vmauthPorts } from "../configs/vmauth-ports";

/** A resource as a rule sees it: of a plan, or from Pulumi's policy engine. */
export interface Resource {
  /** Such as `docker:index/container:Container`. */
  type: string;
  name: string;
  /** Its inputs; unknown values are missing, or placeholders. */
  inputs: Record<string, unknown>;
  /** Whether it stays at the site when the stack deletes it. Default: not known. */
  retained?: boolean;
  /** Whether the plan deletes it. Default: false. */
  deleted?: boolean;
}

/** One way in which a resource breaks a rule. */
export interface Violation {
  rule: string;
  resource: string;
  message: string;
}

/** A rule: a pure function of one resource. */
export interface Rule {
  name: string;
  description: string;
  /**
   * Finds what is wrong. @returns a sentence per finding; none for resources of other kinds.
   * @param isVerified whether the stack verifies its images. Default: as the resource itself says.
   */
  check(resource: Resource, allowances: Allowances, isVerified?: boolean): string[];
}

const kindOf = ({ type }: Resource) =>
  type.startsWith("docker:") ? type.slice(type.lastIndexOf(":") + 1) : "";
const records = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === "object" && item !== null) : [];
const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];

/** A rule for containers that the plan does not delete. */
const containerRule = (
  name: string,
  description: string,
  check: (inputs: Record<string, unknown>, allowances: Allowances) => string[],
): Rule => ({
  name,
  description,
  check: (resource, allowances) =>
    kindOf(resource) === "Container" && !resource.deleted ? check(resource.inputs, allowances) : [],
});

/** Whether an image is an engine's id, or the placeholder of one that is not pulled yet. */
const isImageId = (image: string) =>
  /^(sha256:[0-9a-f]{64}|\[.*\]|[0-9a-f]{8}-[0-9a-f-]{27})$/.test(image);

const pinned: Rule = {
  name: "image-pinned",
  description: "Every image is pinned by a tag other than latest, or by a digest.",
  check(resource) {
    const image = { RemoteImage: resource.inputs.name, Container: resource.inputs.image }[
      kindOf(resource)
    ];
    if (
      resource.deleted ||
      typeof image !== "string" ||
      pinnedImage.test(image) ||
      (kindOf(resource) === "Container" && isImageId(image))
    )
      return [];
    return [`the image is "${image}": pin it by a tag other than latest, or by a digest`];
  },
};

/** Whether an image is marked as one that must have a digest: of a site whose `images.verify` says so. */
const mustHaveDigest = (resource: Resource) =>
  kindOf(resource) === "RemoteImage" &&
  (resource.inputs.triggers as { verify?: unknown } | undefined)?.verify === "digest";

const byDigest: Rule = {
  name: "image-digest",
  description: "Where images.verify is digest, every image is used by its digest.",
  check(resource, _, isVerified = mustHaveDigest(resource)) {
    const image = { RemoteImage: resource.inputs.name, Container: resource.inputs.image }[
      kindOf(resource)
    ];
    if (!isVerified || resource.deleted || typeof image !== "string") return [];
    if (/@sha256:[0-9a-f]{64}$/.test(image)) return [];
    if (kindOf(resource) === "Container" && isImageId(image)) return [];
    return [
      `the image is "${image}", and images.verify is digest: ` +
        "add its @sha256:…, which npx bess images pin records",
    ];
  },
};

const isLoopback = (ip: unknown) => typeof ip === "string" && /^(127(\.\d{1,3}){3}|::1)$/.test(ip);
const mqtt: readonly unknown[] = Object.values(mqttPorts);

const loopback = containerRule(
  "loopback-only",
  "Nothing but MQTT and the hub's entrance is reached from other hosts, unless it is allowed by name.",
  (inputs, { offLoopback = [] }) => [
    ...records(inputs.ports).flatMap(({ internal, ip }) => {
      const port = `${inputs.hostname}:${internal}`;
      if (
        isLoopback(ip) ||
        offLoopback.includes(port) ||
        (inputs.hostname === "mosquitto" && mqtt.includes(internal)) ||
        (inputs.hostname === "vmauth" && internal === vmauthPorts.entrance)
      )
        return [];
      return [
        `port ${port} is opened on ${ip ?? "every address"}: ` +
          `open it on 127.0.0.1, or allow "${port}" under offLoopback`,
      ];
    }),
    ...(inputs.publishAllPorts === true
      ? ["publishAllPorts opens every port of the image: name the ports"]
      : []),
    ...(inputs.networkMode === "host"
      ? ["networkMode is host, which opens every port of the service: use a network of the site"]
      : []),
  ],
);

const memory = containerRule(
  "memory-limited",
  "Every container has a memory limit, and no swap beyond it.",
  ({ memory: limit, memorySwap }) => {
    if (typeof limit !== "number" || limit <= 0)
      return ["there is no memory limit: set memory, in MiB"];
    if (memorySwap === limit) return [];
    return [`memorySwap is ${memorySwap ?? "not set"}: set it to ${limit}, as memory, for no swap`];
  },
);

const healthCheck = containerRule(
  "health-checked",
  "Every container has a health check.",
  ({ healthcheck }) => {
    const tests = strings((healthcheck as { tests?: unknown } | undefined)?.tests);
    return tests.length < 2 || tests[0] === "NONE"
      ? ["there is no health check: set healthcheck.tests"]
      : [];
  },
);

const logs = containerRule(
  "logs-limited",
  "Every container's log is rotated.",
  ({ logDriver, logOpts }) => {
    const options = (logOpts ?? {}) as Record<string, unknown>;
    const missing = ["max-size", "max-file"].filter((key) => !options[key]);
    const driver = logDriver ? `"${logDriver}"` : "the engine's own";
    return [
      ...(logDriver === "json-file" || logDriver === "local"
        ? []
        : [`logDriver is ${driver}: set json-file or local, which rotate`]),
      ...missing.map((key) => `logOpts has no ${key}: the log could fill the disk`),
    ];
  },
);

const secretName = /PASS(WORD|WD)?|SECRET|TOKEN|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY/i;
const secretValue = /-----BEGIN [A-Z ]*PRIVATE KEY|apiv3_|:\/\/[^/\s:]+:[^@\s]+@|^\[secret\]$/;

/** Splits an environment variable; one without `=` is its own value too. */
function parseVariable(variable: string): { name: string; value: string } {
  const end = variable.indexOf("=");
  return { name: end < 0 ? variable : variable.slice(0, end), value: variable.slice(end + 1) };
}

/** Whether a variable holds a secret, and not the path of its file, a number or a switch. */
function holdsSecret({ name, value }: { name: string; value: string }): boolean {
  if (secretValue.test(value)) return true;
  return (
    secretName.test(name) &&
    value !== "" &&
    !value.startsWith("/") &&
    !/^(true|false|\d+)$/i.test(value)
  );
}

const environment = containerRule(
  "no-secret-in-envs",
  "No secret stands in an environment variable, where docker inspect shows it.",
  ({ envs }) => {
    if (envs === undefined || envs === null) return [];
    // The engine hides all variables where one of them is a secret.
    if (!Array.isArray(envs)) return ["envs holds a secret: deliver it as a file"];
    return strings(envs)
      .map(parseVariable)
      .filter(holdsSecret)
      .map(({ name }) => (name === "[secret]" ? "an environment variable" : name))
      .map((subject) => `${subject} holds a secret: deliver it as a file`);
  },
);

const volumes: Rule = {
  name: "volumes-kept",
  description: "No volume is deleted with its data unless it is allowed by name.",
  check(resource, { deletedVolumes = [] }) {
    const volume = String(resource.inputs.name ?? resource.name);
    if (
      kindOf(resource) !== "Volume" ||
      resource.retained !== false ||
      deletedVolumes.includes(volume)
    )
      return [];
    const how = resource.deleted
      ? "would be deleted with its data"
      : "would be deleted with the stack, and its data with it";
    const remedy = `keep it by retainOnDelete, or allow "${volume}" under deletedVolumes`;
    return [`volume ${volume} ${how}: ${remedy}`];
  },
};

/** Every rule of the fleet. */
export const rules: readonly Rule[] = [
  pinned,
  byDigest,
  loopback,
  memory,
  healthCheck,
  logs,
  environment,
  volumes,
];

/**
 * Checks resources against every rule.
 * @param allowances what the fleet allows beyond the rules. Default: nothing.
 * @returns the violations, in the order of the resources.
 */
export function violations(
  resources: Iterable<Resource>,
  allowances: Allowances = {},
): Violation[] {
  const all = [...resources];
  // Where one image of a stack is verified, each is.
  const isVerified = all.some((resource) => !resource.deleted && mustHaveDigest(resource));
  return all.flatMap((resource) =>
    rules.flatMap(({ name, check }) =>
      check(resource, allowances, isVerified).map((message): Violation => ({
        rule: name,
        resource: resource.name,
        message,
      })),
    ),
  );
}
