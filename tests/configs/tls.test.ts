import { connect } from "node:tls";
import { loadModel } from "../../configs/model";
import { placeholder } from "../../configs/secret-placeholders";
import { certificateReport, pairFindings } from "../../configs/tls";
import { Broker } from "../support/broker";
import { keyPair, locked, type Pair } from "../support/key-pairs";
import { until } from "../support/programs";

const issuer = keyPair({ subject: "an issuer" });
const good = keyPair({ issuer });
const other = keyPair();
const pem = (kind: string) => `-----BEGIN ${kind}-----\nAAAA\n-----END ${kind}-----\n`;
const certificateOf = (...parts: string[]): Pair => ({ ...good, certificate: parts.join("") });

const served: [what: string, pair: Pair][] = [
  ["a certificate alone", good],
  ["a certificate with its issuer", certificateOf(good.certificate, issuer.certificate)],
  ["one that it has issued itself", other],
  ["RSA of 2048 bits", keyPair({ key: ["rsa:2048"] })],
  ["Ed25519", keyPair({ key: ["ed25519"] })],
  ["a certificate that expired", keyPair({ valid: ["20200101", "20210101"] })],
];
const refused: [what: string, pair: Pair, key: string, message: RegExp][] = [
  ["a broken certificate", certificateOf(pem("CERTIFICATE")), "certificate", /cannot be read/],
  [
    "a broken one in the chain",
    certificateOf(good.certificate, pem("CERTIFICATE")),
    "certificate",
    /^the certificate number 2 cannot be read/,
  ],
  ["a broken key", { ...good, key: pem("PRIVATE KEY") }, "key", /^it cannot be read/],
  ["another's key", { ...good, key: other.key }, "key", /^it is not the key of mqtt\.tls\.cert/],
  [
    "a chain upside down",
    certificateOf(issuer.certificate, good.certificate),
    "certificate",
    /^mqtt\.tls\.key is the key of number 2; write that certificate first$/,
  ],
  ["RSA of 1024 bits", keyPair({ key: ["rsa:1024"] }), "certificate", /ee key too small; make/],
  ["a signature by SHA-1", keyPair({ issuer, digest: "sha1" }), "certificate", /ca md too weak/],
];

describe("on the real broker", () => {
  const model = loadModel("configs/telemetry.yaml");
  /** Whether a client can talk TLS at a port, whatever it thinks of the certificate. */
  const talks = (port: number) =>
    new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
      socket.once("secureConnect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("close", () => resolve(false));
    });

  /** Whether it serves TLS; it opens its listeners before it reads a certificate. */
  async function serves(tls: Pair): Promise<boolean> {
    const broker = await Broker.start(model, { tls }).catch((error: Error) => {
      if (!error.message.includes("the broker has ended")) throw error;
    });
    if (!broker) return false;
    const hasFailed = () => broker.output.includes("Error: ");
    const isSettled = async () => hasFailed() || talks(broker.ports.tls);
    await until("it serves TLS, or ends", isSettled).finally(() => broker.stop());
    return !hasFailed();
  }

  test.each(served)("it serves %s", async (_, pair) => {
    expect(pairFindings(pair)).toEqual([]);
    expect(await serves(pair)).toBe(true);
  });
  test.each(refused)(
    "it ends for %s, and so it is refused before",
    async (_, pair, key, message) => {
      expect(pairFindings(pair)).toEqual([{ key, message: expect.stringMatching(message) }]);
      expect(await serves(pair)).toBe(false);
    },
  );
});

test("a key that is locked by a passphrase is refused", () =>
  expect(pairFindings({ ...good, key: locked(good) })).toEqual([
    { key: "key", message: expect.stringContaining("write it without one: openssl pkey -in FILE") },
  ]));
test("a certificate that did not issue the one before it is refused", () =>
  expect(pairFindings(certificateOf(good.certificate, other.certificate))).toEqual([
    {
      key: "certificate",
      message: expect.stringMatching(/^certificate number 2 .* has not issued/),
    },
  ]));
test("what is encrypted is taken for right, and the other one is checked", () => {
  const hidden = { certificate: placeholder("a", "CERTIFICATE"), key: placeholder("b") };
  expect(pairFindings(hidden)).toEqual([]);
  expect(pairFindings({ ...hidden, key: pem("PRIVATE KEY") })).toHaveLength(1);
  expect(pairFindings({ ...hidden, certificate: pem("CERTIFICATE") })).toHaveLength(1);
});

describe("a certificate's names and time are told", () => {
  const report = (names: string, now: string) =>
    certificateReport(
      keyPair({ names, valid: ["20260101", "20270101"] }).certificate,
      new Date(now),
    );
  test("while it is valid", () =>
    expect(report("DNS:kiel-1.example,IP:10.0.0.5", "2026-06-01")).toEqual({
      description: "for kiel-1.example, 10.0.0.5, valid until 2027-01-01",
      ends: new Date("2027-01-01T12:00:00Z"),
      warnings: [],
    }));
  test("with a warning in its last month", () =>
    expect(report("DNS:kiel-1.example", "2026-12-20")?.warnings).toEqual([
      "it expires in 12 days, on 2027-01-01",
    ]));
  test("with a warning where it names no host", () =>
    expect(report("", "2026-06-01")?.warnings).toEqual([
      "it has no subject alternative name: most clients refuse it (CN=kiel-1)",
    ]));
  test.each([
    ["after its time", "2027-02-01", /^it expired on 2027-01-01/],
    ["before it", "2025-06-01", /^it is valid from 2026-01-01 on/],
  ])("as a refusal %s", (_, now, refusal) =>
    expect(report("DNS:kiel-1.example", now)?.refusal).toMatch(refusal),
  );
});
