/** Where the Docker daemon and the state disagree: after a run that was killed, a stop, or a hand at work. */
import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { type NotebookOutput, readOutputs } from "./outputs.ts";
import { say, step } from "./say.ts";
import { hasDaemon, type Session } from "./session.ts";
import { dockerClient } from "./setup/daemon.ts";
import {
  readState,
  type State,
  type StateResource,
  unfinished,
  withoutUnfinished,
  writeState,
} from "./state.ts";

const CONTAINER = "docker:index/container:Container";
const NETWORK = "docker:index/network:Network";
const VOLUME = "docker:index/volume:Volume";
const IMAGE = "docker:index/image:Image";
const REMOTE_IMAGE = "docker:index/remoteImage:RemoteImage";

const LABEL = "gpubox.stack";
/** How long Jupyter may take to answer, in seconds. */
const START_PATIENCE = 120;

/** The containers of a stack, running or not. */
export function stackContainers(docker: Docker, label: string): Promise<Docker.ContainerInfo[]> {
  return docker.listContainers({ all: true, filters: { label: [`${LABEL}=${label}`] } });
}

/** A container's name without the slash that the daemon puts before it. */
export function nameOf(container: Docker.ContainerInfo): string {
  return container.Names[0]?.replace(/^\//, "") ?? container.Id;
}

/**
 * Removes what a run that was killed had begun to make, so that it can be made again.
 *
 * Only what the state names as begun and the daemon shows with this stack's label is removed: another
 * person's stack may have the same label on a shared daemon. Volumes are left: making one again finds it.
 */
export async function finishInterrupted(session: Session): Promise<State> {
  const state = await readState(session);
  const rest = withoutUnfinished(state);
  if (!rest) return state;
  if (hasDaemon(session)) {
    const docker = dockerClient(session.docker.host);
    for (const resource of unfinished(state)) await removeHalfMade(docker, session.label, resource);
  }
  await writeState(session, rest);
  say(`stack ${session.stack}: cleared away what an earlier run was making when it was killed`);
  return rest;
}

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
  const docker = dockerClient(session.docker.host);
  const stopped = (await stackContainers(docker, session.label)).filter(
    ({ Id, State }) => ours.has(Id) && State !== "running",
  );
  if (stopped.length === 0) return;
  const { notebooks = [] } = await readOutputs(session);
  for (const container of stopped) {
    const name = nameOf(container);
    await step(`${name}: starting it again`, async () => {
      await docker.getContainer(container.Id).start();
      const notebook = notebooks.find((each) => each.name === name);
      if (notebook) await untilItAnswers(session, notebook);
    });
  }
}

/** Waits for Jupyter; where it stays silent the engine's own look at it says so. */
async function untilItAnswers(
  { docker, context, stack }: Session,
  { url, name, port }: NotebookOutput,
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
 * What the engine must be told to notice that things it made are gone from the daemon: it takes the state's
 * word for them otherwise.
 *
 * @returns arguments for `pulumi up` and `pulumi preview`; none where all is there
 */
export async function argsForMissing(session: Session, state: State): Promise<string[]> {
  if (!hasDaemon(session)) return [];
  const docker = dockerClient(session.docker.host);
  const gone: StateResource[] = [];
  for (const resource of state.deployment.resources ?? []) {
    const look = lookup(docker, resource);
    if (look && !(await ifThere(look))) gone.push(resource);
  }
  if (gone.length === 0) return [];
  const names = gone.map(({ urn }) => urn.slice(urn.lastIndexOf("::") + 2));
  say(`gone from the Docker daemon since the last run: ${names.join(", ")}; made again`);
  // A built image is not noticed by a refresh either.
  const images = gone.filter(({ type }) => type === IMAGE);
  return ["--refresh", ...images.flatMap(({ urn }) => ["--replace", urn])];
}

function lookup(docker: Docker, { type, id, outputs }: StateResource): (() => Promise<unknown>) | undefined {
  if (!id) return undefined;
  if (type === CONTAINER) return () => docker.getContainer(id).inspect();
  if (type === NETWORK) return () => docker.getNetwork(id).inspect();
  if (type === VOLUME) return () => docker.getVolume(id).inspect();
  const image = type === IMAGE ? outputs?.repoDigest : type === REMOTE_IMAGE ? outputs?.imageId : undefined;
  return typeof image === "string" ? () => docker.getImage(image).inspect() : undefined;
}

/** Containers with the stack's label that the state knows nothing of: another person's, or left behind. */
export async function strangers(session: Session): Promise<string[]> {
  if (!hasDaemon(session)) return [];
  const ours = containerIds(await readState(session));
  const containers = await stackContainers(dockerClient(session.docker.host), session.label);
  return containers.filter(({ Id }) => !ours.has(Id)).map(nameOf);
}
