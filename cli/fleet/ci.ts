import { loadFleet } from "../../configs/inventory";
import { renderInto, splitIntoShards } from "../../fleet";
import { acting, bessCommand, number } from "../command";
import { checkedSites, selected, selecting, type Selection } from "./selection";

/** Splits sites over CI runners. */
export const fleetMatrix = () =>
  selecting(bessCommand("matrix", "Splits sites over CI runners, as a matrix of GitHub Actions."))
    .option("--shards <n>", "most runners", number(1, 256), 1)
    .addHelpText(
      "after",
      `
Prints {"include": [{"shard": 1, "shards": 4, "sites": "a,b"}]}; --site takes a shard's sites.`,
    )
    .example("A wave over at most four runners", "fleet matrix --wave rest --shards 4")
    .action(
      acting((asked: Selection & { shards: number }) =>
        console.log(
          JSON.stringify({ include: splitIntoShards(selected(loadFleet(), asked), asked.shards) }),
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
    .requiredOption("--out <folder>", "where to")
    .example("What preview --rendered compares", "fleet render --out rendered")
    .action(
      acting((asked: Selection & { out: string }) =>
        renderInto(asked.out, checkedSites(loadFleet(), asked)),
      ),
    );
