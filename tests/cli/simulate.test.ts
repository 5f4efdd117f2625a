import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter } from "node:path";
import { stringify } from "yaml";
import { orderLine, orderSchema } from "../../configs/simulator";
import { Checkout } from "../support/checkout";
import { standInForDocker } from "../support/docker";

const checkout = new Checkout();
const path = process.env.PATH;
const stack = (name: string, simulator: object) =>
  writeFileSync(
    checkout.at(`Pulumi.${name}.yaml`),
    stringify({
      config: {
        "bess-telemetry:site": { name: `${name}-1`, model: "configs/models/m5bat.yaml", simulator },
      },
    }),
  );
beforeAll(() => {
  mkdirSync(checkout.at("bin"));
  process.env.PATH = [checkout.at("bin"), path].join(delimiter);
  stack("near", { enabled: true, units: 2 });
  stack("real", {});
});
afterAll(() => {
  process.env.PATH = path;
  checkout.remove();
});

/** Answers every order; what is ordered is kept. */
const listen = () =>
  standInForDocker(checkout.at("bin"), {
    "exec -i near-1-simulator sh -c": `cat > ${checkout.at("order")}`,
  });
const simulate = (line: string) => checkout.bess("simulate", "--stack", ...line.split(" "));
const ordered = () => orderSchema.parse(JSON.parse(readFileSync(checkout.at("order"), "utf8")));

test("a running simulator is told the fault, the unit and the end", async () => {
  listen();
  const before = Date.now();
  const { code, stdout } = await simulate("near --scenario set-point-ignored --unit 2 --for 10m");
  expect(stdout).toMatch(
    /^near-1: unit 2 has the fault set-point-ignored until \d{4}-\d\d-\d\dT[\d:]{8}Z\.\n$/,
  );
  expect(code).toBe(0);
  const { until, ...order } = ordered();
  expect(order).toEqual({ scenario: "set-point-ignored", unit: 2 });
  expect(Number(until)).toBeGreaterThanOrEqual(before + 600_000);
  expect(Number(until)).toBeLessThan(Date.now() + 600_000);
  expect(readFileSync(checkout.at("bin/asked"), "utf8")).toContain(orderLine);
});

test("and that nothing is wrong any more", async () => {
  listen();
  const { stdout } = await simulate("near --scenario normal");
  expect(stdout).toBe("near-1: no unit has a fault.\n");
  expect(ordered()).toEqual({ scenario: "normal", unit: 1, until: null });
});

test.each([
  [
    "a fault that the model cannot show",
    "near --scenario cell-drifts",
    '--scenario is "cell-drifts": it needs a voltage of a cell, which the model m5bat has not; it shows pack-silent, ',
  ],
  [
    "a unit too many",
    "near --scenario soc-jump --unit 3",
    "--unit is 3: the site simulates units 1 to 2",
  ],
  [
    "a site of a real battery",
    "real --scenario soc-jump",
    "real-1 has no simulator: set simulator.enabled: true and run up",
  ],
  [
    "a time that is none",
    "near --scenario soc-jump --for soon",
    "Write a duration from 1s to 366d, such as 10m.",
  ],
  [
    "a simulator that does not run",
    "near --scenario soc-jump",
    "The simulator of near-1 is not told: No such container: near-1-simulator",
  ],
])("%s is told", async (_, line, said) => {
  standInForDocker(checkout.at("bin"), {
    exec: "echo 'No such container: near-1-simulator' >&2; exit 1",
  });
  const { code, stderr } = await simulate(line);
  expect(stderr).toContain(said);
  expect(code).toBe(1);
});
