import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { credentials } from "@grpc/grpc-js";
import { AnalyzerClient } from "@pulumi/pulumi/proto/analyzer_grpc_pb";
import {
  type AnalyzeResponse,
  type AnalyzerInfo,
  AnalyzeRequest,
  AnalyzerResourceOptions,
} from "@pulumi/pulumi/proto/analyzer_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { rules } from "../../policy";

const folder = join(__dirname, "../../policy/pack");

let pack: ChildProcessByStdio<null, Readable, null>;
let client: AnalyzerClient;

// As Pulumi 3.253.0 starts a pack: sdk/go/common/resource/plugin/analyzer_plugin.go.
beforeAll(async () => {
  const runner = require.resolve("@pulumi/pulumi/cmd/run-policy-pack");
  pack = spawn(process.execPath, [runner, "127.0.0.1:1", "."], {
    cwd: folder,
    env: {
      ...process.env,
      PULUMI_NODEJS_PROJECT: "bess-telemetry",
      PULUMI_NODEJS_STACK: "dev",
      PULUMI_CONFIG: "{}",
    },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [port] = await Promise.race([
    once(pack.stdout, "data"),
    once(pack, "exit").then(([code]) => {
      throw new Error(`the pack ended with ${code} before it served`);
    }),
  ]);
  client = new AnalyzerClient(`127.0.0.1:${String(port).trim()}`, credentials.createInsecure());
  // On a quiet machine it takes 6 s; at a load of 19 on two cores 60 s were not enough.
}, 300_000);

afterAll(() => {
  client?.close();
  pack?.kill();
});

test("the pack gives Pulumi every rule", async () => {
  const info = await new Promise<AnalyzerInfo>((resolve, reject) =>
    client.getAnalyzerInfo(new Empty(), (error, response) =>
      error ? reject(error) : resolve(response),
    ),
  );
  const policies = info.getPoliciesList().map((policy) => policy.getName());
  expect(policies).toEqual(expect.arrayContaining(rules.map(({ name }) => name)));
});

test("the pack reports what a resource breaks", async () => {
  const request = new AnalyzeRequest()
    .setType("docker:index/remoteImage:RemoteImage")
    .setName("dev-grafana")
    .setUrn("urn:pulumi:dev::bess-telemetry::docker:index/remoteImage:RemoteImage::dev-grafana")
    .setOptions(new AnalyzerResourceOptions())
    .setProperties(Struct.fromJavaScript({ name: "grafana/grafana:latest" }));
  const response = await new Promise<AnalyzeResponse>((resolve, reject) =>
    client.analyze(request, (error, answer) => (error ? reject(error) : resolve(answer))),
  );
  expect(response.getDiagnosticsList().map((found) => found.getPolicyname())).toEqual([
    "image-pinned",
  ]);
});
