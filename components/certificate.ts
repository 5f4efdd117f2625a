import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { isIP } from "node:net";
import { quoted } from "../configs/ssh";

/** A certificate, and its key. */
export interface MadeCertificate {
  certificate: pulumi.Output<string>;
  /** Secret. */
  key: pulumi.Output<string>;
}

/** Days that a certificate lasts which is made here: clients are given it, and nobody renews it. */
const days = 3650;

/**
 * A certificate that signs itself, made once by OpenSSL where Pulumi runs, and kept in the stack's state.
 * @param names by which the server is known; others make another certificate.
 */
export function selfSigned(
  name: string,
  names: readonly string[],
  parent: pulumi.Resource,
): MadeCertificate {
  const alternatives = names.map((it) => `${isIP(it) ? "IP" : "DNS"}:${it}`).join(",");
  const line =
    // A pipe can be opened by its name, which not each stdout can; its exit code is OpenSSL's.
    "made=$(openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 " +
    `-days ${days} -subj ${quoted(`/CN=${names[0]}`)} ` +
    `-addext ${quoted(`subjectAltName=${alternatives}`)} ` +
    "-keyout /dev/stdout -out /dev/stdout) && printf '%s\\n' \"$made\"";
  const made = new command.local.Command(
    name,
    {
      create: line,
      triggers: [alternatives],
      logging: "none",
    },
    { parent, additionalSecretOutputs: ["stdout"], ignoreChanges: ["create"] },
  );
  // The provider takes away what is white at the end of stdout.
  const block = (kind: string) =>
    made.stdout.apply((text) => {
      const [found] =
        new RegExp(`-----BEGIN ${kind}-----[^]+?-----END ${kind}-----`).exec(text) ?? [];
      // A rehearsed command prints nothing.
      if (found === undefined && !text) return "";
      if (found === undefined) throw new Error(`openssl made no ${kind.toLowerCase()} for ${name}`);
      return `${found}\n`;
    });
  return {
    certificate: pulumi.unsecret(block("CERTIFICATE")),
    key: pulumi.secret(block("PRIVATE KEY")),
  };
}
