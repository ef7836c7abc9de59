/**
 * A start that has nothing to do, told without the engine: what it depends on is as it was at the last good start, and what that
 * made is there and well. Where anything differs or is not certain, the engine runs.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { askDocker } from "../../machine/docker/api.ts";
import { isWell, readStatus } from "../../machine/docker/condition.ts";
import { TYPE } from "../../machine/resource-types.ts";
import type { Context } from "../context.ts";
import { findStrays } from "../docker/on-daemon.ts";
import { foreignVolumes, hasAllFolders, missingOnDaemon, mountedFolders } from "../docker/present.ts";
import { lookOfKind } from "../hosts/glance/index.ts";
import {
  checkpointFile,
  entries,
  findPlaces,
  historyFiles,
  hostKindOf,
  readStateFile,
  type State,
  type StateResource,
} from "../pulumi/checkpoint.ts";

/** A daemon that hangs is for the whole run to deal with, in milliseconds. */
const PATIENCE_MS = 3_000;

/** What is remembered of a stack lasts until it is replaced. */
const FOR_EVER = Number.POSITIVE_INFINITY;

/**
 * Whether a stack is as its last good start left it, and all of it is there and well.
 *
 * @param inputs from `hashInputs`
 */
export async function isUnchanged(context: Context, stack: string, inputs: string): Promise<boolean> {
  const noted = context.memo.get(keyOf(context, stack), FOR_EVER);
  // Another run is at work on it, or was killed.
  const busy = findPlaces(context, stack)?.run;
  if (noted === undefined || busy === undefined || existsSync(busy)) return false;
  const found = await lookAt(context, stack, inputs).catch(() => undefined);
  return found?.hash === noted && (await isWhole(found).catch(() => false));
}

/** Remembers how a good start left a stack. @param inputs as they were when it began: what changed meanwhile it may not have seen */
export async function noteStart(context: Context, stack: string, inputs: string): Promise<void> {
  // A machine that is silent now is looked at by the whole of the next run.
  const found = await lookAt(context, stack, inputs).catch(() => undefined);
  if (!found) return;
  try {
    context.memo.set(keyOf(context, stack), found.hash);
  } catch {
    // Where nothing can be written down, the next start takes its time; this one has done what it was to do.
  }
}

/** A stack as it is now. */
interface Found {
  hash: string;
  docker: string;
  state: State;
  isHere: boolean;
}

const keyOf = ({ root, home }: Context, stack: string) => `start of ${stack} in ${root}, state in ${home}`;

async function lookAt(context: Context, stack: string, inputs: string): Promise<Found | undefined> {
  const place = findPlaces(context, stack);
  const state = readStateFile(place);
  const kind = state && hostKindOf(state);
  // The engine's lock is there while one works on it, and after one that was killed.
  if (!place || !kind || entries(place.locks).length > 0) return undefined;
  const glance = await (await lookOfKind(kind))({ context, stack }, state);
  const hash = createHash("sha256")
    // What failed since is in the history, and may have left the state as it was.
    .update(JSON.stringify([inputs, glance.facts, historyFiles(place).sort().at(-1) ?? ""]))
    .update(readFileSync(checkpointFile(place) ?? ""))
    .digest("hex");
  return { hash, docker: glance.docker, isHere: glance.isHere, state };
}

/** Whether everything that a state names is there, and every notebook runs and answers. */
async function isWhole({ docker, state, isHere }: Found): Promise<boolean> {
  const { resources = [], pending_operations: pending = [] } = state.deployment;
  if (pending.length > 0 || resources.some((each) => each.delete || each.pendingReplacement || each.taint))
    return false;
  if (
    isHere &&
    !(hasAllFolders(resources) && mountedFolders(resources).every((folder) => existsSync(folder)))
  )
    return false;
  const looks = await Promise.all([
    haveAllWell(docker, resources),
    missingOnDaemon(
      docker,
      resources.filter(({ type }) => type !== TYPE.container),
      PATIENCE_MS,
    ).then(isEmpty),
    findStrays(docker, state, PATIENCE_MS).then(isEmpty),
    foreignVolumes(docker, resources).then(isEmpty),
  ]);
  return looks.every(Boolean);
}

const isEmpty = (some: unknown[]): boolean => some.length === 0;

/** Whether the containers of a state are there, by their names, and Docker's own checks of them have passed. */
async function haveAllWell(docker: string, resources: StateResource[]): Promise<boolean> {
  const listed = await askDocker<{ Id: string; Names: string[]; Status: string }[]>(
    docker,
    "/containers/json?all=true",
    PATIENCE_MS,
  );
  return resources
    .filter(({ type }) => type === TYPE.container)
    .every(({ id, inputs }) => {
      const found = listed?.find(({ Id, Names }) => Id === id && Names.includes(`/${inputs?.name}`));
      return found !== undefined && isWell(readStatus(found.Status));
    });
}
