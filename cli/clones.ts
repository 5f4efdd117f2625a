import { Option } from "commander";
import {
  asIs,
  type Clone,
  type ClonedData,
  clonedServices,
  type ClonedService,
} from "../configs/clones";
import { compareVersions, imageVersion } from "../configs/images";
import { type SiteConfig, siteImages } from "../configs/site";
import { findSite, siteConfig } from "../configs/sites";
import { gigabytes } from "../configs/units";
import { clonesAt, requestClone } from "../fleet";
import { acting, bessCommand, jsonOption, printJson, refuse, stackOption, table } from "./command";

/** @throws Error where the site is not reached, or has nothing. */
async function readClones(site: SiteConfig): Promise<ClonedData[]> {
  const found = await clonesAt(site).catch((error: Error) => {
    throw new Error(`The clones of ${site.name} are not known: ${error.message}`);
  });
  if (found.length === 0)
    throw new Error(`${site.name} has no data that are cloned: run up, and look again`);
  return found;
}

const rowsOf = ({ service, version, clones }: ClonedData): string[][] =>
  clones.length === 0
    ? [[service, version || "-", "-", "-", "-", "-"]]
    : clones.map((clone) => [
        service,
        version || "-",
        clone.version,
        clone.taken,
        clone.before,
        gigabytes(clone.bytes),
      ]);

const pending = ({ service, requested }: ClonedData): string[] =>
  requested === ""
    ? []
    : [
        `${service}: the next older version that is deployed ` +
          (requested === asIs ? "opens the data as they are" : `has the clone ${requested}`),
      ];

async function list({ stack, json }: { stack: string; json?: boolean }): Promise<void> {
  const found = await readClones(siteConfig(findSite(stack)));
  if (json) return printJson(found);
  const head = ["SERVICE", "DATA OF", "CLONE", "TAKEN", "BEFORE", "ALONE TAKES"];
  console.log([table([head, ...found.flatMap(rowsOf)]), ...found.flatMap(pending)].join("\n\n"));
}

/** Lists the clones of a site's data. */
export const clonesCommand = () =>
  bessCommand(
    "clones",
    "Lists the clones of a site's data, each taken before an update to another version.",
  )
    .addOption(stackOption().default("dev"))
    .addOption(jsonOption())
    .example("What a site could go back to", "clones --stack kiel-1")
    .action(acting(list));

interface Rollback {
  stack: string;
  service: ClonedService;
  to?: string;
  asIs?: boolean;
  cancel?: boolean;
}

/** What an older version would not have, for each service. */
const losses: Record<ClonedService, string> = {
  influxdb: "rows that were stored after the clone was taken are in no query then",
  grafana: "users, alerts and dashboards that were made by hand since are not there then",
  mosquitto:
    "messages that wait in the queue now are delivered no more, and those of the clone once again",
};

/** The clone that is asked for. @throws InputError */
function chosen({ to, service }: Rollback, { clones }: ClonedData): Clone {
  const [newest] = clones;
  const found = to === undefined ? newest : clones.find(({ version }) => version === to);
  if (found) return found;
  const kept = clones.map(({ version }) => version).join(", ");
  return refuse(
    newest
      ? `--to is "${to}": the clones of ${service} are ${kept}`
      : `--service is ${service}: no clone of its data is kept; --as-is has an older version ` +
          "open them as they are",
  );
}

async function rollBack(asked: Rollback): Promise<void> {
  const { stack, service, cancel } = asked;
  if ([asked.to !== undefined, asked.asIs, cancel].filter(Boolean).length > 1)
    refuse("give one of --to, --as-is and --cancel");
  const site = siteConfig(findSite(stack));
  const data = (await readClones(site)).find((one) => one.service === service);
  if (!data) throw new Error(`${site.name} has no data of ${service}: run up, and look again`);
  if (cancel) {
    await requestClone(site, service, undefined);
    console.log(`${service} of ${site.name} keeps its data; an older version is refused.`);
    return;
  }
  const clone = asked.asIs ? undefined : chosen(asked, data);
  await requestClone(site, service, clone?.version ?? asIs);
  console.log(nextSteps(site, data, clone).join("\n"));
}

/** What was asked for, and what is left to do. */
function nextSteps(site: SiteConfig, { service, version }: ClonedData, clone?: Clone): string[] {
  const image = imageVersion(siteImages(site)[service]);
  const isLowered = (compareVersions(image, version) ?? 0) < 0;
  return [
    clone
      ? `${service} of ${site.name} gets its data of ${clone.taken}, as ${clone.version} left them, ` +
        `once a version older than ${version} is deployed: ${losses[service]}. They are kept aside ` +
        "in the volume, under .set-aside."
      : `${service} of ${site.name} opens its data as they are once a version older than ${version} ` +
        "is deployed. A clone of them is taken before.",
    "next:",
    ...(isLowered
      ? []
      : [`  set images.${service} to ${clone ? `the image of ${clone.version}` : "it"}`]),
    `  npx bess up --stack ${site.name}`,
    ...(service === "grafana" && clone
      ? [`  npx bess up --refresh --stack ${site.name}, for dashboards that changed since`]
      : []),
    `undone by: npx bess rollback-data --stack ${site.name} --service ${service} --cancel`,
  ];
}

/** Gives a service the data back that it had before an update. */
export const rollbackDataCommand = () =>
  bessCommand(
    "rollback-data",
    "Has an older version of a service's image get a clone of the data, from before a newer one " +
      "opened them. Nothing changes until that version is deployed; the newer data are kept aside.",
  )
    .addOption(stackOption().default("dev"))
    .addOption(
      new Option("--service <service>", "whose data").choices(clonedServices).makeOptionMandatory(),
    )
    .addOption(new Option("--to <clone>", "version of the clone (default: the newest clone)"))
    .addOption(
      new Option("--as-is", "open the data as they are: the release notes say that it can"),
    )
    .addOption(new Option("--cancel", "take back what was asked for"))
    .example(
      "InfluxDB goes back to before its last update",
      "rollback-data --stack kiel-1 --service influxdb",
    )
    .example(
      "An older Grafana that reads the newer one's database",
      "rollback-data --stack kiel-1 --service grafana --as-is",
    )
    .action(acting(rollBack));
