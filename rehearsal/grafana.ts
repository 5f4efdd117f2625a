import { createHash } from "node:crypto";
import { versionOf } from "./packages";
import type { Context, Provider, ResourceType } from "./provider";
import type { Values } from "./wire";

/** The objects that Grafana keeps; it must be there and answer. */
function api({ config, engine }: Context) {
  const { host, port } = new URL(config.url as string);
  const container = engine().find({ alias: "grafana", port });
  if (!container?.healthy)
    throw new Error(`Get "${config.url}/api": dial tcp ${host}: connect: connection refused`);
  return { site: engine(), objects: engine().objects(container) };
}

const fingerprint = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 14);

/** An object of Grafana's API, found by its uid. */
function object(
  type: Pick<ResourceType, "replaces" | "computed" | "secrets" | "json">,
  uidOf: (inputs: Values) => string | undefined,
  outputsOf: (uid: string, inputs: Values) => Values,
): ResourceType {
  const key = (id: string) => `${type.computed.join()} ${id.slice(id.indexOf(":") + 1)}`;
  const write = (uid: string, inputs: Values, context: Context) => {
    const { site, objects } = api(context);
    site.keep(() => (objects[key(uid)] = "there"));
    return outputsOf(uid, inputs);
  };
  return {
    ...type,
    create(inputs, context, name) {
      const uid = uidOf(inputs) ?? fingerprint(name);
      return { id: `1:${uid}`, outputs: write(uid, inputs, context) };
    },
    update: (id, inputs, context) => write(id.slice(id.indexOf(":") + 1), inputs, context),
    present: (id, _, context) => key(id) in api(context).objects,
    remove(id, _, context) {
      const { site, objects } = api(context);
      site.keep(() => delete objects[key(id)]);
    },
  };
}

/** Grafana's folders, data sources and dashboards, kept by the simulated site's Grafana. */
export const grafana: Provider = {
  package: "grafana",
  version: versionOf("@pulumiverse/grafana"),
  types: {
    "grafana:oss/folder:Folder": object(
      { replaces: ["orgId", "uid"], computed: ["orgId", "uid", "url"] },
      ({ uid }) => uid as string | undefined,
      (uid) => ({ orgId: "0", uid, url: `/dashboards/f/${uid}` }),
    ),
    "grafana:oss/dataSource:DataSource": object(
      {
        replaces: ["orgId", "uid"],
        computed: ["orgId", "uid"],
        secrets: ["httpHeaders", "secureJsonDataEncoded"],
        json: ["jsonDataEncoded", "secureJsonDataEncoded"],
      },
      ({ uid }) => uid as string | undefined,
      (uid) => ({ orgId: "1", uid }),
    ),
    "grafana:oss/dashboard:Dashboard": object(
      {
        replaces: ["orgId"],
        computed: ["dashboardId", "orgId", "uid", "url", "version"],
        json: ["configJson"],
      },
      ({ configJson }) => JSON.parse(configJson as string).uid,
      (uid) => ({ dashboardId: 1, orgId: "1", uid, url: `/d/${uid}`, version: 1 }),
    ),
  },
};
