import { createHash } from "node:crypto";

/** What stands for a secret of a stack's config where it is not to be opened: another ciphertext, another stand-in. It has the shape of the only kind there is. */
const standIn = (ciphertext: unknown) =>
  `-----BEGIN PRIVATE KEY-----\n${createHash("sha256").update(String(ciphertext)).digest("base64")}\n-----END PRIVATE KEY-----`;

/** A config with stand-ins for its encrypted values. */
export function withSecretPlaceholders(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withSecretPlaceholders);
  if (typeof value !== "object" || value === null) return value;
  if ("secure" in value) return standIn(value.secure);
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, withSecretPlaceholders(inner)]),
  );
}
