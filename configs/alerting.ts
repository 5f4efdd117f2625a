import * as z from "zod";
import { isPlaceholder } from "./secret-placeholders";
import { durationPattern, durationUnit, durationWithin } from "./units";
import { severities } from "./watch";

const secretHint = "Set it with `pulumi config set --secret`.";

/** A text that is likely to be a secret, and may stand in the stack's file encrypted. */
const secret = (form: RegExp, rule: string) =>
  z.string().refine((text) => form.test(text) || isPlaceholder(text), rule);

const word = secret(/^[\x21-\x7e]{1,512}$/, "write 1 to 512 letters, digits and signs");
const url = (example: string, what: string) =>
  secret(/^https?:\/\/[^\s/]+\S*$/, "write an address that begins with https:// or http://").meta({
    description: `${what} ${secretHint}`,
    examples: [example],
  });
const token = (example: string, what: string) =>
  word.meta({ description: `${what} ${secretHint}`, examples: [example] });
const user = (what: string) => word.optional().meta({ description: what, examples: ["bess"] });
const basic = {
  user: user("User of HTTP basic authentication. Default: none."),
  password: token("made-by-the-server", "The user's password.").optional(),
};

/** Ways to tell people. A contact has one of them. */
const ways = {
  email: z
    .strictObject({
      addresses: z
        .array(z.email("write an e-mail address"))
        .min(1)
        .meta({ description: "Who is written to.", examples: [["duty@example.com"]] }),
    })
    .optional()
    .describe("By e-mail; needs `alerts.smtp`."),
  webhook: z
    .strictObject({
      url: url("https://hooks.example/bess", "Address that Grafana's JSON is posted to."),
      ...basic,
      token: token("made-by-the-server", "Bearer token, in place of a user.").optional(),
    })
    .optional()
    .describe("By a webhook."),
  slack: z
    .strictObject({
      url: url("https://hooks.slack.com/services/T/B/x", "Address of an incoming webhook."),
    })
    .optional()
    .describe("By Slack."),
  teams: z
    .strictObject({
      url: url("https://example.webhook.office.com/x", "Address of a channel's workflow."),
    })
    .optional()
    .describe("By Microsoft Teams."),
  telegram: z
    .strictObject({
      token: token("123456:ABC-DEF", "Token of the bot."),
      chat: z
        .string()
        .regex(/^(-?\d+|@\w+)$/, "write a chat's number in quotes, or @channel")
        .meta({ description: "Chat that the bot writes to.", examples: ["-1001234567890"] }),
    })
    .optional()
    .describe("By Telegram."),
  pagerduty: z
    .strictObject({ key: token("0123456789abcdef", "Integration key of a service.") })
    .optional()
    .describe("By PagerDuty."),
  ntfy: z
    .strictObject({
      url: url("https://ntfy.sh/kiel-1-alerts", "Address of the topic."),
      token: token("tk_0123456789", "Access token. Default: none.").optional(),
    })
    .optional()
    .describe("By ntfy, which puts the push notification into words by its template `grafana`."),
  alertmanager: z
    .strictObject({
      url: url("https://alertmanager.example", "Address of the Alertmanager."),
      ...basic,
    })
    .optional()
    .describe("By an Alertmanager, which decides what follows."),
};

/** A way to tell people. */
export type Way = keyof typeof ways;
const wayNames = Object.keys(ways) as Way[];

/** A time of the day, by the clock of the site's zone. */
export const clock = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d$/, "write a time of the day such as 22:00, in quotes");

/** Days of the week, as Grafana names them. */
export const weekdays = [
  "monday",
  "tuesday",
  "wednesday",
  "thursday",
  "friday",
  "saturday",
  "sunday",
] as const;

const contact = z
  .strictObject({
    ...ways,
    severities: z
      .array(z.enum(severities))
      .min(1)
      .default(["critical", "warning"])
      .meta({
        description: "How grave an alert is of which the contact is told.",
        examples: [["critical"]],
      }),
    quiet: z
      .strictObject({
        from: clock.optional().meta({
          description: "When quiet hours begin, each day. Default: none.",
          examples: ["22:00"],
        }),
        to: clock.optional().meta({ description: "When they end.", examples: ["06:00"] }),
        days: z
          .array(z.enum(weekdays))
          .min(1)
          .optional()
          .meta({
            description: "Days that are quiet as a whole. Default: none.",
            examples: [["saturday", "sunday"]],
          }),
      })
      .refine(({ from, to }) => (from === undefined) === (to === undefined), {
        error: "from and to go together",
      })
      .refine(({ from, to, days }) => from !== to || days !== undefined, {
        error: "write from and to, which differ, or days",
      })
      .optional()
      .meta({
        description: "Hours and days in which only what is critical is told.",
        examples: [{ from: "22:00", to: "06:00" }],
      }),
  })
  .superRefine((made, context) => {
    const given = wayNames.filter((way) => made[way] !== undefined);
    if (given.length !== 1)
      context.addIssue({
        code: "custom",
        message: `it has ${given.length === 0 ? "no way" : given.join(" and ")}: write one of ${wayNames.join(", ")}`,
      });
  })
  .meta({ examples: [{ pagerduty: { key: "0123456789abcdef" }, severities: ["critical"] }] });

/** Who is told of a site's alerts: `alerts` of its configuration. */
export const alertsSchema = z
  .strictObject({
    enabled: z.boolean().default(true).describe("Whether alert rules are deployed."),
    runbook: z
      .string()
      .min(1)
      .default("docs/alerts.md")
      .meta({
        description:
          "Address of [alerts.md](alerts.md) where your people read it; each alert leads to its entry.",
        examples: ["https://git.example/bess-telemetry/blob/main/docs/alerts.md"],
      }),
    contacts: z
      .record(
        z
          .string()
          .regex(/^[a-z][a-z0-9-]{0,30}$/, "write lower case letters, digits and -, at most 31"),
        contact,
      )
      .default({})
      .meta({
        description:
          "Who is told, by a name. Each has one of `email`, `webhook`, `slack`, `teams`, `telegram`, " +
          "`pagerduty`, `ntfy` and `alertmanager`. Without it alerts are shown in Grafana alone.",
        examples: [{ duty: { pagerduty: { key: "0123456789abcdef" }, severities: ["critical"] } }],
      }),
    smtp: z
      .strictObject({
        host: z
          .string()
          .regex(/^[A-Za-z0-9][\w.-]*:\d{1,5}$/, "write a host with its port")
          .meta({
            description: "Mail server and its port. STARTTLS is used where it is offered.",
            examples: ["smtp.example.com:587"],
          }),
        from: z
          .email("write an e-mail address")
          .meta({ description: "Who writes.", examples: ["bess@example.com"] }),
        user: user("User at the mail server. Default: none."),
        password: token("made-by-the-server", "The user's password.").optional(),
      })
      .optional()
      .describe("Mail server by which Grafana writes e-mails. Without it: none."),
    deadMan: z
      .strictObject({
        url: url(
          "https://hc-ping.com/00000000-0000-0000-0000-000000000000",
          "Address of an outside watcher, such as healthchecks.io, that calls when no message comes.",
        ),
        every: z
          .string()
          .regex(durationPattern, "write a duration such as 5m")
          .refine(durationWithin("1m", "1d"), "write 1m to 1d")
          .default("5m")
          .meta({
            description: "Time between two messages. Let the watcher wait for twice as long.",
            unit: durationUnit,
            examples: ["10m"],
          }),
      })
      .optional()
      .describe(
        "Who misses the site when it is silent as a whole. A message is sent only while the pipeline works.",
      ),
  })
  .superRefine(({ contacts, smtp }, context) => {
    for (const [name, { email }] of Object.entries(contacts))
      if (email && !smtp)
        context.addIssue({
          code: "custom",
          path: ["contacts", name, "email"],
          message: "no mail server is given: write alerts.smtp too",
        });
    if (smtp && (smtp.user === undefined) !== (smtp.password === undefined))
      context.addIssue({
        code: "custom",
        path: ["smtp", smtp.user === undefined ? "user" : "password"],
        message: "user and password go together",
      });
  });

/** Who is told of a site's alerts. */
export type Alerts = z.output<typeof alertsSchema>;
/** One who is told. */
export type Contact = Alerts["contacts"][string];

/** The way of a contact, which has one. */
export const wayOf = (contact: Contact): Way => {
  const found = wayNames.find((way) => contact[way] !== undefined);
  if (!found) throw new RangeError("a contact of a validated configuration has no way");
  return found;
};

/** Keys under `alerts` whose values no message shows. */
export const alertSecrets = ["url", "token", "password", "key"].map((key) => `alerts.${key}`);

/** Matches the keys of a site's configuration under `alerts` whose values may be known later. */
export const lateAlertKey =
  /^alerts\.(?:contacts\.[^.]+\.[a-z]+\.(?:url|token|password|key)|smtp\.password|deadMan\.url)$/;
