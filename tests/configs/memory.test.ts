import { checkMemory } from "../../configs/memory";
import { loadModel } from "../../configs/model";
import { profiles } from "../../configs/profiles";

const models = ["configs/telemetry.yaml", "configs/models/m5bat.yaml"].map((file) =>
  loadModel(file),
);
const model = loadModel("configs/telemetry.yaml");

describe("InfluxDB's memory", () => {
  test.each(Object.keys(profiles) as (keyof typeof profiles)[])(
    "holds the retention of the profile %s, of each model",
    (profile) => {
      for (const each of models) expect(() => checkMemory(each, { profile })).not.toThrow();
    },
  );

  test("of a Raspberry Pi does not hold ten years, which is refused with the figures", () => {
    expect(() => checkMemory(model, { profile: "pi", retention: "3650d" })).toThrow(
      /retention is "3650d": InfluxDB needs \d+ MiB .* and the profile pi has \d+ MiB for it; keep \d+d at most/,
    );
  });

  test("holds what the refusal says", () => {
    let message = "";
    try {
      checkMemory(model, { profile: "pi", retention: "3650d" });
    } catch (error) {
      message = String(error);
    }
    const days = Number(/keep (\d+)d/.exec(message)?.[1]);
    expect(() => checkMemory(model, { profile: "pi", retention: `${days}d` })).not.toThrow();
    expect(() => checkMemory(model, { profile: "pi", retention: `${days + 1}d` })).toThrow();
  });
});
