import { createHash } from "node:crypto";
import { packageVersion, type Provider, type ProviderContext, type ResourceType } from "./provider";
import type { PropertyMap } from "./wire";

/** Grafana's API at the simulated site. @throws Error where Grafana does not exist or answer. */
function api({ config, engine: engineAt }: ProviderContext) {
  const { host, port } = new URL(config.url as string);
  const engine = engineAt();
  const container = engine.findContainer({ alias: "grafana", port });
  if (!container?.healthy) {
    const why = container ? `${engine.nameOf(container)} is not healthy` : "no container listens";
    throw new Error(`Get "${config.url}/api": dial tcp ${host}: connection refused (${why})`);
  }
  return { engine, objects: engine.objectsOf(container) };
}

const shortHash = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 14);

/** The provider's ids are `organisation:uid`. */
const uidOf = (id: string) => id.slice(id.indexOf(":") + 1);

/**
 * A kind of object in Grafana's API.
 * @param givenUid the uid that the inputs give. Default: Grafana makes one.
 */
function apiObject(
  type: Pick<ResourceType, "replaceOnChanges" | "computed" | "secrets" | "json">,
  givenUid: (inputs: PropertyMap) => string | undefined,
  outputsOf: (uid: string) => PropertyMap = () => ({}),
  kind = type.computed.join(),
): ResourceType {
  const key = (uid: string) => `${kind} ${uid}`;
  const write = (uid: string, context: ProviderContext) => {
    const { engine, objects } = api(context);
    engine.save(() => (objects[key(uid)] = "there"));
    return outputsOf(uid);
  };
  return {
    ...type,
    create(inputs, context, name) {
      const uid = givenUid(inputs) ?? shortHash(name);
      return { id: `1:${uid}`, outputs: write(uid, context) };
    },
    update: (id, _, context) => write(uidOf(id), context),
    exists: (id, _, context) => key(uidOf(id)) in api(context).objects,
    remove(id, _, context) {
      const { engine, objects } = api(context);
      engine.save(() => delete objects[key(uidOf(id))]);
    },
  };
}

/** An object of alerting, which is known by its name, if it has one. */
const alertObject = (kind: string, replaceOnChanges: string[]) =>
  apiObject(
    { replaceOnChanges, computed: [] },
    ({ name }) => (name as string | undefined) ?? kind,
    undefined,
    kind,
  );

/** The provider of `@pulumiverse/grafana`: its objects are in the volume of the site's Grafana. */
export const grafana: Provider = {
  package: "grafana",
  version: packageVersion("@pulumiverse/grafana"),
  types: {
    "grafana:oss/folder:Folder": apiObject(
      { replaceOnChanges: ["orgId", "uid"], computed: ["orgId", "uid", "url"] },
      ({ uid }) => uid as string | undefined,
      (uid) => ({ orgId: "0", uid, url: `/dashboards/f/${uid}` }),
    ),
    "grafana:oss/dataSource:DataSource": apiObject(
      {
        replaceOnChanges: ["orgId", "uid"],
        computed: ["orgId", "uid"],
        secrets: ["httpHeaders", "secureJsonDataEncoded"],
        json: ["jsonDataEncoded", "secureJsonDataEncoded"],
      },
      ({ uid }) => uid as string | undefined,
      (uid) => ({ orgId: "1", uid }),
    ),
    "grafana:oss/dashboard:Dashboard": apiObject(
      {
        replaceOnChanges: ["orgId"],
        computed: ["dashboardId", "orgId", "uid", "url", "version"],
        json: ["configJson"],
      },
      ({ configJson }) => JSON.parse(configJson as string).uid,
      (uid) => ({ dashboardId: 1, orgId: "1", uid, url: `/d/${uid}`, version: 1 }),
    ),
    "grafana:oss/user:User": apiObject(
      { replaceOnChanges: [], computed: ["userId"], secrets: ["password"] },
      ({ login }) => login as string | undefined,
      () => ({ userId: 2 }),
    ),
    "grafana:alerting/ruleGroup:RuleGroup": alertObject("rules", ["folderUid", "name", "orgId"]),
    "grafana:alerting/contactPoint:ContactPoint": alertObject("contact", ["orgId"]),
    "grafana:alerting/muteTiming:MuteTiming": alertObject("time", ["name", "orgId"]),
    "grafana:alerting/messageTemplate:MessageTemplate": alertObject("template", ["name", "orgId"]),
    "grafana:alerting/notificationPolicy:NotificationPolicy": alertObject("policy", ["orgId"]),
  },
};
