/**
 * The package `bess-telemetry`, as another Pulumi program imports it. Its types name none of zod's,
 * whose own need compiler options that a program may not have.
 */
export { Hub } from "./hub";
export type { HubArgs, HubSettings, HubSiteArgs } from "./hub-args";
export { Site } from "./site";
export type {
  AlertArgs,
  ContactArgs,
  DeadManArgs,
  BackupArgs,
  BackupKeepArgs,
  BackupLoginArgs,
  BackupSshArgs,
  ExplorerPortArgs,
  GrafanaAccessArgs,
  HostPreparationArgs,
  ImageArgs,
  InfluxDbPortArgs,
  StorageArgs,
  MqttArgs,
  MqttTlsArgs,
  RetentionArgs,
  RotateArgs,
  SimulationArgs,
  SiteArgs,
  SmtpArgs,
  SshArgs,
  UdevRuleArgs,
  WebSocketArgs,
} from "./site-args";
export type {
  ContainerTransform,
  FileTransform,
  ServiceTransform,
  SiteTransform,
  TransformableContainer,
  TransformableFile,
} from "./transform";
export type { Service } from "../configs/images";
