import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { backupFindings } from "./backup-schema";
import { localTopics } from "./bridges";
import { gatewayFindings } from "./broker-users";
import { checkMemory } from "./memory";
import { loadModel, type Model } from "./model";
import { scenarioFindings } from "./scenarios";
import type { SiteConfig } from "./site";
import { storageBudget, type StorageBudget } from "./storage";
import { certificateReport, type CertificateReport } from "./tls";
import { flowsOf } from "./update-locks";
import { rawFindings } from "./uplink";
import { findingsOf, InputError } from "./validation";

/** A site whose configuration, model and host's size fit together. */
export interface CheckedSite {
  config: SiteConfig;
  model: Model;
  storage: StorageBudget;
  /** What there is to tell of the broker's certificate; undefined where it has none in plain. */
  certificate?: CertificateReport | undefined;
}

/** The file of a site's telemetry model; a relative path starts at the project. */
export const modelFile = ({ model }: Pick<SiteConfig, "model">): string =>
  isAbsolute(model) ? model : join(__dirname, "..", model);

/**
 * Checks what a site's schema alone cannot: its model, whether the host's size holds the data, and
 * whether the broker's certificate is valid now.
 * @param source what an error calls the site's configuration.
 * @throws InputError with every finding: the key, its value and what is allowed.
 */
export function checkSite(config: SiteConfig, source = "bess-telemetry:site"): CheckedSite {
  const file = modelFile(config);
  if (!existsSync(file))
    throw new InputError(source, [
      `model is "${config.model}": there is no such file; ` +
        "write the path of a YAML file, relative to the project",
    ]);
  const model = loadModel(file, config.model);
  const { tls } = config.mqtt;
  const certificate = tls && certificateReport(tls.certificate);
  const { scenario } = config.simulator;
  const findings = [
    ...findingsOf(() => checkMemory(model, config)),
    ...findingsOf(() => storageBudget(model, config)),
    ...gatewayFindings(
      model,
      config.mqtt.gateways ?? {},
      Object.values(config.mqtt.bridge ?? {}).flatMap(localTopics),
    ),
    ...backupFindings(config),
    ...(config.update.condition && flowsOf(model).length === 0
      ? [
          `update.condition is "${config.update.condition}": no power or current of the model has a ` +
            "range, by which it is known what counts as 0",
        ]
      : []),
    ...(scenario ? scenarioFindings("simulator.scenario", scenario, model) : []),
    ...rawFindings(model, config.uplink?.raw ?? []).map((finding) => `uplink.raw: ${finding}`),
    ...(certificate?.refusal ? [`mqtt.tls.certificate is refused: ${certificate.refusal}`] : []),
  ];
  if (findings.length > 0) throw new InputError(source, findings);
  return { config, model, storage: storageBudget(model, config), certificate };
}
