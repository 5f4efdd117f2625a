import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { isPlaceholder } from "./secret-placeholders";

/** A certificate with its chain and its key, each in PEM form. */
export interface KeyPair {
  certificate: string;
  key: string;
}

/** What is wrong with one of the two. */
export interface PairFinding {
  key: keyof KeyPair;
  message: string;
}

/** As OpenSSL 3.5 of the broker's image has it; Node.js may bring an older one with a lower level. */
const securityLevel = "DEFAULT@SECLEVEL=2";

const reasonOf = (error: unknown) =>
  (error as Error).message.replace(/^error:[^:]*:[^:]*:[^:]*:/, "").trim();

/** The certificates of a chain. @throws Error naming the one that is none. */
function chainOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block, i) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      const which = blocks.length > 1 ? ` number ${i + 1}` : "";
      throw new Error(
        `the certificate${which} cannot be read (OpenSSL: ${reasonOf(error)}); ` +
          "paste the whole file, each line as it is",
      );
    }
  });
}

function privateKeyOf(pem: string): KeyObject {
  if (/ENCRYPTED/.test(pem))
    throw new Error(
      "it is locked by a passphrase, which the broker cannot ask for; " +
        "write it without one: openssl pkey -in FILE",
    );
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new Error(
      `it cannot be read (OpenSSL: ${reasonOf(error)}); paste the whole file, each line as it is`,
    );
  }
}

const nameOf = ({ subject }: X509Certificate) => subject.replaceAll("\n", ", ");

/** A chain whose certificates do not follow from each other. */
function chainFindings(chain: readonly X509Certificate[]): string[] {
  return chain.slice(1).flatMap((issuer, i) => {
    const issued = chain[i];
    return issued && !(issued.checkIssued(issuer) && issued.verify(issuer.publicKey))
      ? [
          `certificate number ${i + 2} (${nameOf(issuer)}) has not issued number ${i + 1} ` +
            `(${nameOf(issued)}); write the broker's own first, then the one that issued it, and so on`,
        ]
      : [];
  });
}

function matchFinding(chain: readonly X509Certificate[], key: KeyObject): PairFinding | undefined {
  const owner = chain.findIndex((certificate) => certificate.checkPrivateKey(key));
  if (owner === 0) return undefined;
  return owner > 0
    ? {
        key: "certificate",
        message: `mqtt.tls.key is the key of number ${owner + 1}; write that certificate first`,
      }
    : { key: "key", message: "it is not the key of mqtt.tls.certificate" };
}

function read<T>(key: keyof KeyPair, parse: () => T): { value?: T; findings: PairFinding[] } {
  try {
    return { value: parse(), findings: [] };
  } catch (error) {
    return { findings: [{ key, message: (error as Error).message }] };
  }
}

/**
 * Why the broker could not serve a pair: it cannot be read, does not fit together, or is too weak
 * for OpenSSL. A placeholder of either is taken for right.
 */
export function pairFindings(pair: KeyPair): PairFinding[] {
  const hidden = { certificate: isPlaceholder(pair.certificate), key: isPlaceholder(pair.key) };
  const chain = hidden.certificate
    ? undefined
    : read("certificate", () => chainOf(pair.certificate));
  const key = hidden.key ? undefined : read("key", () => privateKeyOf(pair.key));
  const unread = [...(chain?.findings ?? []), ...(key?.findings ?? [])];
  if (unread.length > 0) return unread;
  const match = chain?.value && key?.value && matchFinding(chain.value, key.value);
  if (match) return [match];
  const order = chainFindings(chain?.value ?? []);
  if (order.length > 0) return order.map((message) => ({ key: "certificate", message }));
  try {
    createSecureContext({
      ciphers: securityLevel,
      ...(chain && { cert: pair.certificate }),
      ...(key && { key: pair.key }),
    });
    return [];
  } catch (error) {
    const message =
      `OpenSSL refuses it: ${reasonOf(error)}; ` +
      "make a pair of EC P-256, or of RSA with 2048 bits or more, signed with SHA-256";
    return [{ key: chain ? "certificate" : "key", message }];
  }
}

/** When a certificate is near its end, in days: operators are warned. */
const soon = 30;

const day = (date: Date) => date.toISOString().slice(0, 10);

/** What a person should know of a certificate. */
export interface CertificateReport {
  /** Whom it is for, and until when. */
  description: string;
  ends: Date;
  /** Why clients refuse it at this time. */
  refusal?: string;
  /** What will trouble clients. */
  warnings: string[];
}

/**
 * A certificate's names and its time.
 * @param certificate a readable one; undefined is answered for a placeholder.
 */
export function certificateReport(
  certificate: string,
  now = new Date(),
): CertificateReport | undefined {
  if (isPlaceholder(certificate)) return undefined;
  const [own] = chainOf(certificate);
  if (!own) return undefined;
  const [from, to] = [new Date(own.validFrom), new Date(own.validTo)];
  const names = (own.subjectAltName ?? "").split(", ").map((name) => name.replace(/^[^:]*:/, ""));
  const listed = names.filter(Boolean).join(", ");
  const days = Math.floor((to.getTime() - now.getTime()) / 86_400_000);
  const refusal =
    now > to
      ? `it expired on ${day(to)}, and clients refuse it; write a new one`
      : now < from
        ? `it is valid from ${day(from)} on, and clients refuse it until then`
        : undefined;
  return {
    description: `for ${listed || nameOf(own)}, valid until ${day(to)}`,
    ends: to,
    ...(refusal && { refusal }),
    warnings: [
      ...(listed
        ? []
        : [`it has no subject alternative name: most clients refuse it (${nameOf(own)})`]),
      ...(!refusal && days < soon ? [`it expires in ${days} days, on ${day(to)}`] : []),
    ],
  };
}
