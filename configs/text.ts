/** Texts as one list: `a`, `a and b`, `a, b, and c`. */
export const joined = (texts: readonly string[]): string =>
  texts.length < 3 ? texts.join(" and ") : `${texts.slice(0, -1).join(", ")}, and ${texts.at(-1)}`;

/** A value as Markdown's inline code on one line, which no value can close. */
export const code = (value: unknown): string =>
  `\`${String(value).replaceAll("`", "'").replace(/\s+/g, " ")}\``;

/** Values as one list of inline code. */
export const codes = (values: Iterable<unknown>): string => joined([...values].map(code));
