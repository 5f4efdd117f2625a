/** A change of what a site stores. */
export interface DataChange {
  /** What changes, with its old and its new value: `retention 365d -> 10d`. It confirms itself. */
  change: string;
  /** What it does, in Markdown. */
  effect: string;
  /** Whether data is lost by it, stored or still to come. */
  loses: boolean;
  /** Whether an update refuses it at a site whose tables are as before, confirmed or not. */
  refused?: true;
}

/** The change by which a later removal of the site deletes its data. */
export const purgeTurnedOn = "purge false -> true";

/** Stands for what is not there. */
export const none = "none";

const changed =
  (loses: boolean) =>
  (what: string, from: string, to: string, effect: string): DataChange => ({
    change: `${what} ${from} -> ${to}`.replace(/\s+/g, " "),
    effect,
    loses,
  });

/** A change of something from one value to another that loses data. */
export const loses = changed(true);

/** The same of one that loses none. */
export const keeps = changed(false);
