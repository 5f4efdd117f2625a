import type { SitePlan } from "../../automation";
import { planViolations } from "../../fleet/violations";

const deletion: SitePlan = {
  site: "kiel",
  steps: [
    {
      op: "delete",
      urn: "urn:pulumi:s::p::docker:index/volume:Volume::v",
      type: "docker:index/volume:Volume",
      name: "v",
      changed: [],
      old: { name: "v" },
      retained: false,
    },
  ],
};

test("a plan that deletes a volume with its data breaks the policy, unless it is allowed", () => {
  expect(planViolations(deletion)).toEqual([
    expect.objectContaining({
      rule: "volumes-kept",
      message: expect.stringContaining("would be deleted with its data"),
    }),
  ]);
  expect(planViolations(deletion, { deletedVolumes: ["v"] })).toEqual([]);
});
