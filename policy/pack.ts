import { PolicyPack, UnknownValueError } from "@pulumi/policy";
import { Config, getStack } from "@pulumi/pulumi";
import type { Allowances, Settings } from "../configs/inventory";
import { openedSite } from "../configs/sites";
import { rules } from "./rules";

const names = { type: "array", items: { type: "string" }, default: [] } as const;

/** Pulumi tells a policy neither what is deleted nor what is retained; the stack's site does. */
const own = new Config("bess-telemetry").getObject<Settings>("site");
const retained = openedSite(getStack(), own).purge !== true;

/** Inputs in which what a preview cannot know yet reads as missing: Pulumi's own throw then, which would end the rule. */
const known = (props: Record<string, unknown>): Record<string, unknown> =>
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

/** Each rule as a policy of the pack, for `pulumi preview --policy-pack policy`; allowances are given by --policy-pack-config. */
new PolicyPack("bess-telemetry", {
  enforcementLevel: "mandatory",
  policies: rules.map(({ name, description, check }) => ({
    name,
    description,
    configSchema: { properties: { offLoopback: names, deletedVolumes: names } },
    validateResource({ type, name: resource, props, getConfig }, report) {
      for (const message of check(
        { type, name: resource, inputs: known(props), retained },
        getConfig<Allowances>(),
      ))
        report(message);
    },
  })),
});
