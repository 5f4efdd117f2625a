import * as pulumi from "@pulumi/pulumi";
import { Site, type SiteArgs } from "bess-telemetry";

const config = new pulumi.Config();

const args: SiteArgs = {
  name: "kiel-1",
  simulator: { enabled: true },
  mqtt: {
    tls: { certificate: config.require("certificate"), key: config.requireSecret("key") },
  },
  transform: {
    telegraf: {
      container: { cpus: "0.5" },
      files: { "/etc/telegraf/telegraf.conf": (text) => `${text}\n[[inputs.net]]\n` },
    },
  },
};

const site = new Site(pulumi.getStack(), args);

export const addresses = site.addresses;
export const revision = site.revision;
export const grafanaPassword = site.grafanaPassword;
