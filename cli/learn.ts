import { Document, isMap, isSeq, visit } from "yaml";
import { type Model, modelSchema } from "../configs/model";
import { InputError, validate } from "../configs/validation";
import { acting, bessCommand, refuse, stackOption } from "./command";
import { type Heard, Topics } from "./learn/heard";
import { type Draft, propose } from "./learn/propose";
import { asKey } from "./options";
import { listeningTime, Messages, type MessageSource } from "./recording";

interface Options extends MessageSource {
  name: string;
}

const details = `
The proposal is a guess by names and numbers, to be edited: what a unit is, which fields matter, and
what a sign means, only the gateway's manual says. docs/writing-a-model.md goes on from here. Record
with mosquitto_sub -h HOST -t '#' -F %j > FILE: %J leaves out what is no JSON, and digits of long
numbers.`;

/** Proposes a telemetry model for what a gateway sends. */
export const learnCommand = () =>
  bessCommand(
    "learn",
    "Proposes a telemetry model for what a gateway really sends: topics, tags, types, units and times.",
  )
    .summary("Proposes a telemetry model for what a gateway really sends.")
    .option("--recording <file>", "recorded messages, also with .gz")
    .option("--listen", "messages that the broker of --stack gets now")
    .option("--for <duration>", "how long to listen", listeningTime, 60)
    .option(
      "--name <name>",
      "name of the proposed model",
      asKey(modelSchema.shape.name),
      "my-gateway",
    )
    .addOption(stackOption().default("dev"))
    .example("From a recording", "learn --recording plant.ndjson > my-model.yaml")
    .example("What a site gets", "learn --listen --for 5m --stack kiel-1 > my-model.yaml")
    .addHelpText("after", details)
    .action(acting(learn));

async function learn(options: Options): Promise<void> {
  const { recording, listen, name } = options;
  if ((recording === undefined) === (listen === undefined)) refuse("give --recording or --listen");
  const messages = new Messages(options);
  const topics = new Topics();
  for await (const message of messages.read()) topics.add(message);
  const { drafts, unused } = propose(topics.all);
  if (drafts.length === 0)
    throw new InputError(recording ?? "the broker", ["it has no message with a value"]);
  const text = proposalText(name, drafts);
  const heard = topics.all.reduce((sum, { count }) => sum + count, 0);
  console.log(
    `# yaml-language-server: $schema=../../docs/schemas/telemetry-model.json\n` +
      `# Proposed by bess learn from ${heard} messages on ${topics.all.length} topics; edit it. A comment is what was seen.\n` +
      `# Write for a current or a power what a positive one means, positive: charging or discharging,\n` +
      `# and a range where a value outside is abnormal.${unusedText(unused)}\n${text.trimEnd()}`,
  );
  const notes = [
    ...(messages.foreign > 0 ? [`lines that are no recorded messages: ${messages.foreign}`] : []),
    ...(topics.beyond > 0 ? [`messages on further topics: ${topics.beyond}`] : []),
  ];
  notes.forEach((note) => console.error(note));
}

/** Topics that the model leaves out, with an example each. */
function unusedText(unused: Heard[]): string {
  const some = unused
    .slice(0, 10)
    .map(({ topic, payloads }) => `${topic} (${JSON.stringify(payloads[0]?.value).slice(0, 30)})`);
  if (some.length === 0) return "";
  const more = unused.length > some.length ? `, and ${unused.length - some.length} more` : "";
  return `\n# Left out: ${some.join(", ")}${more}`;
}

/**
 * The model as YAML, a line a field, with what was seen as its comment.
 * @throws InputError if it is no valid model, which is a fault of this program.
 */
export function proposalText(name: string, drafts: Draft[]): string {
  const model = { name, title: name, measurements: drafts.map(measurementOf) };
  const checked: Model = validate(modelSchema, model, "the proposed model");
  const document = new Document(model, { aliasDuplicateObjects: false });
  const seen = drafts.map(({ fields }) => fields.map((field) => field.seen));
  const measurements = document.get("measurements");
  if (isSeq(measurements))
    measurements.items.forEach((measurement, i) => {
      if (!isMap(measurement)) return;
      for (const key of ["time", "names"]) flow(measurement.get(key));
      for (const key of ["tags", "fields"]) {
        const list = measurement.get(key);
        if (!isSeq(list)) continue;
        list.items.forEach((item, j) => {
          flow(item);
          const comment = key === "fields" ? seen[i]?.[j] : undefined;
          if (isMap(item) && comment !== undefined) item.comment = ` ${comment}`;
        });
      }
    });
  return checked.measurements.length === 0 ? "" : document.toString({ lineWidth: 0 });
}

function flow(node: unknown): void {
  if (!isMap(node)) return;
  visit(node, { Collection: (_, inner) => void (inner.flow = true) });
}

/** A measurement as the file has it. */
const measurementOf = ({
  name,
  meaning,
  topics,
  interval,
  time,
  each,
  names,
  value,
  tags,
  fields,
}: Draft) => ({
  name,
  title: name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " "),
  meaning,
  topic: topics.length === 1 ? topics[0] : topics,
  interval,
  ...(time && { time: time.zone === "UTC" ? { path: time.path, format: time.format } : time }),
  ...(each !== undefined && { each }),
  ...(names && { names }),
  ...(value !== undefined && { value }),
  tags,
  fields: fields.map(({ name: field, path, guess, meaning: text }) => ({
    name: field,
    ...(path !== undefined && { path }),
    ...guess,
    meaning: text,
  })),
});
