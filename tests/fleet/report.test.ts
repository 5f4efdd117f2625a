import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { images } from "../../configs/images";
import type { SitePlan, Step } from "../../automation/plan";
import { comparePlans } from "../../automation";
import { renderedPlan } from "../../automation/rendered";
import { commentLimit, commentMarker, formatComment, groupSites } from "../../fleet/report";
import { modelWithField } from "../support/models";
import { temporaryFolder } from "../support/programs";

// Regenerate with: UPDATE_GOLDEN=1 npx jest tests/fleet/report; then read them.
const update = process.env.UPDATE_GOLDEN === "1";
const method = "Rendered from main and from this revision, and compared.";

const folder = temporaryFolder();
afterAll(() => folder.remove());

/** The default model with another field of `battery`. */
const modelWithOneMore = () =>
  modelWithField(folder.path, {
    name: "cell_temperature_max",
    path: "cell.temperature.max",
    type: "float",
    unit: "°C",
    quantity: "temperature",
    range: [0, 55],
    meaning: "Temperature of the hottest cell.",
  });

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

const report = async (plans: SitePlan[]) => formatComment(await groupSites(plans), { method });

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

test("a digest that is new, and one that changes under its tag, are told as such", async () => {
  const byDigest = (digit: string) => ({
    images: { telegraf: `${images.telegraf}@sha256:${digit.repeat(64)}` },
  });
  const verified = await report([await planned("kiel-1", {}, byDigest("a"))]);
  expect(verified).toContain(
    `The image \`${images.telegraf}\`: it is verified by its digest \`sha256:aaaaaaaaaaaa\` from now on.`,
  );
  const changed = await report([await planned("kiel-1", byDigest("a"), byDigest("b"))]);
  expect(changed).toContain(
    `The image \`${images.telegraf}\`: its content changes under the same tag, ` +
      "from `sha256:aaaaaaaaaaaa` to `sha256:bbbbbbbbbbbb`.",
  );
});

describe("golden comments", () => {
  const cases: [string, () => Promise<SitePlan[]>][] = [
    ["no-change", async () => [await planned("kiel-1", {}, {})]],
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
          failed: "it leaves the inventory, so no rollout changes it any more: take it down first",
        },
      ],
    ],
  ];

  test.each(cases)("%s", async (name, plans) => {
    const made = await report(await plans());
    const golden = join(__dirname, "golden", `${name}.md`);
    if (update) {
      mkdirSync(join(__dirname, "golden"), { recursive: true });
      writeFileSync(golden, made);
    }
    expect(made).toBe(readFileSync(golden, "utf8"));
    expect(Buffer.byteLength(made)).toBeLessThanOrEqual(commentLimit);
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
  test("begins with the marker by which it is found again", async () =>
    expect((await report([])).split("\n")[0]).toBe(commentMarker));

  test("is never longer than GitHub takes, and closes what it opens", async () => {
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
      fc.asyncProperty(
        plans,
        fc.integer({ min: 2000, max: commentLimit }),
        async (sites, limit) => {
          const made = formatComment(
            await groupSites(
              sites.map(({ site, text: now, failed }) => ({
                site,
                ...(failed !== undefined && { failed }),
                steps: failed ? [] : [step({ name: site, new: { a: `${now}\n` } })],
              })),
            ),
            { method, limit },
          );
          expect(Buffer.byteLength(made)).toBeLessThanOrEqual(limit);
          expect(made.length).toBeLessThanOrEqual(limit);
          expect(made.match(/^<\/details>$/gm)?.length ?? 0).toBe(
            made.match(/^<details>/gm)?.length ?? 0,
          );
        },
      ),
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
    const made = formatComment(await groupSites(plans), { method, limit: 12_000 });
    const [, cut] = /(\d+) diffs did not fit/.exec(made) ?? [];
    expect(Number(cut) + (made.match(/<details>/g)?.length ?? 0)).toBe(30);
    expect(made).toMatch(/The whole report is in the run's artifact\.\n$/);
  });

  test("keeps a fence around text that holds fences", async () => {
    const made = await report([
      { site: "a", steps: [step({ old: { text: "x\n" }, new: { text: "````\nescaped\n" } })] },
    ]);
    expect(made).toContain("`````diff\n");
  });

  test("cannot be written into by a value", async () => {
    const made = await report([
      { site: "a", steps: [], failed: "`x`\n\n# heading <!-- | @everyone" },
    ]);
    expect(made).toContain("`'x' # heading <!-- | @everyone`");
  });

  test("shows the hash of a line that is too long, such as a program's bundle", async () => {
    const bundle = step({ old: { main: "x\n" }, new: { main: `${"y".repeat(5000)}\n` } });
    const made = await report([{ site: "a", steps: [bundle] }]);
    expect(made).toMatch(/\+\(5000 characters, sha256 [0-9a-f]{12}\)/);
    expect(made).not.toContain("yyyy");
  });

  test("shows each changed file of a container in a diff of its own", async () => {
    const uploads = (value: number) =>
      ["a.conf", "b.star", "c.conf"].map((file) => ({
        file: `/etc/${file}`,
        content: file === "c.conf" ? "same\n" : `value = ${value}\n`,
      }));
    const restart = step({
      op: "replace",
      type: "docker:index/container:Container",
      name: "dev-telegraf",
      changed: ["uploads[0].content", "uploads[1].content"],
      old: { name: "dev-telegraf", uploads: uploads(1) },
      new: { name: "dev-telegraf", uploads: uploads(2) },
    });
    const made = await report([{ site: "dev", steps: [restart] }]);
    expect(made.match(/(?<=<summary>).*(?=<\/summary>)/g)).toEqual([
      "/etc/a.conf of dev-telegraf",
      "/etc/b.star of dev-telegraf",
    ]);
  });
});

describe("sites share a group", () => {
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
    expect(
      (await groupSites([bump("a"), bump("b-1"), bump("c")])).map(({ sites }) => sites),
    ).toEqual([["a", "b-1", "c"]]));
  test("never where a value differs", async () =>
    expect((await groupSites([bump("a"), bump("b", "3")])).map(({ sites }) => sites)).toEqual([
      ["a"],
      ["b"],
    ]));
  test("never where only the name of another is in it", async () => {
    const other = { ...bump("a"), site: "b" };
    expect(await groupSites([bump("a"), other])).toHaveLength(2);
  });
  test("where a setting that does not change differs", async () => {
    const ports = (site: string, port: number) => ({
      site,
      steps: [step({ name: site, old: { v: "1", port }, new: { v: "2", port } })],
    });
    expect(await groupSites([ports("a", 1), ports("b", 2)])).toHaveLength(1);
  });
  test("apart from those that cannot be planned", async () =>
    expect(
      await groupSites([bump("a"), { site: "b", steps: [], failed: "unreachable" }]),
    ).toHaveLength(2));
});

test("a replaced container is described by its service, its cause and its effect", async () => {
  const made = await report([await planned("kiel-1", {}, { model: modelWithOneMore() })]);
  expect(made).toContain(
    "- **Telegraf restarts**: its config changed; nothing is lost, the broker queues.\n",
  );
});

test("a changed image is described by its old and new name", async () => {
  const made = await report([
    await planned("kiel-1", {}, { images: { grafana: "grafana/grafana:13.2.0" } }),
  ]);
  expect(made).toContain(
    `its image changes from \`${images.grafana}\` to \`grafana/grafana:13.2.0\``,
  );
});
