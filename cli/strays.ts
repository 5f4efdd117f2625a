import { InvalidArgumentError, Option } from "commander";
import { pipelineRetention } from "../configs/influxdb";
import { findSite, siteConfig } from "../configs/sites";
import { durationPattern, durationWithin } from "../configs/units";
import { type Stray, straysAt } from "../fleet";
import { acting, bessCommand, jsonOption, printJson, stackOption, table } from "./command";

function span(text: string): string {
  if (!durationPattern.test(text) || !durationWithin("1s", pipelineRetention)(text))
    throw new InvalidArgumentError(
      `Write a duration from 1s to ${pipelineRetention}, such as 12h.`,
    );
  return text;
}

/** A text on one line, with nothing in it that a terminal obeys. */
const printable = (text: string) => text.replaceAll(/\s+/g, " ").replaceAll(/\p{C}/gu, "\ufffd");

const rowOf = ({ topic, count, first, last, payload }: Stray): string[] => [
  topic === "" ? "(further topics)" : printable(topic),
  String(count),
  first,
  last,
  printable(payload),
];

interface Options {
  stack: string;
  since: string;
  json?: boolean;
}

async function show({ stack, since, json }: Options): Promise<void> {
  const site = siteConfig(findSite(stack));
  const found = await straysAt(site, since).catch((error: Error) => {
    throw new Error(`The strays of ${site.name} are not known: ${error.message}`);
  });
  if (json) return printJson(found);
  const head = ["TOPIC", "COUNT", "FIRST", "LAST", "PAYLOAD"];
  console.log(
    found.length > 0
      ? table([head, ...found.map(rowOf)])
      : `${site.name}: every message of the last ${since} had a topic of the model.`,
  );
}

/** Shows the messages that no measurement of a site has the topic of. */
export const strays = () =>
  bessCommand(
    "strays",
    "Shows messages at a site on topics of no measurement: their topic, count and last payload.",
  )
    .addOption(stackOption().default("dev"))
    .addOption(new Option("--since <duration>", "how far back").default("7d").argParser(span))
    .addOption(jsonOption())
    .example("A gateway is set up, and nothing arrives", "strays --stack kiel-1 --since 10m")
    .action(acting(show));
