import { type Fleet, type FleetSite, loadFleet } from "../../configs/inventory";
import { renderInto } from "../../fleet";
import { acting, bessCommand, number, writableFolder } from "../command";
import { checkedSites, selected, selecting, type Selection } from "./selection";

/** The sites that were asked for; none of a wave that has none, for its job is then passed over. */
function shared(fleet: Fleet, asked: Selection): FleetSite[] {
  const isWholeWave = asked.site === undefined && Object.keys(asked.label).length === 0;
  const isEmpty = isWholeWave && !fleet.sites.some(({ wave }) => wave === asked.wave);
  const isWave = fleet.waves.some((wave) => wave === asked.wave);
  return isEmpty && isWave ? [] : selected(fleet, asked);
}

/** How many CI runners share the sites: never more than there are sites. */
export const fleetMatrix = () =>
  selecting(
    bessCommand("matrix", "Tells how many CI runners share sites, as a matrix of GitHub Actions."),
  )
    .option("--runners <n>", "most runners", number(1, 256), 1)
    .addHelpText(
      "after",
      `
Prints {"include": [{"runner": 1}, {"runner": 2}]}; each of them runs fleet up --share.
A wave without a site gives {"include": []}.`,
    )
    .example("A wave by at most four runners", "fleet matrix --wave rest --runners 4")
    .action(
      acting((asked: Selection & { runners: number }) => {
        const length = Math.min(asked.runners, shared(loadFleet(), asked).length);
        console.log(
          JSON.stringify({ include: Array.from({ length }, (_, i) => ({ runner: i + 1 })) }),
        );
      }),
    );

/** Renders sites, for a preview that compares two revisions. */
export const fleetRender = () =>
  selecting(
    bessCommand(
      "render",
      "Writes what each site's program asks for, its configs rendered: a file per site.",
    ),
  )
    .requiredOption("--out <folder>", "where to", writableFolder)
    .option(
      "--store <folder>",
      "keep the plans there, each once, and write into --out which site has which",
      writableFolder,
    )
    .example("What preview --rendered compares", "fleet render --out rendered")
    .action(
      acting((asked: Selection & { out: string; store?: string }) =>
        renderInto(asked.out, checkedSites(loadFleet(), asked), asked.store),
      ),
    );
