/** Where the Docker daemon and the state disagree: after a run that was killed, a stop, or a hand at work. */

import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { lastLine } from "../components/host/host.ts";
import type { NotebookInfo } from "../components/workspace/notebook.ts";
import { readOutputs } from "./outputs.ts";
import { say, step } from "./say.ts";
import { hasDaemon, isLocal, type Session } from "./session.ts";
import { askDocker, dockerClient } from "./setup/daemon.ts";
import {
  lastUpdate,
  readState,
  resourceName,
  type State,
  type StateResource,
  tainted,
  unfinished,
  withoutUnfinished,
  writeState,
} from "./state.ts";
import { CONTAINER } from "./state-file.ts";

const NETWORK = "docker:index/network:Network";
const VOLUME = "docker:index/volume:Volume";
const IMAGE = "docker:index/image:Image";
const COMMAND = "command:local:Command";
const REMOTE_IMAGE = "docker:index/remoteImage:RemoteImage";

const LABEL = "gpubox.stack";
/** How long Jupyter may take to answer, in seconds. */
const START_PATIENCE = 120;

/** The containers of a stack on a daemon, running or not. */
export async function stackContainers(host: string, label: string): Promise<Docker.ContainerInfo[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`${LABEL}=${label}`] }));
  return (await askDocker(host, `/containers/json?all=true&filters=${filters}`)) ?? [];
}

/** A container's name without the slash that the daemon puts before it. */
export function nameOf(container: Docker.ContainerInfo): string {
  return container.Names[0]?.replace(/^\//, "") ?? container.Id;
}

/**
 * Makes the state one to go on from after a run that was killed or failed: removes what it had begun to make, so that it can be
 * made again, and sees to it that what it may have changed on the host is looked at again.
 *
 * @param goesOn whether there is more to come: what is torn down need not be looked at
 */
export async function finishInterrupted(session: Session, goesOn = true): Promise<State> {
  const state = await readState(session);
  const rest = await withoutHalfMade(session, state);
  const mended = goesOn ? await doubtful(session, state, rest) : rest;
  if (mended !== state) await writeState(session, mended);
  return mended;
}

/**
 * Only what the state names as begun and the daemon shows with this stack's label is removed: another
 * person's stack may have the same label on a shared daemon. Volumes are left: making one again finds it.
 */
async function withoutHalfMade(session: Session, state: State): Promise<State> {
  const rest = withoutUnfinished(state);
  if (!rest) return state;
  if (hasDaemon(session)) {
    const docker = dockerClient(session.docker.host);
    for (const resource of unfinished(state)) await removeHalfMade(docker, session.label, resource);
  }
  say(`stack ${session.stack}: cleared away what an earlier run was making when it was killed`);
  return rest;
}

/**
 * Where the last run did not end well, a host may have what that run brought there, while the state still has what was there
 * before; a configuration that goes back to that would be taken for unchanged. The scripts whose parameters come from the
 * configuration run again then, and say "unchanged" themselves where nothing is to be done.
 */
async function doubtful(session: Session, before: State, state: State): Promise<State> {
  const doubted = tainted(state, followsConfiguration);
  if (!doubted) return state;
  // A creation that cannot simply be done again stays there until a person has looked at it.
  const pending = state.deployment.pending_operations ?? [];
  const wasKilled = before !== state || pending.some(({ type }) => type !== "creating");
  if (!wasKilled && (await lastUpdate(session))?.result !== "failed") return state;
  say(
    `stack ${session.stack}: the last run did not end well; what it may have changed on the host is looked at again`,
  );
  return doubted;
}

/** Whether a resource is a script that puts code, data or the idle stop of a machine in place. */
export function followsConfiguration(resource: StateResource): boolean {
  if (!putsInPlace(resource)) return false;
  return (
    /gpubox:workspace:(CodeRepository|Dataset)\$/.test(resource.urn) || resource.urn.endsWith("-idle-stop")
  );
}

/** Whether a resource is a script that has run: one that only runs on delete has put nothing in place. */
const putsInPlace = ({ type, inputs, delete: isOld }: StateResource): boolean =>
  type === COMMAND && !isOld && Boolean(inputs?.create);

async function removeHalfMade(docker: Docker, label: string, { type, inputs }: StateResource): Promise<void> {
  const name = inputs?.name;
  if (typeof name !== "string") return;
  const labels = await ifThere(async () => {
    if (type === CONTAINER) return (await docker.getContainer(name).inspect()).Config.Labels;
    if (type === NETWORK) return (await docker.getNetwork(name).inspect()).Labels;
    return undefined;
  });
  if (labels?.[LABEL] !== label) return;
  if (type === CONTAINER) await docker.getContainer(name).remove({ force: true });
  else await docker.getNetwork(name).remove();
  say(`${name}: removed, half made`);
}

async function ifThere<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return undefined;
    throw error;
  }
}

/** Starts the stack's containers that are stopped, and waits until their notebooks answer. */
export async function startStopped(session: Session, state: State): Promise<void> {
  if (!hasDaemon(session)) return;
  const ours = containerIds(state);
  const stopped = (await stackContainers(session.docker.host, session.label)).filter(
    ({ Id, State }) => ours.has(Id) && State !== "running",
  );
  if (stopped.length === 0) return;
  const docker = dockerClient(session.docker.host);
  const { notebooks = [] } = await readOutputs(session);
  for (const container of stopped) {
    const name = nameOf(container);
    await step(`${name}: starting it again`, async () => {
      const handle = docker.getContainer(container.Id);
      await (container.State === "paused" ? handle.unpause() : handle.start());
      const notebook = notebooks.find((each) => each.name === name);
      if (notebook) await untilItAnswers(session, notebook);
    });
  }
}

/** Waits for Jupyter; where it stays silent the engine's own look at it says so. */
async function untilItAnswers(
  { docker, context, stack }: Session,
  { url, name, port }: NotebookInfo,
): Promise<void> {
  if (docker.from === "ssh") {
    const { waitForNotebook } = await import("./remote.ts");
    return await waitForNotebook(context.root, stack, { name, port, patience: START_PATIENCE });
  }
  const api = new URL("/api", url);
  const deadline = Date.now() + START_PATIENCE * 1000;
  while (Date.now() < deadline) {
    try {
      const { ok } = await fetch(api, { signal: AbortSignal.timeout(2_000) });
      if (ok) return;
    } catch {
      // Not listening yet.
    }
    await sleep(250);
  }
}

/** Ids of the stack's containers, which tell them from those of another person's stack of the same name. */
export const containerIds = (state: State): Set<string> => ids(state, CONTAINER);

function ids(state: State, type: string): Set<string> {
  const found = (state.deployment.resources ?? []).filter((resource) => resource.type === type);
  return new Set(found.flatMap(({ id }) => id ?? []));
}

/**
 * What the engine must be told to notice that things it made are gone: it takes the state's word for them otherwise.
 *
 * @returns arguments for `pulumi up` and `pulumi preview`; none where all is there
 */
export async function argsForMissing(session: Session, state: State): Promise<string[]> {
  if (!hasDaemon(session)) return [];
  const resources = state.deployment.resources ?? [];
  // The folders of a machine elsewhere cannot be looked at from here.
  const folders = isLocal(session.settings) ? missingFolders(resources) : [];
  if (folders.length > 0) {
    say(`gone since the last run: ${folders.map(({ folder }) => folder).join(", ")}; fetched again`);
  }
  return [...(await argsForDocker(session, resources)), ...folders.flatMap(({ urn }) => ["--replace", urn])];
}

async function argsForDocker(session: Session, resources: StateResource[]): Promise<string[]> {
  const looks = resources.map(async (resource) => {
    const path = pathInDaemon(resource);
    return path && (await askDocker(session.docker.host, path)) === undefined ? [resource] : [];
  });
  const gone = (await Promise.all(looks)).flat();
  if (gone.length === 0) return [];
  const names = gone.map(({ urn }) => resourceName(urn));
  say(`gone from the Docker daemon since the last run: ${names.join(", ")}; made again`);
  // A built image is not noticed by a refresh either.
  const images = gone.filter(({ type }) => type === IMAGE);
  return ["--refresh", ...images.flatMap(({ urn }) => ["--replace", urn])];
}

/** Where the daemon shows what a resource stands for; undefined for what is not the daemon's. */
function pathInDaemon({ type, id, outputs }: StateResource): string | undefined {
  if (!id) return undefined;
  if (type === CONTAINER) return `/containers/${id}/json`;
  if (type === NETWORK) return `/networks/${id}`;
  if (type === VOLUME) return `/volumes/${id}`;
  const image = type === IMAGE ? outputs?.repoDigest : type === REMOTE_IMAGE ? outputs?.imageId : undefined;
  return typeof image === "string" ? `/images/${image}/json` : undefined;
}

/**
 * The data sets and checkouts whose folders somebody removed. A script that puts one in place is given FOLDER and
 * ROOT, and its last line is the folder's path.
 */
export function missingFolders(
  resources: StateResource[],
  isThere: (path: string) => boolean = existsSync,
): { urn: string; folder: string }[] {
  return resources.filter(putsInPlace).flatMap(({ urn, inputs, outputs }) => {
    const { FOLDER, ROOT } = (inputs?.environment ?? {}) as Record<string, unknown>;
    const folder = lastLine(String(outputs?.stdout ?? ""));
    return FOLDER && ROOT && isAbsolute(folder) && !isThere(folder) ? [{ urn, folder }] : [];
  });
}

/** Containers with the stack's label that the state knows nothing of: another person's, or left behind. */
export async function strangers(session: Session): Promise<string[]> {
  if (!hasDaemon(session)) return [];
  const ours = containerIds(await readState(session));
  const containers = await stackContainers(session.docker.host, session.label);
  return containers.filter(({ Id }) => !ours.has(Id)).map(nameOf);
}
