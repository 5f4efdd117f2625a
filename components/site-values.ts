import * as pulumi from "@pulumi/pulumi";
import { type Alerts, lateAlertKey } from "../configs/alerting";
import type { BackupConfig } from "../configs/backup-schema";
import { parseSite, rotatable, type SiteConfig } from "../configs/site";
import { placeholder } from "../configs/secret-placeholders";
import type { Uplink } from "../configs/uplink";
import { InputError } from "../configs/validation";
import type { RotateArgs, SiteArgs } from "./site-args";

/** Values of a site that may be known later than the rest. */
export interface LateValues {
  mqtt: Omit<SiteConfig["mqtt"], "tls" | "gateways" | "bridge"> & {
    bridge?: Record<string, { password?: pulumi.Input<string> | undefined }> | undefined;
    gateways?:
      | Record<
          string,
          { password?: pulumi.Input<string> | undefined; rotation?: string | undefined }
        >
      | undefined;
    tls?:
      | { port: number; certificate: pulumi.Input<string>; key: pulumi.Input<string> }
      | undefined;
  };
  backup?:
    | (Omit<BackupConfig, "password" | "login" | "ssh"> & {
        password?: pulumi.Input<string> | undefined;
        login?: { user: string; password: pulumi.Input<string> } | undefined;
        ssh?: { key: pulumi.Input<string>; knownHosts: string } | undefined;
      })
    | undefined;
  uplink?: (Omit<Uplink, "token"> & { token: pulumi.Input<string> }) | undefined;
  interfaceTls?: Record<"certificate" | "key", pulumi.Input<string>> | undefined;
  rotate: RotateArgs;
  alerts: LateAlerts;
}

/** Who is told, with all that may be secret. */
export interface LateAlerts {
  contacts: Record<string, pulumi.Output<Alerts["contacts"][string]>>;
  smtpPassword: pulumi.Output<string> | undefined;
  deadManUrl: pulumi.Output<string> | undefined;
}

/** One value that may be an Output: what is checked in its place, and where it stands. */
interface LateKey {
  standIn: string;
  read: (site: SiteConfig) => string | undefined;
}

const lateKeys: Partial<Record<string, LateKey>> = {
  "mqtt.tls.certificate": {
    standIn: placeholder("later", "CERTIFICATE"),
    read: (site) => site.mqtt.tls?.certificate,
  },
  "mqtt.tls.key": { standIn: placeholder("later"), read: (site) => site.mqtt.tls?.key },
  "interface.tls.certificate": {
    standIn: placeholder("later", "CERTIFICATE"),
    read: (site) => site.interface?.tls?.certificate,
  },
  "interface.tls.key": { standIn: placeholder("later"), read: (site) => site.interface?.tls?.key },
  "backup.password": { standIn: placeholder("later"), read: (site) => site.backup?.password },
  "backup.login.password": {
    standIn: placeholder("later"),
    read: (site) => site.backup?.login?.password,
  },
  "uplink.token": { standIn: placeholder("later"), read: (site) => site.uplink?.token },
  "backup.ssh.key": { standIn: placeholder("later"), read: (site) => site.backup?.ssh?.key },
  ...Object.fromEntries(
    rotatable.map((secret): [string, LateKey] => [
      `rotate.${secret}`,
      { standIn: "later", read: (site) => site.rotate[secret] },
    ]),
  ),
};

/** The late value of a key: one that every site has, or the password of a gateway or a bridge. */
function lateKeyOf(key: string): LateKey | undefined {
  if (lateAlertKey.test(key))
    return { standIn: placeholder("later"), read: (site) => valueAt(site, key) };
  const [, kind = "", name = ""] = /^mqtt\.(gateways|bridge)\.([^.]+)\.password$/.exec(key) ?? [];
  return kind === "gateways" || kind === "bridge"
    ? { standIn: placeholder("later"), read: ({ mqtt }) => mqtt[kind]?.[name]?.password }
    : lateKeys[key];
}

/**
 * Checks a site's configuration, and fills in its defaults. A value that is an `Input` is checked
 * once it is known.
 * @returns the configuration, with stand-ins for what is known later, and those values themselves.
 * @throws InputError with every finding: the key, its value and what is allowed.
 */
export function resolveSite(args: Omit<SiteArgs, "transform">): {
  config: SiteConfig;
  late: LateValues;
} {
  const { plain, outputs } = withoutOutputs(args);
  const config = parseSite(plain);
  const late = (key: string) => {
    const [output, lateKey] = [outputs.get(key), lateKeyOf(key)];
    // Whether a key fits its certificate is known once both are.
    const certificate = key.replace(/^(mqtt|interface)\.tls\.key$/, "$1.tls.certificate");
    const beside = certificate === key ? undefined : outputs.get(certificate);
    return (
      lateKey &&
      output &&
      pulumi.all([output, beside]).apply(([value, other]) => {
        const set = setIn(plain, key, value);
        const site = beside ? setIn(set, certificate, other) : set;
        return lateKey.read(parseSite(site));
      })
    );
  };
  const known = <T>(key: string, value: T) => (late(key) as pulumi.Output<T> | undefined) ?? value;
  const { mqtt, rotate } = config;
  const tls = mqtt.tls && {
    port: mqtt.tls.port,
    certificate: known("mqtt.tls.certificate", mqtt.tls.certificate),
    key: known("mqtt.tls.key", mqtt.tls.key),
  };
  const ownTls = config.interface?.tls;
  const interfaceTls = ownTls && {
    certificate: known("interface.tls.certificate", ownTls.certificate),
    key: known("interface.tls.key", ownTls.key),
  };
  const rotations = Object.entries(rotate).map(([secret, value]) => [
    secret,
    known(`rotate.${secret}`, value),
  ]);
  const gateways =
    mqtt.gateways &&
    Object.fromEntries(
      Object.entries(mqtt.gateways).map(([name, { password, rotation }]) => [
        name,
        { rotation, password: password && known(`mqtt.gateways.${name}.password`, password) },
      ]),
    );
  const bridge =
    mqtt.bridge &&
    Object.fromEntries(
      Object.entries(mqtt.bridge).map(([name, { password }]) => [
        name,
        { password: password && known(`mqtt.bridge.${name}.password`, password) },
      ]),
    );
  const backup = config.backup && {
    ...config.backup,
    password: config.backup.password && known("backup.password", config.backup.password),
    login: config.backup.login && {
      user: config.backup.login.user,
      password: known("backup.login.password", config.backup.login.password),
    },
    ssh: config.backup.ssh && {
      knownHosts: config.backup.ssh.knownHosts,
      key: known("backup.ssh.key", config.backup.ssh.key),
    },
  };
  const uplink = config.uplink && {
    ...config.uplink,
    token: known("uplink.token", config.uplink.token),
  };
  const { contacts, smtp, deadMan } = config.alerts;
  const lateText = (key: string, value: string | undefined) =>
    value === undefined ? undefined : pulumi.output(known(key, value));
  const lateContacts = Object.entries(contacts).map(([name, contact]) => {
    const keys = [...outputs.keys()].filter((key) => key.startsWith(`alerts.contacts.${name}.`));
    const inner = (key: string) => key.slice(`alerts.contacts.${name}.`.length);
    const whole = pulumi
      .all(keys.map((key) => late(key)))
      .apply((values) =>
        values.reduce<typeof contact>(
          (made, value, i) => setIn(made, inner(keys[i] ?? ""), value) as typeof contact,
          contact,
        ),
      );
    return [name, whole] as const;
  });
  const alerts: LateAlerts = {
    contacts: Object.fromEntries(lateContacts),
    smtpPassword: lateText("alerts.smtp.password", smtp?.password),
    deadManUrl: lateText("alerts.deadMan.url", deadMan?.url),
  };
  return {
    config,
    late: {
      alerts,
      mqtt: { ...mqtt, tls, gateways, bridge },
      backup,
      uplink,
      interfaceTls,
      rotate: Object.fromEntries(rotations),
    },
  };
}

/** A value with stand-ins for the Outputs in it, and those by their key. */
function withoutOutputs(args: object) {
  const outputs = new Map<string, pulumi.Output<unknown>>();
  const findings: string[] = [];
  const strip = (value: unknown, key: string): unknown => {
    if (pulumi.Output.isInstance(value) || value instanceof Promise) {
      outputs.set(key, pulumi.output(value));
      if (!lateKeyOf(key))
        findings.push(`${key} is an Output: it must be known before any resource is made`);
      return lateKeyOf(key)?.standIn;
    }
    if (Array.isArray(value)) return value.map((item, index) => strip(item, `${key}[${index}]`));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [name, strip(inner, join(key, name))]),
    );
  };
  const join = (key: string, name: string) => (key ? `${key}.${name}` : name);
  const plain = strip(args, "");
  if (findings.length > 0) {
    const keys = [
      ...Object.keys(lateKeys),
      "mqtt.gateways.<name>.password",
      "mqtt.bridge.<name>.password",
      "alerts.contacts.<name>.<way>.url, token, password and key",
      "alerts.smtp.password",
      "alerts.deadMan.url",
    ];
    const allowed = `an Output is allowed at ${keys.join(", ")}`;
    throw new InputError("the site", [...findings, allowed]);
  }
  return { plain, outputs };
}

/** A text of a nested object, by a key such as `mqtt.tls.key`. */
function valueAt(object: unknown, key: string): string | undefined {
  const found = key
    .split(".")
    .reduce<unknown>(
      (inner, part) => (inner as Record<string, unknown> | undefined)?.[part],
      object,
    );
  return typeof found === "string" ? found : undefined;
}

/** A copy of a nested object with another value at a key such as `mqtt.tls.key`. */
function setIn(object: unknown, key: string, value: unknown): unknown {
  const [first = "", ...rest] = key.split(".");
  const inner = (object as Record<string, unknown> | undefined)?.[first];
  return {
    ...(object as object | undefined),
    [first]: rest.length > 0 ? setIn(inner, rest.join("."), value) : value,
  };
}
