import { type Service, services } from "../configs/images";
import { type DeclaredSchema, declaredSchema } from "../configs/influxdb";
import type { Resource } from "./rules";

/** What is at a site, as far as a change of it can cost data. */
export interface Stored {
  /** The stack that its resources are named after. */
  stack?: string;
  /** The site that its volumes are named after. */
  site?: string;
  /** Address of the Docker engine that holds it. */
  engine?: string;
  /** Image of each service, where the engine pulls it. */
  images: Partial<Record<Service, string>>;
  /** Of each service with a data volume: whether that outlives the stack. */
  kept: Partial<Record<Service, boolean>>;
  /** Databases and tables; none where nothing is stored yet. */
  schema?: DeclaredSchema;
}

const volumeSuffix = "-influxdb-data";

/** What stands for the engine of a provider that names none. */
const localEngine = "the local engine";

/** The service whose resource has a name that ends so, such as `-data`. */
const serviceAt = (name: string, end = "") =>
  services.find((service) => name.endsWith(`-${service}${end}`));

/** Reads what is stored at a site from its resources: of a state, or as they are to be. */
export function storedBy(resources: Iterable<Resource>): Stored {
  const stored: Stored = { images: {}, kept: {} };
  for (const { type, name, inputs, retained } of resources) {
    const kind = type.slice(type.lastIndexOf(":") + 1);
    const service = serviceAt(name, kind === "Volume" ? "-data" : "");
    if (type === "pulumi:providers:docker")
      stored.engine = typeof inputs.host === "string" ? inputs.host : localEngine;
    if (kind === "RemoteImage" && service && typeof inputs.name === "string")
      stored.images[service] = inputs.name;
    if (kind === "Volume" && service && retained !== undefined) stored.kept[service] = retained;
    if (kind === "Volume" && service === "influxdb" && typeof inputs.name === "string") {
      stored.stack = name.slice(0, -volumeSuffix.length);
      stored.site = inputs.name.slice(0, -volumeSuffix.length);
    }
    if (kind === "Command" && name.endsWith("-influxdb-schema") && typeof inputs.stdin === "string")
      stored.schema = declaredSchema(inputs.stdin);
  }
  return stored;
}
