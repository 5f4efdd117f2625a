import type * as pulumi from "@pulumi/pulumi";
import type { HubService } from "../configs/images";
import type { AlertArgs, GrafanaAccessArgs, ImageArgs, SshArgs } from "./site-args";

/** What a program decides about a hub. */
export interface HubArgs {
  /** Keys of docs/hub-configuration.md, all known before any resource is made; they are checked first. */
  config: HubSettings;
  /** The sites that may send. */
  sites: readonly HubSiteArgs[];
}

/** A site that sends to a hub. */
export interface HubSiteArgs {
  name: string;
  /** Path of its telemetry model, as the site has it, or the model. Default: the default one. */
  model?: string | object | undefined;
  /** Where it stands on the map. Default: it is not there. */
  location?: { latitude: number; longitude: number } | undefined;
}

/** The keys of a hub; docs/hub-configuration.md tells of each. */
export interface HubSettings {
  name?: string | undefined;
  engine?: string | undefined;
  ssh?: SshArgs | undefined;
  purge?: boolean | undefined;
  entrance?:
    | {
        address?: string | undefined;
        port?: number | undefined;
        names?: string[] | undefined;
        certificate?: string | undefined;
        key?: string | undefined;
      }
    | undefined;
  retention?: string | undefined;
  memory?: number | undefined;
  storage?: { nodes: string[]; replication?: number | undefined } | undefined;
  external?: { write: string; query: string } | undefined;
  revoked?: string[] | undefined;
  grafana?: GrafanaAccessArgs | undefined;
  timeZone?: string | undefined;
  alerts?: pulumi.Unwrap<AlertArgs> | undefined;
  backup?:
    | {
        to: string;
        every?: string | undefined;
        endpoint?: string | undefined;
        login?: { user: string; password: string } | undefined;
      }
    | undefined;
  images?:
    | (Partial<Record<HubService, string | undefined>> &
        Pick<ImageArgs, "mirror" | "pull" | "verify">)
    | undefined;
  rotate?: Record<string, string> | undefined;
}
