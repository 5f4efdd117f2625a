import * as pulumi from "@pulumi/pulumi";
import { Hub } from "bess-telemetry";

const hub = new Hub(pulumi.getStack(), {
  config: { entrance: { names: ["hub.example"] }, grafana: { port: 3001 } },
  sites: [{ name: "kiel-2", location: { latitude: 54.32, longitude: 10.13 } }],
});

export const addresses = hub.addresses;
export const siteTokens = hub.siteTokens;
export const certificate = hub.certificate;
