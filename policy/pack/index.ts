import { PolicyPack, UnknownValueError } from "@pulumi/policy";
import { Config, getStack } from "@pulumi/pulumi";
import type { Allowances, Settings } from "../../configs/inventory";
import { openedSite } from "../../configs/sites";
import { rules } from "..";

const nameList = { type: "array", items: { type: "string" }, default: [] } as const;

const siteSettings = new Config("bess-telemetry").getObject<Settings>("site");

/** Whether volumes stay when the stack deletes them. Pulumi gives a policy no resource options. */
const retained = openedSite(getStack(), siteSettings).purge !== true;

/** Inputs in which unknown values are missing: Pulumi's own throw when a rule reads them. */
const withoutUnknowns = (props: Record<string, unknown>): Record<string, unknown> =>
  new Proxy(props, {
    get(target, key) {
      try {
        return Reflect.get(target, key);
      } catch (error) {
        if (error instanceof UnknownValueError) return undefined;
        throw error;
      }
    },
  });

// The rules as a pack, for `pulumi preview --policy-pack policy/pack`. It has a folder of its own:
// Pulumi runs the folder's index.ts, whatever PulumiPolicy.yaml names as main. Its configuration, a
// file named by --policy-pack-config, gives the allowances.
new PolicyPack("bess-telemetry", {
  enforcementLevel: "mandatory",
  policies: rules.map(({ name, description, check }) => ({
    name,
    description,
    configSchema: { properties: { offLoopback: nameList, deletedVolumes: nameList } },
    validateResource({ type, name: resource, props, getConfig }, report) {
      for (const message of check(
        { type, name: resource, inputs: withoutUnknowns(props), retained },
        getConfig<Allowances>(),
      ))
        report(message);
    },
  })),
});
