/** The state of a stack: what the engine believes to be there. */

import { UserError } from "../../errors.ts";
import { type Holdings, holdings } from "../../machine/owner.ts";
import { capture } from "../system/run.ts";
import {
  isStackFileThere,
  isUpdate,
  readLastUpdate,
  readStateFile,
  type StackPlaces,
  type State,
  type StateResource,
  stateHoldings,
  type Update,
} from "./checkpoint.ts";
import { askEngine, inCheckout, type Session, tryEngine } from "./session.ts";

/** What a stack has by the file of its state; undefined where that does not tell. */
export function findHoldings(place: StackPlaces | undefined): Holdings | undefined {
  if (!place) return undefined;
  const state = readStateFile(place);
  if (state) return stateHoldings(state);
  return isStackFileThere(place) ? undefined : holdings([]);
}

/** Types whose creation can simply be done again: a container or network left behind is found by its label. */
const REPEATABLE = /^(docker|command|random):/;

/** Reads the state; secrets stay encrypted. The engine is asked only where the state is not in a file. */
export async function readState(session: Session): Promise<State> {
  return readStateFile(session.place) ?? JSON.parse(await askEngine(session, ["stack", "export"]));
}

/** How many entries of a history are asked for: looks at what is there may come after the last update. */
const HISTORY = 20;

/** The last update of a stack, however it ended; one that was killed is not among them. */
export async function lastUpdate(session: Session): Promise<Update | undefined> {
  const update = readLastUpdate(session.place);
  if (update) return update;
  const history = ["stack", "history", "--json", "--page-size", String(HISTORY)];
  const { code, stdout } = await tryEngine(session, history);
  const last = code === 0 ? JSON.parse(stdout).find(isUpdate) : undefined;
  return last && { ...last, startTime: Date.parse(last.startTime) };
}

/** The resources whose creation was cut short. */
export function unfinished({ deployment }: State): StateResource[] {
  return (deployment.pending_operations ?? [])
    .filter(({ type }) => type === "creating")
    .map(({ resource }) => resource);
}

/** The state without the creations that can simply be done again; undefined where there is none of them. */
export function withoutUnfinished(state: State): State | undefined {
  const pending = state.deployment.pending_operations ?? [];
  const kept = pending.filter(({ type, resource }) => type !== "creating" || !REPEATABLE.test(resource.type));
  if (kept.length === pending.length) return undefined;
  return { ...state, deployment: { ...state.deployment, pending_operations: kept } };
}

/**
 * The state with resources marked to be made again. The mark stays until that is done, however often a run is cut short.
 *
 * @returns undefined where there is nothing left to mark
 */
export function tainted(state: State, isMeant: (resource: StateResource) => boolean): State | undefined {
  const { resources = [] } = state.deployment;
  const isNew = (resource: StateResource) => !resource.taint && isMeant(resource);
  if (!resources.some(isNew)) return undefined;
  const marked = resources.map((each) => (isNew(each) ? { ...each, taint: true } : each));
  return { ...state, deployment: { ...state.deployment, resources: marked } };
}

/** Puts a state in the place of the one that is there. @throws UserError with what the engine said */
export async function writeState(session: Session, state: State): Promise<void> {
  const { code, stderr } = await capture(session.engine.file, ["stack", "import", "--non-interactive"], {
    ...inCheckout(session),
    input: JSON.stringify(state),
  });
  if (code !== 0) throw new UserError(`the state of stack ${session.stack} cannot be repaired:\n${stderr}`);
}
