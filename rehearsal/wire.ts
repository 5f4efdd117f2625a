/** The inputs or outputs of a resource as the engine sends them: Pulumi's property map. */
export type PropertyMap = Record<string, unknown>;

// Keys and values of the engine's protocol: sdk/proto and sdk/nodejs/runtime/rpc of pulumi/pulumi.
const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";

/** What the engine sends, and expects, for a value that is not known yet. */
export const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

const isMap = (value: unknown): value is PropertyMap =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether a value is {@link unknown}. */
export const isUnknown = (value: unknown): boolean => value === unknown;

/** Whether the engine has wrapped a value: a secret, an asset, an archive or a resource. */
export const isWrapped = (value: unknown): boolean => isMap(value) && signatureKey in value;

const isSecret = (value: unknown): value is { value: unknown } =>
  isMap(value) && value[signatureKey] === secretSignature;

/** Wraps a value as a secret, so that the engine encrypts it in its state. */
export const secret = (value: unknown): unknown =>
  isSecret(value) ? value : { [signatureKey]: secretSignature, value };

/** The value with every secret unwrapped, at any depth. */
export function reveal<T = unknown>(value: unknown): T {
  const unwrap = (item: unknown): unknown => {
    if (Array.isArray(item)) return item.map(unwrap);
    if (isSecret(item)) return unwrap(item.value);
    return isMap(item)
      ? Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, unwrap(inner)]))
      : item;
  };
  return unwrap(value) as T;
}

/** One property in which two property maps differ. */
export interface PropertyChange {
  /** Such as `uploads[1].content`. */
  path: string;
  /** The input that holds it, such as `uploads`. */
  input: string;
  kind: "add" | "delete" | "update";
}

// Real providers keep notes of their own in the inputs, such as `__defaults`: what they filled in.
const isNote = (key: string) => key.startsWith("__");

/** Terraform's types do not distinguish an empty value from a missing one. */
const isEmpty = (value: unknown) =>
  value === undefined ||
  value === null ||
  (Array.isArray(value) ? value.length === 0 : isMap(value) && Object.keys(value).every(isNote));

/** Every property in which two property maps differ; secrets are compared by their value. */
export function propertyChanges(before: PropertyMap, after: PropertyMap): PropertyChange[] {
  const found: PropertyChange[] = [];
  const compareMaps = (
    old: PropertyMap,
    now: PropertyMap,
    pathOf: (key: string) => string,
    input?: string,
  ) => {
    const filledIn = (old.__defaults ?? []) as string[];
    for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
      if (!isNote(key) && (key in now || !filledIn.includes(key)))
        compare(old[key], now[key], pathOf(key), input ?? key);
    }
  };
  const compare = (old: unknown, now: unknown, path: string, input: string) => {
    if (isEmpty(old) && isEmpty(now)) return;
    if (isEmpty(old)) found.push({ path, input, kind: "add" });
    else if (isEmpty(now)) found.push({ path, input, kind: "delete" });
    else if (Array.isArray(old) && Array.isArray(now)) {
      for (let i = 0; i < Math.max(old.length, now.length); i++)
        compare(old[i], now[i], `${path}[${i}]`, input);
    } else if (isMap(old) && isMap(now)) compareMaps(old, now, (key) => `${path}.${key}`, input);
    else if (old !== now) found.push({ path, input, kind: "update" });
  };
  compareMaps(reveal(before), reveal(after), (key) => key);
  return found;
}
