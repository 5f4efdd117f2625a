import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { images } from "../../configs/images";
import type { SitePlan, Step } from "../../automation/plan";
import { comparePlans, renderedPlan } from "../../automation/rendered";
import { comment, groups, marker, sizeLimit } from "../../fleet/report";
import { temporaryFolder } from "../support/programs";

// Regenerate with: UPDATE_GOLDEN=1 npx jest tests/fleet/report; then read them.
const update = process.env.UPDATE_GOLDEN === "1";
const how = "Rendered from main and from this revision, and compared.";

const folder = temporaryFolder();
afterAll(() => folder.remove());

/** The default model with one field more. */
function modelWithOneMore(): string {
  const model = readFileSync("configs/telemetry.yaml", "utf8");
  const field =
    "      - { name: cell_temperature_max, path: cell.temperature.max, type: float, unit: °C, quantity: temperature, range: [0, 55], meaning: Temperature of the hottest cell. }\n";
  const extended = model.replace(/(name: battery\n[^]*?fields:\n)/, `$1${field}`);
  expect(extended).not.toBe(model);
  writeFileSync(join(folder.path, "model.yaml"), extended);
  return join(folder.path, "model.yaml");
}

/** What a site would go through from one config to another. */
async function planned(
  site: string,
  before: object | undefined,
  after: object,
  wave = "rest",
): Promise<SitePlan> {
  const rendered = (change: object) => renderedPlan(site, { name: site, profile: "pi", ...change });
  return comparePlans({ site, wave }, before ? await rendered(before) : [], await rendered(after));
}

const told = async (plans: SitePlan[]) => comment(await groups(plans), { how });

/** A step of our own making. */
const step = (change: Partial<Step>): Step => ({
  op: "update",
  urn: `urn:pulumi:s::p::x:y:Z::${change.name}`,
  type: "x:y:Z",
  name: "z",
  changed: ["a"],
  retained: false,
  old: { a: 1 },
  new: { a: 2 },
  ...change,
});

const many = (count: number) =>
  Array.from({ length: count }, (_, i) => `site-${String(i + 1).padStart(2, "0")}`);

describe("golden comments", () => {
  const cases: [string, () => Promise<SitePlan[]>][] = [
    ["no-change", () => Promise.all([planned("kiel-1", {}, {})])],
    ["one-field-added", async () => [await planned("kiel-1", {}, { model: modelWithOneMore() })]],
    [
      "image-bump-at-40-sites",
      async () => {
        const plans: SitePlan[] = [];
        for (const [i, site] of many(40).entries())
          plans.push(
            await planned(
              site,
              {},
              { images: { telegraf: "telegraf:1.40.0-alpine" } },
              i < 2 ? "canary" : i < 6 ? "early" : "rest",
            ),
          );
        return plans;
      },
    ],
    [
      "volume-replaced",
      async () => [
        withReplacedVolume(await planned("kiel-1", {}, {}), true),
        withReplacedVolume(await planned("kiel-2", { purge: true }, { purge: true }), false),
      ],
    ],
    [
      "over-the-limit",
      async () =>
        tooMuch(await planned("site-00", {}, { retention: "30d", model: modelWithOneMore() })),
    ],
    [
      "fork",
      async () => [
        await planned("aachen-1", {}, { mqtt: { port: 1884 } }, "canary"),
        await planned("aachen-2", {}, {}),
        await planned(
          "kiel-1",
          {},
          { rotate: { gateway: "2026-11" }, grafana: { anonymous: true } },
        ),
        await planned("kiel-2", { simulator: { enabled: true } }, { explorer: { enabled: false } }),
        await planned("kiel-3", undefined, {}),
        await planned("luebeck-1", {}, { grafana: { address: "0.0.0.0" }, purge: true }),
        {
          site: "husum-1",
          steps: [],
          failed:
            "it leaves the inventory: no rollout touches it any more, so take it down before this is merged",
        },
      ],
    ],
  ];

  test.each(cases)("%s", async (name, plans) => {
    const made = await told(await plans());
    const golden = join(__dirname, "golden", `${name}.md`);
    if (update) {
      mkdirSync(join(__dirname, "golden"), { recursive: true });
      writeFileSync(golden, made);
    }
    expect(made).toBe(readFileSync(golden, "utf8"));
    expect(Buffer.byteLength(made)).toBeLessThanOrEqual(sizeLimit);
  });

  /** The plan with InfluxDB's volume made anew on another disk, and its container with it. */
  function withReplacedVolume(plan: SitePlan, retained: boolean): SitePlan {
    const replaced = (found: Step): Step => {
      if (found.name.endsWith("-influxdb-data"))
        return {
          ...found,
          op: "replace",
          changed: ["driverOpts"],
          retained,
          new: { ...found.new, driverOpts: { device: "/mnt/ssd" } },
        };
      return found.name.endsWith("-influxdb") && found.type.endsWith(":Container")
        ? { ...found, op: "replace", changed: ["volumes[0].volumeName"] }
        : found;
    };
    return { ...plan, steps: plan.steps.map(replaced) };
  }

  /** Sixty sites, each with a change of its own, and a long one. */
  function tooMuch(plan: SitePlan): SitePlan[] {
    return many(60).map((site, i) => {
      const own: Step = step({
        name: `own-${i}`,
        old: { text: "a\n" },
        new: {
          text: Array.from({ length: 60 + i }, (_, line) => `line ${line} of ${i}\n`).join(""),
        },
        changed: ["text"],
      });
      return { ...plan, site, stack: "site-00", steps: [...plan.steps, own] };
    });
  }
});

describe("a comment", () => {
  test("begins with the mark by which it is found again", async () =>
    expect((await told([])).split("\n")[0]).toBe(marker));

  test("is never longer than GitHub takes, and closes what it opens, whatever the plans", async () => {
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 4000 }),
      fc.constant("```\n````diff\n</details>\n| a | b |\n"),
      fc.constant("😀".repeat(2000)),
    );
    const plans = fc.array(
      fc.record({
        site: fc.stringMatching(/^[a-z][a-z0-9-]{0,30}$/),
        text,
        failed: fc.option(text, { nil: undefined }),
      }),
      { maxLength: 30 },
    );
    await fc.assert(
      fc.asyncProperty(plans, fc.integer({ min: 2000, max: sizeLimit }), async (found, limit) => {
        const made = comment(
          await groups(
            found.map(({ site, text: now, failed }) => ({
              site,
              failed,
              steps: failed ? [] : [step({ name: site, new: { a: `${now}\n` } })],
            })),
          ),
          { how, limit },
        );
        expect(Buffer.byteLength(made)).toBeLessThanOrEqual(limit);
        expect(made.length).toBeLessThanOrEqual(limit);
        expect(made.match(/^<\/details>$/gm)?.length ?? 0).toBe(
          made.match(/^<details>/gm)?.length ?? 0,
        );
      }),
      { numRuns: 40 },
    );
  });

  test("says what was cut, in numbers that add up", async () => {
    const plans = many(30).map((site, i): SitePlan => ({
      site,
      steps: [
        step({
          name: site,
          old: { text: "a\n" },
          new: { text: `${i} ${"long line ".repeat(20)}\n`.repeat(20) },
        }),
      ],
    }));
    const made = comment(await groups(plans), { how, limit: 12_000 });
    const [, cut] = /(\d+) diffs did not fit/.exec(made)!;
    expect(Number(cut) + made.match(/<details>/g)!.length).toBe(30);
    expect(made).toMatch(/The whole report is in the run's artifact\.\n$/);
  });

  test("keeps a fence around text that holds fences", async () => {
    const made = await told([
      { site: "a", steps: [step({ old: { text: "x\n" }, new: { text: "````\nescaped\n" } })] },
    ]);
    expect(made).toContain("`````diff\n");
  });

  test("cannot be written into by a value", async () => {
    const made = await told([
      { site: "a", steps: [], failed: "`x`\n\n# heading <!-- | @everyone" },
    ]);
    expect(made).toContain("`'x' # heading <!-- | @everyone`");
  });

  test("shows no part of a program's bundle, and the script in a config line by line", async () => {
    const script = `source = "${"def apply(metric):\\n".repeat(40)}`;
    const made = await told([
      {
        site: "a",
        steps: [
          step({
            old: { main: `x\n`, conf: `${script}"\n` },
            new: { main: `${"y".repeat(5000)}\n`, conf: `${script}    return metric\\n"\n` },
          }),
        ],
      },
    ]);
    expect(made).toMatch(/\+\(5000 characters, sha256 [0-9a-f]{12}\)/);
    expect(made).toContain("+    return metric\\n");
  });
});

describe("sites are folded", () => {
  const bump = (site: string, to = "2") => ({
    site,
    steps: [
      step({
        name: `${site}-telegraf`,
        urn: `urn:pulumi:${site}::p::t::${site}-telegraf`,
        old: { name: `${site}-x`, v: "1" },
        new: { name: `${site}-x`, v: to },
      }),
    ],
  });

  test("where the same happens but for their names", async () =>
    expect((await groups([bump("a"), bump("b-1"), bump("c")])).map(({ sites }) => sites)).toEqual([
      ["a", "b-1", "c"],
    ]));
  test("never where a value differs", async () =>
    expect((await groups([bump("a"), bump("b", "3")])).map(({ sites }) => sites)).toEqual([
      ["a"],
      ["b"],
    ]));
  test("never where only the name of another is in it", async () => {
    const other = { ...bump("a"), site: "b" };
    expect(await groups([bump("a"), other])).toHaveLength(2);
  });
  test("where a setting that does not change differs", async () => {
    const ports = (site: string, port: number) => ({
      site,
      steps: [step({ name: site, old: { v: "1", port }, new: { v: "2", port } })],
    });
    expect(await groups([ports("a", 1), ports("b", 2)])).toHaveLength(1);
  });
  test("apart from those that cannot be planned", async () =>
    expect(await groups([bump("a"), { site: "b", steps: [], failed: "unreachable" }])).toHaveLength(
      2,
    ));
});

test("the example of a replacement is told in the words that operators know", async () => {
  const made = await told([await planned("kiel-1", {}, { model: modelWithOneMore() })]);
  expect(made).toContain(
    "- **Telegraf restarts**: its config changed; nothing is lost, the broker queues.\n",
  );
});

test("a change of the pinned images is told from which to which", async () => {
  const made = await told([
    await planned("kiel-1", {}, { images: { grafana: "grafana/grafana:13.2.0" } }),
  ]);
  expect(made).toContain(
    `its image changes from \`${images.grafana}\` to \`grafana/grafana:13.2.0\``,
  );
});
