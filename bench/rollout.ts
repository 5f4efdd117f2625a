import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { program } from "commander";
import { rehearsedStack, renderSite, root, setUp, WorkerPool } from "../automation";
import { images } from "../configs/images";
import { siteKey } from "../configs/sites";
import { type UpdateLock, updateSchema } from "../configs/update-locks";
import { gatherRecords, rolloutEvidence } from "../fleet";
import { Engine, type Fault } from "../rehearsal";
import {
  Records,
  type RolloutCase,
  type RolloutRecord,
  settingsOf,
} from "../tests/support/rollout";
import { stateUnder } from "../tests/support/states";
import { peakMemory, secondsOf } from "./measuring";

const siteName = (i: number) => `site-${String(i).padStart(4, "0")}`;
const commit = { one: "1".repeat(40), two: "2".repeat(40) };
const telegraf = {
  [commit.one]: images.telegraf,
  [commit.two]: images.telegraf.replace(/:[\d.]+/, ":1.40.0"),
};
const zones = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Sydney"];

/** Seconds for which a claim of a runner holds. */
const claimSeconds = 240;

/** What goes wrong at a site, and how it is to end. */
interface Trouble {
  what: string;
  result: "verified" | "failed" | "unreachable" | "deferred" | "locked";
  fault?: Fault;
  /** What its stack, its engine or its lock has. */
  has?: "busy" | "held" | "closed" | "locked";
}

const fault = (resource: string, kind: Fault["kind"]): Fault => ({ resource, kind, seconds: 3 });

/** Ten kinds; `*` stands for a site's name. */
const troubles: Trouble[] = [
  { what: "no link", result: "unreachable", fault: fault("engine", "fail") },
  { what: "a link that comes and goes", result: "verified", fault: fault("engine", "flap") },
  { what: "a slow host", result: "verified", fault: fault("Container:*", "slow") },
  {
    what: "a container that is refused",
    result: "failed",
    fault: fault("Container:*-telegraf", "fail"),
  },
  {
    what: "a container refused at first",
    result: "failed",
    fault: fault("Container:*-telegraf", "flap"),
  },
  {
    what: "a service that never answers",
    result: "failed",
    fault: fault("Container:*-telegraf", "unhealthy"),
  },
  { what: "a battery at work", result: "deferred", has: "busy" },
  { what: "a hold", result: "deferred", has: "held" },
  { what: "a window too far away", result: "deferred", has: "closed" },
  { what: "a lock of another run", result: "locked", has: "locked" },
];

/** A time of the day by a zone's clock, as another program than the project's tells it. */
const onTheWall = (timeZone: string, at: number): string =>
  new Intl.DateTimeFormat("en-GB", {
    timeZone,
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).format(at);

/** A window by a zone's clock, between two moments. */
const windowOf = (timeZone: string, from: number, to: number): UpdateLock => ({
  ...updateSchema.parse({
    window: { from: onTheWall(timeZone, from), to: onTheWall(timeZone, to) },
    wait: "1h",
  }),
  timeZone,
});

/** Rehearsed sites, as a rollout has left them at the first commit. */
class Fleet {
  readonly folder = mkdtempSync(join(tmpdir(), "bench-"));
  private readonly backend = join(this.folder, ".pulumi");
  readonly names: string[];
  readonly troubleOf = new Map<string, Trouble>();

  constructor(
    count: number,
    private readonly alerts: boolean,
  ) {
    this.names = Array.from({ length: count }, (_, i) => siteName(i));
    // 3 % of the sites, and at least one of each kind, spread over all of them; the canaries have none.
    const every = Math.max(1, Math.min(33, Math.floor((count - 20) / troubles.length)));
    for (let i = 20; i < count; i += every)
      this.troubleOf.set(siteName(i), troubles[Math.floor(i / every) % troubles.length] ?? never());
  }

  private settings = (name: string) => settingsOf(name, telegraf[commit.one], this.alerts);

  /** Deploys one by Pulumi's engine; the others get copies of its state under their own names. */
  async deploy(): Promise<void> {
    const [first = "", ...others] = this.names;
    const workers = new WorkerPool({ size: 1 });
    const stack = rehearsedStack(first, {
      folder: this.folder,
      config: { [siteKey]: this.settings(first), "bess-telemetry:commit": commit.one },
      workers,
    });
    await stack.up();
    const { resources } = await renderSite(first, this.settings(first), workers);
    workers.close();
    const states = join(this.backend, "stacks/bess-telemetry");
    const state = readFileSync(join(states, `${first}.json`), "utf8");
    const engine = JSON.stringify(stack.simulatedEngine().state);
    for (const name of others) {
      writeFileSync(join(states, `${name}.json`), stateUnder(state, resources, first, name));
      const own = Engine.open(join(this.folder, "engines"), `ssh://bess@${name}`);
      own.save(() => Object.assign(own.state, JSON.parse(engine.replaceAll(first, name))));
      mkdirSync(join(this.folder, "stacks", name), { recursive: true });
      copyFileSync(
        join(this.folder, "stacks", first, `Pulumi.${first}.yaml`),
        join(this.folder, "stacks", name, `Pulumi.${name}.yaml`),
      );
    }
    for (const name of this.names)
      writeFileSync(
        join(states, `${name}.pulumi-tags`),
        JSON.stringify({
          version: 1,
          tags: { "bess-telemetry:deployed-revision": `${commit.one} - verified` },
        }),
      );
    for (const [name, { has }] of this.troubleOf) this.prepare(name, has);
  }

  private prepare(name: string, has: Trouble["has"]): void {
    if (has === "busy") {
      const engine = Engine.open(join(this.folder, "engines"), `ssh://bess@${name}`);
      engine.save(() => (engine.state.busy = "the battery discharges (bess.power)"));
    }
    if (has === "locked") {
      const folder = join(this.backend, "locks/organization/bess-telemetry", name);
      mkdirSync(folder, { recursive: true });
      const holder = { pid: 1, username: "somebody", hostname: "elsewhere", timestamp: new Date() };
      writeFileSync(join(folder, `${randomUUID()}.json`), JSON.stringify(holder));
    }
  }

  faults = (): RolloutCase["faults"] =>
    Object.fromEntries(
      [...this.troubleOf].flatMap(([name, { fault: one }]) =>
        one
          ? [
              [
                name,
                [
                  {
                    ...one,
                    resource: one.resource.replace(
                      "*",
                      one.resource === "Container:*" ? "*" : name,
                    ),
                  },
                ],
              ],
            ]
          : [],
      ),
    );

  /** A site in three has a window: one that is open, or opens within minutes. */
  locks(now: number): Record<string, UpdateLock> {
    const hour = 3_600_000;
    return Object.fromEntries(
      this.names.flatMap((name, i) => {
        const zone = zones[i % zones.length] ?? "UTC";
        const { has } = this.troubleOf.get(name) ?? {};
        if (has === "busy")
          return [[name, updateSchema.parse({ condition: "not-discharging", wait: "2m" })]];
        if (has === "held")
          return [
            [name, updateSchema.parse({ hold: { reason: "a test", until: "2099-01-01T00:00Z" } })],
          ];
        if (has === "closed") return [[name, windowOf(zone, now + 12 * hour, now + 13 * hour)]];
        if (i % 3 > 0) return [];
        const opens = now + (i % 6 === 0 ? -hour : (1 + (i % 2)) * 60_000);
        return [[name, windowOf(zone, opens, opens + 3 * hour)]];
      }),
    );
  }

  /** How often the engine has worked at each site. */
  updates(): Map<string, number> {
    const history = join(this.backend, "history/bess-telemetry");
    return new Map(
      this.names.map((name) => {
        const folder = join(history, name);
        const files = existsSync(folder) ? readdirSync(folder) : [];
        const all = files.filter((file) => file.endsWith(".history.json")).length;
        return [name, all - (name === this.names[0] ? 1 : 0)];
      }),
    );
  }

  /** Starts a process that does its share of the rollout. */
  start(runner: string, told: RolloutCase): ChildProcess {
    const file = join(this.folder, `${runner}.json`);
    writeFileSync(file, JSON.stringify({ ...told, records: `records-${runner}` }));
    return spawn(
      process.execPath,
      [join(root, "cli/bess.js"), "../tests/support/rollout", `@${file}`],
      { stdio: ["ignore", "ignore", "inherit"], detached: true },
    );
  }

  recordsOf = (runner: string): string => join(this.folder, `records-${runner}`);

  records = (runner: string): RolloutRecord | undefined =>
    new Records(this.recordsOf(runner)).last();

  remove = () => rmSync(this.folder, { recursive: true, force: true });
}

function never(): never {
  throw new Error("there is no kind of trouble");
}

const ended = async (child: ChildProcess): Promise<void> =>
  void (child.exitCode === null && child.signalCode === null && (await once(child, "exit")));

/** How many sites a runner has a result of. */
const doneBy = (record?: RolloutRecord) =>
  Object.values(record?.sites ?? {}).filter(({ seconds }) => seconds !== undefined).length;

async function benchmark(
  count: number,
  { parallel, alerts, records }: { parallel: number; alerts: boolean; records?: string },
): Promise<void> {
  const fleet = new Fleet(count, alerts);
  try {
    const made = await secondsOf(() => fleet.deploy());
    console.log(
      `${count} rehearsed sites in ${made.toFixed(0)} s; ${fleet.troubleOf.size} with one of ` +
        `${troubles.length} kinds of trouble`,
    );
    const locks = fleet.locks(Date.now());
    const { names } = fleet;
    const early = 10 + Math.ceil(count / 10);
    const told: RolloutCase = {
      folder: fleet.folder,
      kind: "up",
      commit: commit.two,
      waves: {
        canary: names.slice(0, 10),
        early: names.slice(10, early),
        rest: names.slice(early),
      },
      images: telegraf,
      faults: fleet.faults() ?? {},
      budget: fleet.troubleOf.size,
      parallel,
      locks,
      onFailure: "rollback",
      share: { name: "night", claimSeconds },
      alerts,
    };
    let seconds = 0;
    let killedAt = 0;
    const memory = await peakMemory(async () => {
      seconds = await secondsOf(async () => {
        const [a, b] = [fleet.start("a", told), fleet.start("b", told)];
        // The first is killed once a third of the sites is done, with all that it has started.
        const isDue = () => doneBy(fleet.records("a")) + doneBy(fleet.records("b")) >= count / 3;
        while (!isDue() && a.exitCode === null) await sleep(5000);
        if (a.pid !== undefined && a.exitCode === null) process.kill(-a.pid, "SIGKILL");
        await ended(a);
        killedAt = doneBy(fleet.records("a"));
        const again = fleet.start("a", { ...told, kind: "resume" });
        await Promise.all([ended(again), ended(b)]);
      });
    });
    const folders = ["a", "b"].map(fleet.recordsOf);
    if (records !== undefined)
      for (const from of folders) cpSync(from, join(records, basename(from)), { recursive: true });
    report(fleet, gatherRecords(folders), { seconds, killedAt, locks, peak: memory.all });
  } finally {
    fleet.remove();
  }
}

function report(
  fleet: Fleet,
  records: RolloutRecord[],
  {
    seconds,
    killedAt,
    locks,
    peak,
  }: { seconds: number; killedAt: number; locks: Record<string, UpdateLock>; peak: number },
): void {
  const evidence = rolloutEvidence(records, "night");
  const found = new Map(evidence.sites.map((site) => [site.site, site]));
  const results = Object.entries(evidence.results).map(([result, many]) => `${many} ${result}`);
  const updates = fleet.updates();
  const updated = [...updates].filter(([, times]) => times > 0).length;
  const rolledBack = [...found].filter(([, site]) => site.rolledBack);
  // One that went back was updated twice by that; tries that did not reach the engine touch nothing.
  const twice = [...updates].filter(
    ([name, times]) =>
      fleet.troubleOf.get(name)?.fault?.resource !== "engine" &&
      times > (found.get(name)?.rolledBack ? 2 : 1),
  );
  const outside = [...found].filter(([name, { started, result }]) => {
    const { window, timeZone = "UTC" } = locks[name] ?? {};
    if (!window || started === undefined || result === "deferred") return false;
    const [time, from = "", to = ""] = [
      onTheWall(timeZone, Date.parse(started)),
      window.from,
      window.to,
    ];
    return from < to ? time < from || time >= to : time < from && time >= to;
  });
  const touched = [...found].filter(
    ([name, { result }]) => result === "deferred" && (updates.get(name) ?? 0) > 0,
  );
  const odd = [...found].filter(
    ([name, { result }]) => result !== (fleet.troubleOf.get(name)?.result ?? "verified"),
  );
  const waited = [...found.values()].filter((site) => site.waited).length;
  const outcomes = records.map(({ outcome, reason = "" }) => `${outcome} ${reason}`.trim());
  console.log(`outcomes: ${outcomes.join(", ")}; ${results.join(", ")}`);
  console.log(
    `one runner killed after ${killedAt} sites, and resumed; updated ${updated} sites, ` +
      `${rolledBack.length} went back, ${waited} waited`,
  );
  console.log(
    `begun outside their window: ${outside.length}; deferred and touched: ${touched.length}; ` +
      `updated once too often: ${twice.length} (${twice.map(([name]) => name).join(", ")})`,
  );
  for (const [name, { result, reason }] of odd.slice(0, 20))
    console.log(
      `unlike expected: ${name} (${fleet.troubleOf.get(name)?.what ?? "no trouble"}) ${result} ${reason ?? ""}`,
    );
  console.log(`seconds: ${seconds.toFixed(0)} memory: ${Math.round(peak)} MiB`);
}

program
  .name("npm run bench:rollout --")
  .description(
    "A rollout of rehearsed sites with update locks and faults by two runners that share it; one " +
      "is killed in the middle, and resumed.",
  )
  .option("--sites <n>", "number of sites", Number, 1000)
  .option("--parallel <n>", "sites at once of each runner", Number, 2)
  .option("--alerts", "with alert rules, as real sites have them; it takes about twice as long")
  .option("--records <folder>", "keep the runners' records there, for bess fleet report")
  .action(async ({ sites, parallel, alerts = false, records }) => {
    if (!(await setUp("rehearse"))) process.exit(1);
    await benchmark(sites, { parallel, alerts, records });
    process.exit(0);
  })
  .parseAsync()
  .catch((error: Error) => (console.error(error.message), process.exit(1)));
