import * as z from "zod";

/** Invalid input. Its message has a line for each problem: key, value and what is allowed. */
export class InputError extends Error {
  /** By this mark of its RunError, Pulumi shows the message alone, without a stack trace. */
  readonly __pulumiRunError = true;

  /** @param source what the input was read from, such as a file. */
  constructor(
    readonly source: string,
    readonly problems: string[],
  ) {
    super([`${source} is refused:`, ...problems.map((problem) => `  - ${problem}`)].join("\n"));
    this.name = "InputError";
  }
}

/** What is wrong, where bad input is refused. */
export function findingsOf(check: () => unknown): string[] {
  try {
    check();
    return [];
  } catch (error) {
    if (error instanceof InputError) return error.problems;
    throw error;
  }
}

/** A text of a form; whatever else stands there is answered by the form's rule too. */
export const text = (form: RegExp, rule: string) => z.string(rule).regex(form, rule);

/** A path as text, such as `measurements[1].fields[0].unit`. */
const keyOf = (path: PropertyKey[]) =>
  path.reduce<string>(
    (key, part) =>
      typeof part === "number" ? `${key}[${part}]` : key ? `${key}.${String(part)}` : String(part),
    "",
  );

const valueAt = (input: unknown, path: PropertyKey[]) =>
  path.reduce<unknown>(
    (value, part) => (value as Record<PropertyKey, unknown> | undefined)?.[part],
    input,
  );

/** Whether a key's value is a secret: `password`, or below another key, as `alerts.url` has it. */
export const isSecretKey = (path: PropertyKey[], secretKeys: string[]): boolean =>
  secretKeys.some((secret) => {
    const [key = "", above] = secret.split(".").reverse();
    return path.includes(key) && (above === undefined || path.includes(above));
  });

/** A value as JSON, cut to 80 characters. What is or may be a secret is left out. */
const format = (value: unknown, path: PropertyKey[], secretKeys: string[]) => {
  const shown = (part: unknown, at: PropertyKey[]): unknown => {
    if (isSecretKey(at, secretKeys)) return part === undefined ? part : "[secret]";
    if (typeof part === "string") return part.includes("PRIVATE KEY") ? "[secret]" : part;
    if (Array.isArray(part)) return part.map((item, i) => shown(item, [...at, i]));
    if (typeof part !== "object" || part === null) return part;
    return Object.fromEntries(
      Object.entries(part).map(([key, inner]) => [key, shown(inner, [...at, key])]),
    );
  };
  const written = JSON.stringify(shown(value, path)) ?? "not set";
  const text = written.replace(/(:\/\/[^/\s:@"]*):[^@\s"]+@/g, "$1:[secret]@");
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
};

/** Types in words, by zod's names. */
const kinds: Partial<Record<string, string>> = {
  string: "write a text",
  number: "write a number",
  int: "write a whole number",
  boolean: "write true or false",
  object: "write a map of keys",
  record: "write a map of keys",
  array: "write a list",
  tuple: "write a list",
};

/** Zod's own words, in place of which a person gets plain ones. A schema's words stay. */
const isZods = (message: string) => /^(Invalid (input|option)|Too (small|big))\b/.test(message);

/** What is allowed where a value stands, in plain words. */
function allowedAt(issue: z.core.$ZodIssue): string {
  if (!isZods(issue.message)) return issue.message;
  const many = (n: number | bigint, more: string) =>
    `write ${n} ${n === 1 ? "entry" : "entries"} or ${more}`;
  switch (issue.code) {
    case "invalid_type":
      return kinds[issue.expected] ?? issue.message;
    case "invalid_value":
      return `allowed here: ${issue.values.map((value) => (value === "" ? '""' : String(value))).join(", ")}`;
    case "too_small":
      if (issue.origin === "string") return "write a text";
      return issue.origin === "array"
        ? many(issue.minimum, "more")
        : `write ${issue.minimum} or more`;
    case "too_big":
      return issue.origin === "array"
        ? many(issue.maximum, "fewer")
        : `write ${issue.maximum} or less`;
    case "invalid_union": {
      // What the value is nearly: another type is no reason where one branch has its type.
      const inner = issue.errors.flat();
      const nearest = inner.find(({ code }) => code !== "invalid_type") ?? inner[0];
      return nearest ? allowedAt(nearest) : issue.message;
    }
    default:
      return issue.message;
  }
}

/**
 * Parses `input` by `schema`.
 * @param source what the input was read from, for the error's message.
 * @param secretKeys keys whose values no message shows. Default: none.
 * @throws InputError with every problem at once.
 */
export function validate<T extends z.ZodType>(
  schema: T,
  input: unknown,
  source: string,
  secretKeys: string[] = [],
): z.output<T> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const describe = (issue: z.core.$ZodIssue): string[] => {
    const key = keyOf(issue.path) || "the whole";
    const known = issue.code === "unrecognized_keys" ? allowedKeys(schema, issue.path) : [];
    if (issue.code === "unrecognized_keys")
      return issue.keys.map(
        (k) => `${keyOf([...issue.path, k])} is no known key; allowed here: ${known.join(", ")}`,
      );
    if (issue.code === "invalid_key")
      return issue.issues.map(({ message }) => `${key} is no possible name: ${message}`);
    if (issue.code === "invalid_union" && issue.message === "Invalid input") {
      const inner = likeliest(issue.errors);
      if (inner)
        return inner.flatMap((found) =>
          describe({ ...found, path: [...issue.path, ...found.path] }),
        );
    }
    const value = isSecretKey(issue.path, secretKeys)
      ? "[secret]"
      : format(valueAt(input, issue.path), issue.path, secretKeys);
    if (issue.path.length === 0 && (input === null || input === undefined))
      return [`it is empty: write ${requiredKeys(schema).join(", ") || "a map of keys"}`];
    return [`${key} is ${value}: ${allowedAt(issue)}`];
  };
  throw new InputError(source, result.error.issues.flatMap(describe));
}

/** What is wrong by the alternative that an input seems to mean: the first that has its type. */
const likeliest = (alternatives: z.core.$ZodIssue[][]): z.core.$ZodIssue[] | undefined =>
  alternatives.find((issues) =>
    issues.every(
      ({ code, path }) => path.length > 0 || (code !== "invalid_type" && code !== "invalid_value"),
    ),
  );

const inputSchema = (schema: z.ZodType): z.core.JSONSchema.BaseSchema =>
  z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });

/** The keys that the input of a schema must have. */
const requiredKeys = (schema: z.ZodType) => inputSchema(schema).required ?? [];

/** The keys that the object at `path` of a schema may have. */
function allowedKeys(schema: z.ZodType, path: PropertyKey[]): string[] {
  let at = inputSchema(schema);
  for (const part of path) {
    const inner = ((typeof part === "number"
      ? at.items
      : (at.properties?.[String(part)] ?? at.additionalProperties)) ??
      {}) as z.core.JSONSchema.BaseSchema;
    const alternatives = (inner.anyOf ?? []) as z.core.JSONSchema.BaseSchema[];
    at = alternatives.find(({ properties }) => properties) ?? inner;
  }
  const names = at.propertyNames as z.core.JSONSchema.BaseSchema | undefined;
  return Object.keys(at.properties ?? {}).concat((names?.enum as string[] | undefined) ?? []);
}
