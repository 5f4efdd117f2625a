import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { program } from "commander";
import pLimit from "p-limit";
import { localBackend, rehearsedStack, renderSite, setUp, WorkerPool } from "../automation";
import { images } from "../configs/images";
import { type FleetSite, inventoryFile, loadFleet } from "../configs/inventory";
import { newStackFile, readStackFile, siteKey, stackFile } from "../configs/sites";
import { Checkout } from "../tests/support/checkout";
import { stateUnder } from "../tests/support/states";
import { type Memory, peakMemory, secondsOf } from "./measuring";

const regions = ["north", "east", "south", "west"];
const customers = ["stadtwerke", "solarpark", "windhof", "netz"];

const siteName = (i: number) => `site-${String(i).padStart(5, "0")}`;

/** Every fiftieth site has a setting that no other has. */
const ownSetting = (i: number) => (i % 50 === 7 ? `, mqtt: { port: ${20_000 + i} }` : "");

/** An inventory as a fleet of that size has it: two kinds of hosts, four customers, two models. */
function inventory(count: number): string {
  const lines = Array.from({ length: count }, (_, i) => {
    const labels = [
      `region: ${regions[i % 4]}`,
      `customer: ${customers[Math.floor(i / 4) % 4]}`,
      `hardware: ${i % 5 === 0 ? "server" : "pi"}`,
      ...(i % 100 === 0 ? ["ring: canary"] : []),
    ];
    return (
      `  ${siteName(i)}: { engine: "ssh://bess@${siteName(i)}.example", ` +
      `labels: { ${labels.join(", ")} }${ownSetting(i)} }`
    );
  });
  return `labels:
  region: [${regions.join(", ")}]
  customer: [${customers.join(", ")}]
  hardware: [pi, server]
  ring: [canary]
defaults:
  profile: pi
  mqtt: { address: 0.0.0.0 }
overrides:
  - when: { hardware: server }
    set: { profile: server, model: configs/models/m5bat.yaml }
  - when: { customer: solarpark }
    set: { retention: 60d }
  - when: { region: south }
    set: { alerts: { enabled: false } }
waves:
  - { name: canary, when: { ring: canary } }
  - { name: early, share: 10% }
  - { name: rest }
sites:
${lines.join("\n")}
`;
}

/** Settings of a site but for its names: sites with the same ones are deployed alike. */
const alike = ({ settings }: FleetSite) => JSON.stringify({ ...settings, name: "", engine: "" });

/** A fleet of rehearsed sites in a repository of its own, every site as its commit has it. */
class RehearsedFleet {
  readonly checkout = new Checkout();
  private readonly folder = this.checkout.at(".cache/backend");
  private readonly states = join(this.folder, ".pulumi/stacks/bess-telemetry");
  private readonly packed: boolean;

  constructor(private readonly count: number) {
    // States of some MB each: those of many sites are kept as PULUMI_DIY_BACKEND_GZIP keeps them.
    this.packed = count > 2000;
    writeFileSync(this.checkout.at(inventoryFile), inventory(count));
  }

  /**
   * Deploys one site of each kind by Pulumi's engine; the others get a copy of its state under
   * their own names. What is encrypted stays that of the first, at which the engine previews.
   * @returns how many the engine has deployed.
   */
  async deploy(): Promise<number> {
    const { sites } = loadFleet(this.checkout.at(inventoryFile));
    const kinds = new Map<string, FleetSite[]>();
    // Nobody kills them: one state, at the end, is enough, and takes half the time.
    process.env.PULUMI_SKIP_CHECKPOINTS = "true";
    for (const site of sites) kinds.set(alike(site), [...(kinds.get(alike(site)) ?? []), site]);
    const size = Math.max(2, availableParallelism());
    // Of their own for what is rendered: a process has one program, and those deploy another.
    const pools = { up: new WorkerPool({ size }), render: new WorkerPool({ size: 1 }) };
    const limit = pLimit(size);
    // Those of many sites last: a backend in a folder is the slower the more stacks it has.
    const smallFirst = [...kinds.values()].sort((a, b) => a.length - b.length);
    await Promise.all(smallFirst.map((kind) => limit(() => this.deployKind(kind, pools))));
    for (const pool of Object.values(pools)) pool.close();
    this.checkout.git("add", "-A");
    this.checkout.git("commit", "-q", "-m", "a fleet");
    return kinds.size;
  }

  private async deployKind(
    [first, ...others]: FleetSite[],
    pools: Record<"up" | "render", WorkerPool>,
  ): Promise<void> {
    if (!first) return;
    await rehearsedStack(first.stack, {
      folder: this.folder,
      config: { [siteKey]: first.settings },
      program: this.checkout.at("index.ts"),
      workers: pools.up,
    }).up();
    const { encryptionsalt = "" } = readStackFile(
      first.stack,
      join(this.folder, "stacks", first.stack),
    );
    const { resources } = await renderSite(first.stack, first.settings, pools.render);
    const file = join(this.states, `${first.stack}.json`);
    const state = readFileSync(file, "utf8");
    for (const { name, stack } of [first, ...others]) {
      const text = newStackFile(name) + `encryptionsalt: ${encryptionsalt}\n`;
      writeFileSync(this.checkout.at(stackFile(stack)), text);
      const own = stateUnder(state, resources, first.name, name);
      if (this.packed)
        writeFileSync(join(this.states, `${stack}.json.gz`), gzipSync(own, { level: 1 }));
      else if (stack !== first.stack) writeFileSync(join(this.states, `${stack}.json`), own);
    }
    if (this.packed) rmSync(file);
  }

  /** Previews the last commit. @returns what the comment's title says, and what it took. */
  async preview(...args: string[]): Promise<{ title: string; seconds: number; memory: Memory }> {
    const output = ["markdown", "report", "json"].map((kind) => `--${kind}=.cache/preview.${kind}`);
    let memory: Memory = { node: 0, all: 0 };
    const seconds = await secondsOf(async () => {
      memory = await peakMemory(async () => {
        const { code, stderr } = await this.checkout.bessAs(
          localBackend(this.folder),
          "fleet",
          "preview",
          "--since=HEAD^",
          ...output,
          ...args,
        );
        if (code !== 0) throw new Error(`bess fleet preview ended with ${code}: ${stderr}`);
      });
    });
    const comment = readFileSync(this.checkout.at(".cache/preview.markdown"), "utf8");
    const [, title = ""] = /^## (.*)$/m.exec(comment) ?? [];
    const [, coverage = ""] = /^\*\*(Previewed at .*)$/m.exec(comment) ?? [];
    return { title: `${title}; ${coverage.replaceAll("*", "")}`, seconds, memory };
  }

  /** Makes a commit of one change, measures its preview, and takes it back. */
  async measure(
    { what, file, from, to }: Change,
    { isCold = true, args = [], comments }: Measuring = {},
  ): Promise<number> {
    if (isCold) rmSync(this.checkout.at(".cache/plans"), { recursive: true, force: true });
    const path = this.checkout.at(file);
    const before = readFileSync(path, "utf8");
    const after = before.replace(from, to);
    if (after === before) throw new Error(`${file} has nothing to change: ${from}`);
    writeFileSync(path, after);
    this.checkout.git("commit", "-q", "-a", "-m", what);
    const { title, seconds, memory } = await this.preview(...args);
    this.checkout.git("reset", "-q", "--hard", "HEAD^");
    if (comments !== undefined)
      copyFileSync(this.checkout.at(".cache/preview.markdown"), join(comments, `${what}.md`));
    console.log(
      `${what}, ${this.count} sites, ${isCold ? "nothing cached" : "cached"}: ` +
        `${seconds.toFixed(1)} s, ${Math.round(memory.all)} MiB (${title})`,
    );
    return seconds;
  }
}

/** How a preview is measured. */
interface Measuring {
  /** Whether nothing has been rendered before. Default: true. */
  isCold?: boolean;
  /** More of the command line. */
  args?: string[];
  /** Folder that gets the comment. Default: none. */
  comments?: string | undefined;
}

/** What a pull request changes. */
interface Change {
  what: string;
  file: string;
  from: string | RegExp;
  to: string;
}

const oneSite: Change = {
  what: "one site",
  file: inventoryFile,
  from: /(site-00007: .*) }$/m,
  to: "$1, retention: 120d }",
};
const aDefault: Change = {
  what: "a default",
  file: inventoryFile,
  from: "defaults:\n",
  to: "defaults:\n  grafana: { anonymous: true }\n",
};
const image: Change = {
  what: "an image",
  file: "configs/images.ts",
  from: images.telegraf,
  to: images.telegraf.replace(/:[\d.]+/, ":1.40.0"),
};

/** Sites of which each is planned by the engine, as all were formerly. */
const sampled = 16;

async function benchmark(count: number, comments?: string): Promise<void> {
  const fleet = new RehearsedFleet(count);
  try {
    let kinds = 0;
    const made = await secondsOf(async () => void (kinds = await fleet.deploy()));
    console.log(
      `${count} rehearsed sites in ${made.toFixed(0)} s: ${kinds} deployed by Pulumi's engine, ` +
        "the others' states copied from those under their own names",
    );
    await fleet.measure(oneSite);
    const one = await fleet.measure(oneSite, { isCold: false, comments });
    await fleet.measure(aDefault, { comments });
    const all = await fleet.measure(image, { comments });
    const names = Array.from({ length: sampled }, (_, i) => siteName(i * 3)).join(",");
    const args = ["--site", names];
    const sample = await fleet.measure(image, { isCold: false, args });
    const each =
      ((await fleet.measure(image, { isCold: false, args: ["--all", ...args] })) - sample) /
      (sampled - 1);
    console.log(
      `the former way, over ${sampled} sites: ${each.toFixed(2)} s of Pulumi's engine for each ` +
        `site more, ${(each * count).toFixed(0)} s for all by calculation; rendering is not counted`,
    );
    console.log(`ratio: ${((each * count) / all).toFixed(1)}`);
    console.log(`seconds: one ${one.toFixed(1)} all ${all.toFixed(1)}`);
  } finally {
    fleet.checkout.remove();
  }
}

program
  .name("npm run bench:preview --")
  .description(
    "`bess fleet preview` of pull requests, at rehearsed sites that are as the base has them.",
  )
  .option("--sites <n>", "number of sites", Number, 1000)
  .option("--comments <folder>", "keep the comments of the pull requests there")
  .action(async ({ sites, comments }: { sites: number; comments?: string }) => {
    if (!(await setUp("rehearse"))) process.exit(1);
    if (comments !== undefined) mkdirSync(comments, { recursive: true });
    await benchmark(sites, comments);
    process.exit(0);
  })
  .parseAsync()
  .catch((error: Error) => (console.error(error.message), process.exit(1)));
