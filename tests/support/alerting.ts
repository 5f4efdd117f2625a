import type { Rule } from "@grafana/grafana-foundation-sdk/alerting";
import type { Asks } from "./influxql";

/** State of one alert, as Grafana shows it. */
export type State = "normal" | "pending" | "firing" | "recovering" | "nodata" | "error";

/** An alert of a rule: its labels of the query, and how it is. */
interface Instance {
  state: State;
  /** Seconds since when. */
  since: number;
  /** Evaluations in which it was in no answer. */
  missed: number;
}

/** A number for each set of labels: what Grafana's expressions reckon with. */
type Numbers = Map<string, number>;

const seconds = (text = "0s") =>
  [...text.matchAll(/(\d+)([smhdw])/g)].reduce(
    (sum, [, count, unit]) =>
      sum + Number(count) * { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }[unit as "s"],
    0,
  );

/** A query of a rule as Grafana sends it at a time, in ms. */
function sentAt(query: string, back: number, at: number): string {
  const time = (ms: number) => `'${new Date(ms).toISOString()}'`;
  return (
    query
      .replaceAll("$timeFilter", `time >= ${time(at - back * 1000)} AND time <= ${time(at)}`)
      // This engine takes an offset of now() or a duration.
      .replace(/time\((\d+)s, now\(\)\)/g, (_, period: string) => {
        return `time(${period}s, ${at % (Number(period) * 1000)}ms)`;
      })
      .replaceAll("now()", time(at))
  );
}

/**
 * A stand-in for Grafana's evaluation of alert rules, where no Grafana can be had: the queries are asked
 * of a real InfluxQL engine, and its answers go through the few expressions that our rules have, and
 * through the states. Written after pkg/services/ngalert/state and pkg/expr of Grafana 13.
 */
export class RuleEvaluation {
  private readonly instances = new Map<string, Instance>();
  private readonly steps: { refId: string; step: ModelOfStep; back: number }[];

  /** @param interval seconds between two evaluations. */
  constructor(
    private readonly rule: Rule,
    readonly interval: number,
    private readonly ask: Asks,
  ) {
    this.steps = (rule.data ?? []).map(({ refId = "", model, relativeTimeRange }) => ({
      refId,
      // As Grafana gets it.
      step: JSON.parse(JSON.stringify(model)) as ModelOfStep,
      back: relativeTimeRange?.from ?? 0,
    }));
  }

  /** States by labels, such as `id=b1`; a rule without any is normal. */
  get states(): Record<string, State> {
    return Object.fromEntries([...this.instances].map(([labels, { state }]) => [labels, state]));
  }

  /** Evaluates the rule as of a time, in ms. */
  async evaluate(at: number): Promise<void> {
    const now = at / 1000;
    let found: Numbers;
    try {
      found = await this.condition(at);
    } catch {
      this.whole(this.rule.execErrState ?? "Error", "error", now);
      return;
    }
    if (found.size === 0) {
      this.whole(this.rule.noDataState ?? "NoData", "nodata", now);
      return;
    }
    // What stood for a rule without labels is over once there are some.
    if (!found.has("")) this.instances.delete("");
    for (const [labels, value] of found) {
      const instance = this.instance(labels, now);
      instance.missed = 0;
      this.next(instance, value !== 0, now);
    }
    for (const [labels, instance] of this.instances)
      if (!found.has(labels) && ++instance.missed >= (this.rule.missingSeriesEvalsToResolve ?? 2))
        this.instances.delete(labels);
  }

  private instance(labels: string, now: number): Instance {
    const known = this.instances.get(labels);
    if (known) return known;
    const made: Instance = { state: "normal", since: now, missed: 0 };
    this.instances.set(labels, made);
    return made;
  }

  /** All alerts of a rule that is answered by nothing, or by an error. */
  private whole(as: string, state: State, now: number): void {
    const all = this.instances.size > 0 ? [...this.instances.values()] : [this.instance("", now)];
    for (const instance of all) {
      if (as === "Alerting") this.next(instance, true, now);
      else if (as === "OK") Object.assign(instance, { state: "normal", since: now });
      else if (as === "KeepLast") {
        // A pending alert goes on, all others stay.
        if (instance.state === "pending") this.next(instance, true, now);
      } else if (instance.state !== state) Object.assign(instance, { state, since: now });
    }
  }

  private next(instance: Instance, isBad: boolean, now: number): void {
    const lasted = now - instance.since;
    const become = (state: State) => Object.assign(instance, { state, since: now });
    const [pending, keep] = [seconds(this.rule.for), seconds(this.rule.keep_firing_for)];
    if (isBad) {
      if (instance.state === "firing") return;
      if (instance.state === "recovering") return void become("firing");
      if (instance.state === "pending") {
        if (lasted >= pending) become("firing");
        return;
      }
      become(pending > 0 ? "pending" : "firing");
    } else if (instance.state === "firing") become(keep > 0 ? "recovering" : "normal");
    else if (instance.state === "recovering") {
      if (lasted >= keep) become("normal");
    } else if (instance.state !== "normal") become("normal");
  }

  /** The number of the condition for each set of labels. */
  private async condition(at: number): Promise<Numbers> {
    const steps = new Map<string, Numbers>();
    const asked = this.steps.map(async ({ refId, step, back }) => {
      return {
        refId,
        is: "query" in step ? await this.answers(sentAt(step.query, back, at)) : step,
      };
    });
    for (const { refId, is } of await Promise.all(asked))
      steps.set(refId, is instanceof Map ? is : evaluated(is, steps));
    const found = steps.get(this.rule.condition ?? "");
    if (!found) throw new Error(`the rule has no step ${this.rule.condition}`);
    return found;
  }

  /** The last point of each series of an answer. @throws Error if two have the same labels. */
  private async answers(query: string): Promise<Numbers> {
    const series = await this.ask(query);
    const numbers: Numbers = new Map();
    for (const { tags = {}, values } of series) {
      const labels = Object.entries(tags)
        .map(([name, text]) => `${name}=${text}`)
        .sort()
        .join(",");
      const columns = values.at(-1)?.length ?? 0;
      if (columns !== 2 || numbers.has(labels))
        throw new Error(`Grafana takes one series for each set of labels: ${query}`);
      // Grafana reads a number only, or a bool as one.
      const value = values.at(-1)?.[1] ?? null;
      if (typeof value === "string") throw new Error(`a text is no number: ${query}`);
      if (value !== null) numbers.set(labels, Number(value));
    }
    return numbers;
  }
}

type ModelOfStep =
  | { query: string }
  | { type: "reduce"; expression: string; reducer: string }
  | {
      type: "threshold";
      expression: string;
      conditions: { evaluator: { type: string; params: number[] } }[];
    }
  | { type: "math"; expression: string };

type ExpressionModel = Exclude<ModelOfStep, { query: string }>;

const tests: Record<string, (value: number, params: number[]) => boolean> = {
  gt: (value, [a = 0]) => value > a,
  lt: (value, [a = 0]) => value < a,
  outside_range: (value, [a = 0, b = 0]) => value < a || value > b,
  within_range: (value, [a = 0, b = 0]) => value > a && value < b,
};

function evaluated(step: ExpressionModel, steps: Map<string, Numbers>): Numbers {
  const of = (refId: string) => {
    const numbers = steps.get(refId);
    if (!numbers) throw new Error(`there is no step ${refId} before`);
    return numbers;
  };
  if (step.type === "reduce") {
    if (step.reducer !== "last") throw new Error(`the stand-in has no reducer ${step.reducer}`);
    return of(step.expression);
  }
  if (step.type === "threshold") {
    const [{ evaluator } = { evaluator: { type: "", params: [] } }] = step.conditions;
    const test = tests[evaluator.type];
    if (!test) throw new Error(`the stand-in has no threshold ${evaluator.type}`);
    return new Map(
      [...of(step.expression)].map(([labels, value]) => [
        labels,
        Number(test(value, evaluator.params)),
      ]),
    );
  }
  return formula(step.expression, of);
}

/** A formula of the form that our rules have: terms joined by `&&`. Labels that not all have are left out. */
function formula(expression: string, of: (refId: string) => Numbers): Numbers {
  const terms = expression.split("&&").map((text) => {
    const [, not, name = "", operator, number] =
      /^\s*(!?)\$([A-Z])\s*(?:(==|>)\s*(-?[\d.e+-]+))?\s*$/.exec(text) ?? [];
    if (!name) throw new Error(`the stand-in cannot reckon ${expression}`);
    const holds = (value: number) =>
      operator === "=="
        ? value === Number(number)
        : operator
          ? value > Number(number)
          : value !== 0;
    return { numbers: of(name), holds: (value: number) => holds(value) !== (not === "!") };
  });
  const [first] = terms;
  const result: Numbers = new Map();
  for (const labels of first?.numbers.keys() ?? []) {
    const values = terms.map(({ numbers }) => numbers.get(labels));
    if (values.some((value) => value === undefined)) continue;
    result.set(labels, Number(terms.every(({ holds }, i) => holds(values[i] ?? 0))));
  }
  return result;
}
