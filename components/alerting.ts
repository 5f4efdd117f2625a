import * as pulumi from "@pulumi/pulumi";
import * as grafana from "@pulumiverse/grafana";
import {
  type AlertGroup,
  deadMan,
  deadManIntegration,
  integrationLists,
  integrationOf,
  messageTemplates,
  muteTimings,
  nobody,
  policyOf,
} from "../alerts";
import { type Alerts, wayOf } from "../configs/alerting";
import { contactName, folders, templates } from "../configs/grafana";
import type { LateAlerts } from "./site-values";

/** Which alerts there are, and who is told. */
export interface AlertingArgs {
  groups: readonly AlertGroup[];
  alerts: Alerts;
  /** Time zone of quiet hours, and of times in messages. */
  timeZone: string;
  /** What of `alerts` may be known later. */
  late: LateAlerts;
}

/** A site's alerts, all made through Grafana's API. */
export class Alerting extends pulumi.ComponentResource {
  /**
   * @param api options of what is made through Grafana's API.
   */
  constructor(
    private readonly name: string,
    private readonly args: AlertingArgs,
    private readonly api: pulumi.CustomResourceOptions,
  ) {
    super("bess:index:Alerting", name, {}, { ...(api.parent && { parent: api.parent }) });
    this.api = { ...api, parent: this };
    this.createRules();
    this.createPolicy([...this.createContacts(), ...this.createTimings()]);
    this.registerOutputs({});
  }

  private createRules() {
    const folder = new grafana.oss.Folder(
      this.name,
      { uid: folders.alerts, title: "BESS alerts" },
      this.api,
    );
    for (const group of this.args.groups)
      new grafana.alerting.RuleGroup(
        `${this.name}-${group.name.replace(/\W+/g, "-")}`,
        {
          name: group.name,
          folderUid: folder.uid,
          intervalSeconds: group.interval,
          rules: group.rules.map(ruleArgs),
        },
        this.api,
      );
  }

  private createContacts(): pulumi.Resource[] {
    const { alerts, late } = this.args;
    const template = new grafana.alerting.MessageTemplate(
      this.name,
      { name: templates, template: messageTemplates(this.args.timeZone) },
      this.api,
    );
    const opts = { ...this.api, dependsOn: [template] };
    const contacts = Object.entries(late.contacts).map(([name, late]) => {
      const contact = alerts.contacts[name];
      const way = contact && wayOf(contact);
      // An address of e-mail is no secret: a preview shows who is told.
      const known = late.apply((it) => [integrationOf(it)]);
      const integrations = way === "email" ? known : pulumi.secret(known);
      return this.contact(name, { [integrationLists[way ?? "email"]]: integrations }, opts);
    });
    const watcher = late.deadManUrl?.apply((url) => [deadManIntegration({ url })]);
    return [
      this.contact("nobody", { emails: [{ addresses: ["nobody@localhost"] }] }, opts, nobody),
      ...contacts,
      ...(watcher
        ? [this.contact("dead-man", { webhooks: pulumi.secret(watcher) }, opts, deadMan)]
        : []),
    ];
  }

  private contact(
    name: string,
    integrations: Partial<grafana.alerting.ContactPointArgs>,
    opts: pulumi.CustomResourceOptions,
    shown = contactName(name),
  ) {
    return new grafana.alerting.ContactPoint(
      `${this.name}-${name}`,
      { name: shown, ...integrations },
      opts,
    );
  }

  private createTimings(): pulumi.Resource[] {
    return muteTimings(this.args.alerts, this.args.timeZone).map(
      ({ name, intervals }) =>
        new grafana.alerting.MuteTiming(
          `${this.name}-${name.replace(/^bess-/, "")}`,
          { name, intervals },
          this.api,
        ),
    );
  }

  /** It names contacts and times, which come first, and go last. */
  private createPolicy(named: pulumi.Resource[]) {
    const policy = policyOf(this.args.alerts);
    new grafana.alerting.NotificationPolicy(this.name, policy, { ...this.api, dependsOn: named });
  }
}

type Rule = AlertGroup["rules"][number];

/** A value as Go writes it in JSON: keys sorted, so that Grafana's answer is what was sent. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}

const ruleArgs = (rule: Rule) => ({
  uid: rule.uid ?? "",
  name: rule.title,
  condition: rule.condition,
  for: rule.for,
  ...(rule.keep_firing_for !== "0s" && { keepFiringFor: rule.keep_firing_for ?? "0s" }),
  missingSeriesEvalsToResolve: rule.missingSeriesEvalsToResolve ?? 2,
  noDataState: rule.noDataState,
  execErrState: rule.execErrState,
  labels: rule.labels ?? {},
  annotations: rule.annotations ?? {},
  datas: rule.data.map(({ refId = "", datasourceUid = "", model, relativeTimeRange }) => ({
    refId,
    datasourceUid,
    model: JSON.stringify(sorted(JSON.parse(JSON.stringify(model)))),
    relativeTimeRange: { from: relativeTimeRange?.from ?? 0, to: relativeTimeRange?.to ?? 0 },
  })),
});
