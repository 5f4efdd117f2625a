import { createHash } from "node:crypto";

/** Body of a placeholder: a digest of the ciphertext. No key or certificate is as short. */
const body = /^-----BEGIN [A-Z ]+-----\n[A-Za-z0-9+/]{43}=\n-----END [A-Z ]+-----$/;

/**
 * A placeholder for a value that is encrypted or not known yet, in PEM form. Each text has its own.
 */
export const placeholder = (text: string, kind = "PRIVATE KEY"): string =>
  `-----BEGIN ${kind}-----\n${createHash("sha256").update(text).digest("base64")}\n` +
  `-----END ${kind}-----`;

/** Whether a text is a {@link placeholder}. */
export const isPlaceholder = (text: string): boolean => body.test(text);

/**
 * A config with placeholders for its encrypted values: they have the form of what is likely to be
 * secret there.
 */
export function withSecretPlaceholders(value: unknown, key?: string): unknown {
  if (Array.isArray(value)) return value.map((inner) => withSecretPlaceholders(inner));
  if (typeof value !== "object" || value === null) return value;
  if ("secure" in value)
    return placeholder(String(value.secure), key === "certificate" ? "CERTIFICATE" : undefined);
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, withSecretPlaceholders(inner, name)]),
  );
}
