import * as pulumi from "@pulumi/pulumi";
import { outputsOfStack } from "./components/stack";
import { transformOf } from "./transform";

/** The program of every stack: a site's, or the hub's. @returns the stack's outputs. */
export = async () => outputsOfStack(new pulumi.Config(), transformOf);
