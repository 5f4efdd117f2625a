import * as pulumi from "@pulumi/pulumi";
import program = require("../..");
import { transformOf } from "../../transform";

const limited = { telegraf: { container: { cpus: "0.5" } } };

jest.mock("../../transform", () => ({
  transformOf: jest.fn((site: string) => (site === "dev" ? limited : {})),
}));

test("the program of a stack transforms its site as transform.ts says", async () => {
  const cpus: Record<string, unknown> = {};
  pulumi.runtime.setMocks(
    {
      call: ({ inputs }) => inputs,
      newResource: ({ type, name, inputs }) => {
        if (type.endsWith(":Container")) cpus[name] = inputs.cpus;
        const outputs = { result: "x", base64: "AAAA", hex: "ab12", stdout: "x", imageId: "x" };
        return { id: name, state: { ...outputs, ...inputs } };
      },
    },
    "bess-telemetry",
    "dev",
  );
  pulumi.runtime.setAllConfig({
    "bess-telemetry:site": JSON.stringify({ name: "dev", explorer: { enabled: false } }),
  });
  await program();
  await pulumi.runtime.disconnect();
  expect(transformOf).toHaveBeenCalledWith("dev");
  expect(cpus).toMatchObject({ "dev-telegraf": "0.5", "dev-grafana": undefined });
});

test("transform.ts changes nothing until somebody edits it", () => {
  const { transformOf: shipped } =
    jest.requireActual<typeof import("../../transform")>("../../transform");
  expect(shipped("dev")).toEqual({});
});
