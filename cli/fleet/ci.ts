import { type Fleet, type FleetSite, loadFleet } from "../../configs/inventory";
import { renderInto, splitIntoShards } from "../../fleet";
import { acting, bessCommand, number, writableFolder } from "../command";
import { checkedSites, selected, selecting, type Selection } from "./selection";

/** The sites that were asked for; none of a wave that has none, for its job is then passed over. */
function splitting(fleet: Fleet, asked: Selection): FleetSite[] {
  const isWholeWave = asked.site === undefined && Object.keys(asked.label).length === 0;
  const isEmpty = isWholeWave && !fleet.sites.some(({ wave }) => wave === asked.wave);
  const isWave = fleet.waves.some((wave) => wave === asked.wave);
  return isEmpty && isWave ? [] : selected(fleet, asked);
}

/** Splits sites over CI runners. */
export const fleetMatrix = () =>
  selecting(bessCommand("matrix", "Splits sites over CI runners, as a matrix of GitHub Actions."))
    .option("--shards <n>", "most runners", number(1, 256), 1)
    .addHelpText(
      "after",
      `
Prints {"include": [{"shard": 1, "shards": 4, "sites": "a,b"}]}; --site takes a shard's sites.
A wave without a site gives {"include": []}.`,
    )
    .example("A wave over at most four runners", "fleet matrix --wave rest --shards 4")
    .action(
      acting((asked: Selection & { shards: number }) =>
        console.log(
          JSON.stringify({ include: splitIntoShards(splitting(loadFleet(), asked), asked.shards) }),
        ),
      ),
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
