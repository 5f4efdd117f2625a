import { createHash } from "node:crypto";
import type { Values } from "./plan";

export const digest = (text: string) =>
  createHash("sha256").update(text).digest("hex").slice(0, 16);

/**
 * What a provider would answer to a site that is only rendered: the same for the same inputs, so
 * that only a change makes a change.
 */
export const answers: Partial<Record<string, (name: string, inputs: Values) => Values>> = {
  "random:index/randomPassword:RandomPassword": (name, inputs) => ({
    result: digest(name + JSON.stringify(inputs)),
  }),
  "random:index/randomBytes:RandomBytes": (name, inputs) => ({
    base64: digest(name + JSON.stringify(inputs)),
  }),
  "random:index/randomId:RandomId": (name, inputs) => ({
    hex: digest(name + JSON.stringify(inputs)).slice(0, 8),
  }),
  "command:local:Command": (_, { triggers }) => ({
    stdout: digest(JSON.stringify(triggers ?? "")),
  }),
  "docker:index/remoteImage:RemoteImage": (_, { name }) => ({ imageId: name }),
};
