import {
  alertGroups,
  type AlertGroup,
  integrationLists,
  integrationOf,
  messageTemplates,
  muteTimings,
  type Policy,
  policyOf,
} from "../../alerts";
import { type Alerts, wayOf } from "../../configs/alerting";
import { loadModel, type Model } from "../../configs/model";
import { profiles } from "../../configs/profiles";
import { parseSite } from "../../configs/site";
import { storageBudget } from "../../configs/storage";

const key = "0123456789abcdef";
const url = "https://hooks.example/x";
const alertsOf = (alerts: object): Alerts => parseSite({ name: "kiel-1", alerts }).alerts;

describe("a contact", () => {
  const smtp = { host: "smtp.example.com:587", from: "bess@example.com" };
  test.each<[string, object, string, object]>([
    ["email", { addresses: ["a@b.de"] }, "emails", { addresses: ["a@b.de"], singleEmail: true }],
    ["webhook", { url, token: "t" }, "webhooks", { url, authorizationCredentials: "t" }],
    ["webhook", { url, user: "u", password: "p" }, "webhooks", { url, basicAuthUser: "u" }],
    ["slack", { url }, "slacks", { url }],
    ["teams", { url }, "teams", { url }],
    ["telegram", { token: "1:A", chat: "-1" }, "telegrams", { token: "1:A", chatId: "-1" }],
    ["pagerduty", { key }, "pagerduties", { integrationKey: key }],
    ["ntfy", { url }, "webhooks", { url: `${url}?template=grafana` }],
    ["alertmanager", { url, user: "u", password: "p" }, "alertmanagers", { basicAuthUser: "u" }],
  ])("by %s of %j is in the list %s", (way, settings, list, made) => {
    const { duty } = alertsOf({ smtp, contacts: { duty: { [way]: settings } } }).contacts;
    if (!duty) throw new Error("there is no contact");
    expect(integrationLists[wayOf(duty)]).toBe(list);
    expect(integrationOf(duty)).toMatchObject(made);
  });
});

/** Who is told of an alert, by Alertmanager's own rules: the contacts, and by which times each is muted. */
function toldOf(policy: Policy, labels: Record<string, string>): string[] {
  const matches = ({ matchers = [] }: Policy) =>
    matchers.every(({ label, match, value }) =>
      match === "="
        ? labels[label] === value
        : new RegExp(`^(?:${value})$`).test(labels[label] ?? ""),
    );
  const walk = (at: Policy): string[] => {
    const found: string[] = [];
    for (const route of at.policies ?? []) {
      if (!matches(route)) continue;
      found.push(...walk(route));
      if (!route.continue) break;
    }
    const muted = at.muteTimings?.length ? ` but not in ${at.muteTimings.join()}` : "";
    return found.length > 0 ? found : [`${at.contactPoint} by ${at.groupBies.join()}${muted}`];
  };
  return walk(policy);
}

describe("who is told", () => {
  const alerts = alertsOf({
    contacts: {
      duty: { pagerduty: { key }, severities: ["critical"] },
      office: { slack: { url }, quiet: { from: "22:00", to: "06:00", days: ["sunday"] } },
    },
    deadMan: { url, every: "10m" },
  });
  const policy = policyOf(alerts);
  const nobody = "bess-nobody by site,unit but not in bess-always";

  test.each<[string, Record<string, string>, string[]]>([
    [
      "critical: all, also in quiet hours",
      { severity: "critical", kind: "BessBeyondLimits" },
      ["bess-duty by site,unit", "bess-office by site,unit", nobody],
    ],
    [
      "warning: the office, not in quiet hours",
      { severity: "warning", kind: "BessOutOfRange" },
      ["bess-office by site,unit but not in bess-quiet-office", nobody],
    ],
    [
      "units that are silent: one message of the site",
      { severity: "critical", kind: "BessUnitSilent" },
      ["bess-duty by site,kind", "bess-office by site,kind", nobody],
    ],
    ["info: nobody", { severity: "info", kind: "BessAlarmRaised" }, [nobody]],
    [
      "the sign of life: the watcher alone",
      { severity: "info", kind: "BessWatchdog" },
      ["bess-dead-man by site"],
    ],
    ["a rule that a person made: the first contact", { team: "x" }, ["bess-duty by site,unit"]],
  ])("of %s", (_what, labels, told) => {
    expect(toldOf(policy, labels)).toEqual(told);
  });

  test("is nobody where no contact is given: all is shown in Grafana alone", () => {
    const none = policyOf(alertsOf({}));
    for (const severity of ["critical", "warning", "info"])
      expect(toldOf(none, { severity, kind: "BessWatchdog" })).toEqual([nobody]);
  });

  test("quiet hours over midnight are two, in the site's time zone", () => {
    expect(muteTimings(alerts, "Europe/Berlin")).toEqual([
      { name: "bess-always", intervals: [{ times: [{ start: "00:00", end: "24:00" }] }] },
      {
        name: "bess-quiet-office",
        intervals: [
          {
            times: [
              { start: "22:00", end: "24:00" },
              { start: "00:00", end: "06:00" },
            ],
            location: "Europe/Berlin",
          },
          { weekdays: ["sunday"], location: "Europe/Berlin" },
        ],
      },
    ]);
    expect(messageTemplates("Europe/Berlin")).toContain('tz "Europe/Berlin"');
  });

  test("the sign of life comes again before the watcher's time", () => {
    const [watchdog] = policy.policies ?? [];
    expect(watchdog).toMatchObject({ groupInterval: "10m", repeatInterval: "9m" });
  });
});

describe("the rules of a model", () => {
  const of = (model: Model): AlertGroup[] =>
    alertGroups({
      model,
      site: "kiel-1",
      runbook: "https://x/alerts.md",
      profile: profiles.pi,
      storage: storageBudget(model, { profile: "pi", retention: "30d", storage: {} }),
    });
  const files = [
    "telemetry",
    ..."esphome-bms m5bat scada-list seed solar-assistant victron"
      .split(" ")
      .map((name) => `models/${name}`),
  ];

  test.each(files)("%s: all is set, and no name or uid is taken twice", (file) => {
    const groups = of(loadModel(`configs/${file}.yaml`));
    const rules = groups.flatMap((group) => group.rules);
    const unique = (list: unknown[]) => expect(new Set(list).size).toBe(list.length);
    unique(rules.map(({ title }) => title));
    unique(rules.map(({ uid }) => uid));
    unique(groups.map(({ name }) => name));
    for (const rule of rules) {
      expect(rule.title).toMatch(/^Bess[A-Z][A-Za-z0-9]+$/);
      expect(rule.uid?.length).toBeLessThanOrEqual(40);
      expect(rule.labels).toMatchObject({
        site: "kiel-1",
        severity: expect.stringMatching(/^(critical|warning|info)$/),
      });
      expect(rule.annotations?.summary).not.toMatch(/\{\{/);
      expect(rule.annotations?.runbook_url).toMatch(/^https:\/\/x\/alerts.md#bess[a-z]+$/);
      expect(rule).toMatchObject({
        for: expect.stringMatching(/^\d/),
        keep_firing_for: expect.stringMatching(/^\d/),
        missingSeriesEvalsToResolve: expect.any(Number),
      });
      expect(rule.data.at(-1)?.refId).toBe(rule.condition);
    }
  });

  test("two names that are one in CamelCase give two", () => {
    const model = structuredClone(loadModel("configs/telemetry.yaml"));
    const [bess] = model.measurements;
    bess?.fields.push({
      ...(bess.fields[0] as Model["measurements"][number]["fields"][number]),
      name: "ac_currentin",
    });
    bess?.fields.push({
      ...(bess.fields[0] as Model["measurements"][number]["fields"][number]),
      name: "ac_current_in_",
    });
    const titles = of(model).flatMap(({ rules }) => rules.map(({ title }) => title));
    expect(new Set(titles).size).toBe(titles.length);
  });

  test("a model without any key gives what it can", () => {
    const model = structuredClone(loadModel("configs/telemetry.yaml"));
    for (const { fields } of model.measurements)
      for (const field of fields)
        for (const name of ["range", "limits", "maxRate", "stuckAfter", "drift"] as const)
          delete field[name];
    const kinds = of(model)
      .slice(0, -2)
      .flatMap(({ rules }) => rules.map(({ labels }) => labels?.kind));
    expect(new Set(kinds)).toEqual(new Set(["BessUnitSilent", "BessClockAhead"]));
  });
});
