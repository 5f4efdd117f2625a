import { loadModel } from "../../configs/model";
import { storageBudget, totalBytes } from "../../configs/storage";
import { sizeBytes } from "../../configs/units";
import { refusalOf } from "../support/refusal";

const model = loadModel("configs/telemetry.yaml");
const budgetOf = (max?: string, retention = "90d") =>
  storageBudget(model, { profile: "pi", retention, storage: { max } });

test.each([
  ["40GB", 40e9],
  ["1.5TB", 1.5e12],
  ["512 MiB", 2 ** 29],
])("%s are %d bytes", (text, bytes) => {
  expect(sizeBytes(text)).toBe(bytes);
});

test.each(["40", "40gb", "0GB", "-1GB", "1e3GB", "GB", "40GB "])("%j is no size", (text) => {
  expect(() => sizeBytes(text)).toThrow(
    `"${text}" is no size: write a number and MB, GB, TB, MiB, GiB or TiB, such as 40GB`,
  );
});

describe("the budget", () => {
  test("is what the model is expected to need", () => {
    const { expected, budget } = budgetOf();
    expect(budget).toBe(totalBytes(expected));
  });

  test("is storage.max, if the site has one", () => {
    expect(budgetOf("40GB").budget).toBe(40e9);
  });

  test("is refused with the figures, if the model is expected to need more", () => {
    expect(refusalOf(() => budgetOf("4GB")).problems).toEqual([
      'storage.max is "4GB": 90d of the model bess-fleet at 10 messages/s need 6.7 GB, of which ' +
        "0.5 GB are the broker's queue; raise storage.max, or shorten retention",
    ]);
    expect(budgetOf("6GB", "60d").budget).toBe(6e9);
  });
});
