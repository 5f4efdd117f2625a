import { needsPerson, type RolloutEvidence, partDetails, type SiteEvidence } from "./records";

/** Text that no value can leave. */
const escaped = (value: unknown) =>
  String(value).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** Stands where there is nothing to tell. */
const none = "–";

const count = (value: number) => value.toLocaleString("en");

/** A time as people compare it, in UTC. */
const moment = (time: string | undefined) =>
  time ? `${time.slice(0, 19).replace("T", " ")} UTC` : none;

/** Seconds as people read them. */
export function duration(seconds: number | undefined): string {
  if (seconds === undefined) return none;
  if (seconds < 120) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 360) / 10} h`;
}

/** What a gate measured, row by row. */
function gateRows({ gate }: SiteEvidence): [string, string, string][] {
  const rate = (value: number) => `${Math.round(value * 100) / 100}/min`;
  return [
    ...Object.entries(gate?.rates ?? {}).map(
      ([name, { before, after }]): [string, string, string] => [name, rate(before), rate(after)],
    ),
    ...(gate?.drops
      ? [
          ["dropped messages", rate(gate.drops.before), rate(gate.drops.after)] as [
            string,
            string,
            string,
          ],
        ]
      : []),
  ];
}

function gateCell(site: SiteEvidence): string {
  if (!site.gate) return none;
  const word = site.gate.findings.length === 0 ? "passed" : "not passed";
  const rows = gateRows(site);
  if (rows.length === 0) return word;
  const body = rows.map(
    (cells) => `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join("")}</tr>`,
  );
  return (
    `<details><summary>${word}</summary><table class="gate"><thead><tr><th>rows of</th><th>before</th>` +
    `<th>after</th></tr></thead><tbody>${body.join("")}</tbody></table></details>`
  );
}

function cellsOf(site: SiteEvidence): [head: string, cell: string][] {
  const { messages, waited, downtime, ...more } = site;
  return [
    ["Site", `<b>${escaped(site.site)}</b>`],
    ["Wave", escaped(site.wave)],
    ["Result", `<span class="${escaped(site.result)}">${escaped(site.result)}</span>`],
    ["Started", moment(site.started)],
    ["Took", duration(site.seconds)],
    ["Waited", waited ? `${duration(waited.seconds)}: ${escaped(waited.why)}` : none],
    ["Not storing", duration(downtime?.seconds)],
    ["Lost", messages ? `${count(messages.lost)} of ${count(messages.sent)}` : none],
    ["Gate", gateCell(site)],
    ["More", escaped(partDetails(more).join("; ")) || none],
  ];
}

function section(title: string, sites: readonly SiteEvidence[]): string {
  if (sites.length === 0) return "";
  const rows = sites.map(cellsOf);
  // What no site of it has takes no room from what some have.
  const heads = new Set(rows.flat().flatMap(([name, cell]) => (cell === none ? [] : [name])));
  const classOf = (cell: string) => (cell === none ? ' class="empty"' : "");
  const lines = rows.map((cells) =>
    cells
      .filter(([name]) => heads.has(name))
      .map(([name, cell]) => `<td data-name="${name}"${classOf(cell)}>${cell}</td>`),
  );
  const head = (rows[0] ?? [])
    .filter(([name]) => heads.has(name))
    .map(([name]) => `<th>${name}</th>`)
    .join("");
  return (
    `<h2>${escaped(title)} <small>${count(sites.length)}</small></h2>` +
    `<div class="wide"><table class="sites"><thead><tr>${head}</tr></thead>` +
    `<tbody>${lines.map((line) => `<tr>${line.join("")}</tr>`).join("\n")}</tbody></table></div>`
  );
}

const style = `
:root { color-scheme: light dark; --line: #8884; --bad: #c62828; --good: #2e7d32; --wait: #b26a00; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #81c784; --wait: #ffb74d; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 1300px; padding: 1rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 1.6rem 0 .5rem; }
small { font-weight: normal; opacity: .7; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 1rem 0; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; }
ul.figures { display: flex; flex-wrap: wrap; gap: .6rem; list-style: none; margin: 1rem 0; padding: 0; }
ul.figures li { border: 1px solid var(--line); border-radius: .5rem; padding: .4rem .8rem; }
ul.figures b { display: block; font-size: 1.3rem; }
table { border-collapse: collapse; } td, th { padding: .35rem .6rem; text-align: left; vertical-align: top; }
table.sites { width: 100%; } .sites td, .sites th { border-bottom: 1px solid var(--line); }
.sites td { font-variant-numeric: tabular-nums; } td[data-name="Waited"], td[data-name="More"] { overflow-wrap: anywhere; } .sites th { opacity: .7; font-weight: normal; }
table.gate { font-size: .9em; } .wide { overflow-x: auto; } summary { cursor: pointer; }
.failed, .locked, .unreachable, .lost { color: var(--bad); font-weight: 600; }
.deferred, .running { color: var(--wait); font-weight: 600; } .verified, .up-to-date, .none { color: var(--good); }
@media (min-width: 761px) {
  .sites > * > tr > :not([data-name="Waited"], [data-name="More"]) { white-space: nowrap; }
}
@media (max-width: 760px) {
  .sites .empty { display: none !important; }
  .sites thead { display: none; } .sites, .sites tbody, .sites > tbody > tr { display: block; }
  .sites > tbody > tr { border-bottom: 2px solid var(--line); padding: .5rem 0; }
  .sites > tbody > tr > td { border: 0; display: grid; grid-template-columns: 6.5rem 1fr; gap: .5rem; padding: .1rem 0; }
  .sites > tbody > tr > td::before { content: attr(data-name); opacity: .7; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
}`;

/**
 * A rollout as a page of HTML: it holds all that it shows, runs no script, and fetches nothing. What
 * needs a person comes first.
 */
export function evidencePage(evidence: RolloutEvidence): string {
  const { rollout, sites, results, messages, longestDowntime } = evidence;
  const title = `Rollout ${rollout}`;
  const facts: [string, string][] = [
    ["Outcome", evidence.outcomes.join(", ")],
    ["Why", evidence.reasons.join("; ")],
    ["By", evidence.by.join(", ")],
    ["Commit", evidence.revisions.join(", ")],
    ["Kind", evidence.kinds.join(", ")],
    ["Started", moment(evidence.started)],
    ["Finished", moment(evidence.finished)],
    ["Records", evidence.records.join(", ")],
  ];
  const figures: [string, string, string][] = [
    ["sites", count(sites.length), ""],
    ...Object.entries(results).map(([result, number]): [string, string, string] => [
      result,
      count(number),
      result,
    ]),
    ...(messages.sent > 0
      ? [
          [
            "marked messages lost",
            `${count(messages.lost)} of ${count(messages.sent)}`,
            messages.lost > 0 ? "lost" : "none",
          ] as [string, string, string],
        ]
      : []),
    ...(longestDowntime === undefined
      ? []
      : [["longest without storing", duration(longestDowntime), ""] as [string, string, string]]),
  ];
  const waves = [...new Set(sites.map(({ wave }) => wave))];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
<ul class="figures">${figures
    .map(
      ([name, value, kind]) => `<li><b class="${escaped(kind)}">${value}</b>${escaped(name)}</li>`,
    )
    .join("")}</ul>
<dl>${facts
    .filter(([, value]) => value)
    .map(([name, value]) => `<dt>${name}</dt><dd>${escaped(value)}</dd>`)
    .join("")}</dl>
${section("To look at", sites.filter(needsPerson))}
${waves
  .map((wave) =>
    section(
      `Wave ${wave}`,
      sites.filter((site) => site.wave === wave && !needsPerson(site)),
    ),
  )
  .join("\n")}
</body>
</html>
`;
}
