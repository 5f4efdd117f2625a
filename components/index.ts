/** The package `bess-telemetry`, as another Pulumi program imports it. */
export { Site } from "./site";
export type {
  ExplorerPortArgs,
  GrafanaAccessArgs,
  HostPreparationArgs,
  ImageArgs,
  InfluxDbPortArgs,
  MqttArgs,
  MqttTlsArgs,
  SimulationArgs,
  SiteArgs,
  SiteInput,
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
export type { Rotatable } from "../configs/site";
export { InputError } from "../configs/validation";
