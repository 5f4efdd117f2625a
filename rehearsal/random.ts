import { randomBytes, randomInt } from "node:crypto";
import { packageVersion, type Provider, type ResourceType } from "./provider";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const randomPassword: ResourceType = {
  replaceOnChanges: "all",
  computed: ["bcryptHash", "result"],
  secrets: ["bcryptHash", "result"],
  create({ length, special = true, overrideSpecial = "!@#$%&*()-_=+[]{}<>:?" }) {
    const characters = special ? alphabet + overrideSpecial : alphabet;
    const result = Array.from(
      { length: length as number },
      () => characters[randomInt(characters.length)],
    ).join("");
    // Nothing reads the hash: random text in the shape of bcrypt is enough.
    return {
      id: "none",
      outputs: {
        result,
        bcryptHash: `$2a$10$${randomBytes(40).toString("base64url").slice(0, 53)}`,
      },
    };
  },
};

const randomByteString: ResourceType = {
  replaceOnChanges: "all",
  computed: ["base64", "hex"],
  secrets: ["base64", "hex"],
  create({ length }) {
    const bytes = randomBytes(length as number);
    const base64 = bytes.toString("base64");
    return { id: base64, outputs: { base64, hex: bytes.toString("hex") } };
  },
};

const randomId: ResourceType = {
  replaceOnChanges: "all",
  computed: ["b64Std", "b64Url", "dec", "hex"],
  create({ byteLength, prefix = "" }) {
    const bytes = randomBytes(byteLength as number);
    const [b64Url, hex] = [bytes.toString("base64url"), bytes.toString("hex")];
    return {
      id: b64Url,
      outputs: {
        b64Std: prefix + bytes.toString("base64"),
        b64Url: prefix + b64Url,
        dec: prefix + BigInt(`0x${hex}`).toString(),
        hex: prefix + hex,
      },
    };
  },
};

/** The provider of `@pulumi/random`. It needs no site, so its values are real random values. */
export const random: Provider = {
  package: "random",
  version: packageVersion("@pulumi/random"),
  types: {
    "random:index/randomPassword:RandomPassword": randomPassword,
    "random:index/randomBytes:RandomBytes": randomByteString,
    "random:index/randomId:RandomId": randomId,
  },
};
