import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { type DataChange, dataChanges, type Stored, storedBy } from "../../policy";
import { type StackState, storedInState } from "../state";
import { named, type Names } from "./names";
import { hash, type PlanStore } from "./plans";
import { type Difference, differences } from "./standing";

/** A site whose state is looked at; plain data, for it crosses to a thread. */
export interface Look {
  names: Names;
  stack: string;
  engine: string;
  /** Plans by their digests; undefined where the site is not there. */
  base: { plan: string; shared: boolean; names: Names } | undefined;
  head: { plan: string; shared: boolean };
  /** File of its state in the backend, or the state itself. */
  state: string | StackState;
}

/** What a site's state says. */
export interface Found {
  /** Equal for sites whose states differ from base in the same; undefined where it is as base. */
  apart?: string;
  /** What differs, a line each, of the first few. */
  differs: string[];
  /** What head would do to what is stored there. Default: what base and head tell. */
  changes?: DataChange[];
}

/** What a backend in a folder keeps of a stack; undefined where it keeps nothing. */
function readStateFile(file: string): Buffer | undefined {
  const path = [file, `${file}.gz`].find(existsSync);
  return path === undefined ? undefined : readFileSync(path);
}

/** The state in such a file; an empty one where it was never updated. */
function parseState(content: Buffer): StackState {
  const isPacked = content[0] === 0x1f;
  const text = (isPacked ? gunzipSync(content) : content).toString();
  const { checkpoint } = JSON.parse(text) as { checkpoint?: { latest?: StackState | null } };
  return checkpoint?.latest ?? {};
}

/** Most differences that are told of one site. */
const mostTold = 5;

const lastPart = (key: string) => key.slice(key.lastIndexOf("::") + 2);

/** The same for two sites but for their names. */
function fingerprint(found: readonly Difference[], { site, stack, host }: Names): string {
  const words = [site, stack, ...(host ? [host] : [])]
    .map((name) => name.replace(/[^a-z0-9]/gi, "\\$&"))
    .join("|");
  const pattern = new RegExp(`(?<![A-Za-z0-9])(?:${words})(?![A-Za-z0-9])`, "g");
  return hash(JSON.stringify(found).replace(pattern, "<site>"));
}

/** What is stored by a plan, with stand-ins where the plan has them. */
const storedByPlan = new Map<string, string>();

function storedAfter(look: Look, store: PlanStore): Stored {
  const { head, names, engine } = look;
  const text = storedByPlan.get(head.plan) ?? JSON.stringify(storedBy(store.load(head.plan)));
  storedByPlan.set(head.plan, text);
  const stored = JSON.parse(head.shared ? named(text, names) : text) as Stored;
  return { ...stored, stack: names.stack, site: names.site, ...(engine && { engine }) };
}

/** What a site's state says, whatever head asks for. */
interface Standing extends Pick<Found, "apart" | "differs"> {
  stored: Stored;
}

/** Compares a site's state with what base would have left there. */
function standingOf(at: Look, state: StackState, store: PlanStore): Standing {
  const plan = at.base ? store.load(at.base.plan) : [];
  const found = differences(state, plan, at.base?.shared ? at.base.names : undefined);
  const isDeployed = (state.resources ?? []).length > 0;
  const nothing = found
    .slice(0, 1)
    .map((one) => ({ ...one, resource: "::the state", path: "", value: "it is not there" }));
  return {
    ...(found.length > 0 && { apart: fingerprint(found, at.names) }),
    differs: (isDeployed ? found.slice(0, mostTold) : nothing).map(
      ({ resource, path, value }) => `${lastPart(resource)}: ${path || String(value)}`,
    ),
    stored: storedInState(state),
  };
}

/** The same. What was seen in the same file before is not looked for again. */
function recalledStanding(at: Look, store: PlanStore, code: string): Standing {
  if (typeof at.state !== "string") return standingOf(at, at.state, store);
  const content = readStateFile(at.state);
  if (content === undefined) return standingOf(at, {}, store);
  const key = hash(JSON.stringify([code, at.base, at.names, hash(content)]));
  const known = store.recall(key);
  if (known !== undefined) return JSON.parse(known) as Standing;
  const standing = standingOf(at, parseState(content), store);
  store.remember(key, JSON.stringify(standing));
  return standing;
}

/**
 * Compares a site's state with what base would have left there, and with what head stores.
 * @param code digest of the code that looks.
 */
export function look(at: Look, store: PlanStore, code: string): Found {
  const { stored, ...standing } = recalledStanding(at, store, code);
  return { ...standing, changes: dataChanges(stored, storedAfter(at, store)) };
}
