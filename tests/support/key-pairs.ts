import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./programs";

/** A certificate and its key, in PEM form. */
export interface Pair {
  certificate: string;
  key: string;
}

/** What a certificate is made of. */
export interface Wanted {
  /** Default: `kiel-1`. */
  subject?: string;
  /** Subject alternative names. Default: `DNS:kiel-1.example`; an empty text for none. */
  names?: string;
  /** OpenSSL's arguments for the key. Default: EC P-256. */
  key?: string[];
  /** Digest that it is signed with. Default: OpenSSL's. */
  digest?: string;
  /** First and last day, such as `20200101`. Default: valid now. */
  valid?: [from: string, to: string];
  /** Who issues it. Default: itself. */
  issuer?: Pair;
}

/** Makes a certificate by OpenSSL. */
export function keyPair({
  subject = "kiel-1",
  names = "DNS:kiel-1.example",
  key = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
  digest,
  valid = ["20200101", "20991231"],
  issuer,
}: Wanted = {}): Pair {
  const folder = temporaryFolder();
  const at = (file: string) => join(folder.path, file);
  const openssl = (...args: string[]) =>
    execFileSync("openssl", args, { cwd: folder.path, stdio: "pipe" });
  const [from, to] = valid.map((day) => `${day}120000Z`);
  const signed = digest ? [`-${digest}`] : [];
  // `openssl req -x509` takes no past: only `openssl ca` sets both ends.
  writeFileSync(
    at("ca.cnf"),
    `[ca]\ndefault_ca=own\n[own]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\n` +
      `default_md=${digest ?? "sha256"}\npolicy=any\nunique_subject=no\nx509_extensions=names\n` +
      `[any]\ncommonName=supplied\n[req]\ndistinguished_name=dn\n[dn]\n` +
      `[names]\n${names ? `subjectAltName=${names}\n` : "subjectKeyIdentifier=hash\n"}`,
  );
  writeFileSync(at("index"), "");
  try {
    const request = ["-subj", `/CN=${subject}`, "-keyout", "key", "-out", "request"];
    openssl("req", "-config", "ca.cnf", "-newkey", ...key, "-nodes", ...signed, ...request);
    if (issuer) {
      writeFileSync(at("issuer.crt"), issuer.certificate);
      writeFileSync(at("issuer.key"), issuer.key);
    }
    const by = issuer
      ? ["-cert", "issuer.crt", "-keyfile", "issuer.key"]
      : ["-selfsign", "-keyfile", "key"];
    const ends = ["-startdate", from ?? "", "-enddate", to ?? ""];
    const files = ["-in", "request", "-out", "certificate"];
    openssl("ca", "-batch", "-notext", "-config", "ca.cnf", ...files, ...ends, ...by);
    return {
      certificate: readFileSync(at("certificate"), "utf8"),
      key: readFileSync(at("key"), "utf8"),
    };
  } finally {
    folder.remove();
  }
}

/** A key locked by a passphrase. */
export function locked({ key }: Pair): string {
  const args = ["pkey", "-aes256", "-passout", "pass:x"];
  return execFileSync("openssl", args, { input: key, encoding: "utf8", stdio: "pipe" });
}
