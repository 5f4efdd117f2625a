/** A property bag as the engine sends it. */
export type Values = Record<string, unknown>;

// Marks of the engine's protocol: sdk/proto and sdk/nodejs/runtime/rpc of pulumi/pulumi.
const signature = "4dabf18193072939515e22adb298388d";
const secretMark = "1b47061264138c4ac30d75fd1eb44270";

/** What the engine sends, and expects, for a value that nobody knows yet. */
export const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

const isBag = (value: unknown): value is Values =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether a value is what the engine sends for one that nobody knows yet. */
export const isUnknown = (value: unknown): boolean => value === unknown;

/** Whether a value is wrapped by the engine: a secret, an asset, an archive or a resource. */
export const isWrapped = (value: unknown): boolean => isBag(value) && signature in value;

const isSecret = (value: unknown): value is { value: unknown } =>
  isBag(value) && value[signature] === secretMark;

/** Marks a value as a secret, so that the engine encrypts it in its state. */
export const secret = (value: unknown): unknown =>
  isSecret(value) ? value : { [signature]: secretMark, value };

/** The value without its marks of secrecy, at any depth. */
export function reveal<T = unknown>(value: unknown): T {
  const plain = (item: unknown): unknown => {
    if (Array.isArray(item)) return item.map(plain);
    if (isSecret(item)) return plain(item.value);
    return isBag(item)
      ? Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, plain(inner)]))
      : item;
  };
  return plain(value) as T;
}

/** What happened to one property between two property bags. */
export interface Change {
  /** Such as `uploads[1].content`. */
  path: string;
  /** First segment of the path: the input. */
  input: string;
  kind: "add" | "delete" | "update";
}

// Real providers keep notes of their own among the inputs, such as `__defaults`: which of them they filled in.
const isNote = (key: string) => key.startsWith("__");

/** Terraform's types do not tell an empty value from none. */
const isEmpty = (value: unknown) =>
  value === undefined ||
  value === null ||
  (Array.isArray(value) ? value.length === 0 : isBag(value) && Object.keys(value).every(isNote));

/** Every property in which two property bags differ, secrets compared by what they hold. */
export function changes(before: Values, after: Values): Change[] {
  const found: Change[] = [];
  const compareBags = (old: Values, now: Values, path: (key: string) => string, input?: string) => {
    const filledIn = (old.__defaults ?? []) as string[];
    for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
      if (!isNote(key) && (key in now || !filledIn.includes(key)))
        compare(old[key], now[key], path(key), input ?? key);
    }
  };
  const compare = (old: unknown, now: unknown, path: string, input: string) => {
    if (isEmpty(old) && isEmpty(now)) return;
    if (isEmpty(old)) found.push({ path, input, kind: "add" });
    else if (isEmpty(now)) found.push({ path, input, kind: "delete" });
    else if (Array.isArray(old) && Array.isArray(now)) {
      for (let i = 0; i < Math.max(old.length, now.length); i++)
        compare(old[i], now[i], `${path}[${i}]`, input);
    } else if (isBag(old) && isBag(now)) compareBags(old, now, (key) => `${path}.${key}`, input);
    else if (old !== now) found.push({ path, input, kind: "update" });
  };
  compareBags(reveal(before), reveal(after), (key) => key);
  return found;
}
