import { createHash } from "node:crypto";

/**
 * A placeholder for an encrypted value of a stack's config that is not to be decrypted. Each
 * ciphertext has its own. It has the form of a private key, the only secret in a site's config.
 */
function placeholder(ciphertext: unknown): string {
  const body = createHash("sha256").update(String(ciphertext)).digest("base64");
  return `-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----`;
}

/** A config with placeholders for its encrypted values. */
export function withSecretPlaceholders(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withSecretPlaceholders);
  if (typeof value !== "object" || value === null) return value;
  if ("secure" in value) return placeholder(value.secure);
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, withSecretPlaceholders(inner)]),
  );
}
