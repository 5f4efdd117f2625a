import * as pulumi from "@pulumi/pulumi";
import { Site } from "./components/site";

const site = new Site(pulumi.getStack(), new pulumi.Config().requireObject("site"));

export const { addresses, revision, gatewayPassword, grafanaPassword } = site;
