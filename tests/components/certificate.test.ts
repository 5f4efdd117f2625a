import { execFileSync, spawnSync } from "node:child_process";
import { X509Certificate, createPrivateKey } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import { selfSigned } from "../../components/certificate";

/** The command lines that were run. */
const lines: string[] = [];

/** Runs commands as the provider does, which trims what they print. */
beforeAll(() =>
  pulumi.runtime.setMocks({
    call: ({ inputs }) => inputs,
    newResource: ({ name, type, inputs }) => ({
      id: name,
      state:
        type === "command:local:Command"
          ? {
              ...inputs,
              stdout: run(inputs.create),
            }
          : inputs,
    }),
  }),
);

function run(line: string): string {
  lines.push(line);
  return execFileSync("sh", ["-c", line], { encoding: "utf8", stdio: "pipe" }).trimEnd();
}

const valueOf = <T>(output: pulumi.Output<T>) =>
  new Promise<T>((resolve) => void output.apply((value) => resolve(value)));

test("a certificate that OpenSSL makes is whole, for its names, and fits its key, which is secret", async () => {
  const parent = new pulumi.ComponentResource("bess:index:Test", "test");
  const made = selfSigned("hub-certificate", ["hub.example", "10.0.0.1"], parent);
  const [certificate, key] = await Promise.all([valueOf(made.certificate), valueOf(made.key)]);
  const read = new X509Certificate(certificate);
  expect(read.checkHost("hub.example")).toBe("hub.example");
  expect(read.checkIP("10.0.0.1")).toBe("10.0.0.1");
  expect(read.checkPrivateKey(createPrivateKey(key))).toBe(true);
  expect([certificate, key].map((pem) => pem.endsWith("-----\n"))).toEqual([true, true]);
  expect(await pulumi.isSecret(made.key)).toBe(true);
  expect(await pulumi.isSecret(made.certificate)).toBe(false);
});

test("without OpenSSL the command fails, and no empty certificate is kept", async () => {
  const parent = new pulumi.ComponentResource("bess:index:Test", "test");
  await valueOf(selfSigned("hub-certificate", ["hub.example"], parent).certificate);
  const { status } = spawnSync("/bin/sh", ["-c", lines.at(-1) ?? ""], { env: { PATH: "/none" } });
  expect(status).toBe(127);
});
