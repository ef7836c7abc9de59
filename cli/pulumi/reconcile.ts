/** Where the Docker daemon and the state disagree: after a run that was killed, a stop, or a hand at work. */

import type Docker from "dockerode";
import type { StackSettings } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { dockerClient } from "../../machine/docker/api.ts";
import { OWNER_LABEL } from "../../machine/owner.ts";
import { TYPE } from "../../machine/resource-types.ts";
import { clearAway, findStrays, list, requireOwnDaemon, strayText } from "../docker/on-daemon.ts";
import { foreignVolumes, missingFolders, missingOnDaemon, ownerOf, putsInPlace } from "../docker/present.ts";
import { confirm } from "../ui/confirm.ts";
import { say } from "../ui/say.ts";
import type { State, StateResource } from "./checkpoint.ts";
import type { Session } from "./session.ts";
import { lastUpdate, readState, tainted, unfinished, withoutUnfinished, writeState } from "./state.ts";
import { resourceName } from "./urn.ts";

/** Docker's words for a container in whose memory kernels may have something. */
const RUNNING = /^(running|paused|restarting)$/;

/** Removes strays; one that runs only after a word of the person's. @throws UserError where that cannot be asked for */
async function withoutStrays(session: Session, state: State): Promise<void> {
  if (!session.docker) return;
  const { host } = session.docker;
  const strays = await findStrays(host, state);
  if (strays.length === 0) return;
  for (const each of strays) say(strayText(each));
  const running = strays.filter((each) => RUNNING.test(each.state ?? ""));
  const isConfirmed = session.rest.some((arg) => /^(-y|--yes)$/.test(arg));
  if (running.length > 0 && !isConfirmed) {
    const what = `${list(running)} is removed, and what kernels have in memory is lost; /code, /data and the home volume stay`;
    if (!session.context.interactive) {
      throw new UserError(`${what}: there is no terminal to ask at: confirm with \`--yes\``);
    }
    if (!(await confirm(`${what}: go on?`))) throw new UserError("nothing was changed");
  }
  await clearAway(host, strays);
}

/**
 * Makes the state one to go on from after a run that was killed or failed: removes what it had begun to make, so that it can be
 * made again, and sees to it that what it may have changed on the host is looked at again.
 *
 * @param goesOn whether there is more to come: what is torn down need not be looked at
 */
export async function finishInterrupted(session: Session, goesOn = true): Promise<State> {
  const state = await readState(session);
  await requireOwnDaemon(session.context, session.stack, state);
  const rest = await withoutHalfMade(session, state);
  await withoutStrays(session, rest);
  const safe = await withoutOthersVolumes(session, rest);
  const mended = goesOn ? await doubtful(session, state, safe) : safe;
  if (mended !== state) await writeState(session, mended);
  return mended;
}

/**
 * Only what the state names as begun and the daemon shows with this stack's owner is removed: another state may have a stack of the
 * same name on a shared daemon. Volumes are left: making one again finds it.
 */
async function withoutHalfMade(session: Session, state: State): Promise<State> {
  const rest = withoutUnfinished(state);
  if (!rest) return state;
  if (session.docker) {
    const docker = dockerClient(session.docker.host);
    for (const resource of unfinished(state)) await removeHalfMade(docker, resource);
  }
  say(`stack ${session.stack}: cleared away what an earlier run was making when it was killed`);
  return rest;
}

/**
 * A volume that the stack has not made stays when its entry goes: Docker hands one that is there to whoever makes one of its name, and
 * a person may have restored it from a backup. remove-volume.sh looks at the labels once more when it comes to that; only the state
 * says when its entry was made, and entries of before that script are removed by the provider, which does not look.
 */
async function withoutOthersVolumes(session: Session, state: State): Promise<State> {
  const { resources = [] } = state.deployment;
  if (!session.isHere || !session.docker) return state;
  const foreign = await foreignVolumes(session.docker.host, resources);
  if (foreign.length === 0) return state;
  for (const { name, hasOwner } of foreign) {
    const said = `stack ${session.stack}: volume ${name} is`;
    say(
      hasOwner
        ? `${said} another's, though the state names it: it stays as it is`
        : `${said} not the one that the stack made: it was put there by hand, is gone on with, and stays when its notebook goes`,
    );
  }
  const removers = new Set(foreign.flatMap((each) => each.removers));
  const kept = resources.map((each) => (removers.has(each) ? { ...each, retainOnDelete: true } : each));
  return { ...state, deployment: { ...state.deployment, resources: kept } };
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

async function removeHalfMade(docker: Docker, resource: StateResource): Promise<void> {
  const { type, inputs } = resource;
  const name = inputs?.name;
  const owner = ownerOf(resource);
  if (typeof name !== "string" || owner === undefined) return;
  const labels = await ifThere(async () => {
    if (type === TYPE.container) return (await docker.getContainer(name).inspect()).Config.Labels;
    if (type === TYPE.network) return (await docker.getNetwork(name).inspect()).Labels;
    return undefined;
  });
  if (labels?.[OWNER_LABEL] !== owner) return;
  if (type === TYPE.container) await docker.getContainer(name).remove({ force: true });
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

/**
 * What the engine must be told to notice that things it made are gone: it takes the state's word for them otherwise.
 *
 * @returns arguments for `pulumi up` and `pulumi preview`; none where all is there
 */
export async function argsForMissing(session: Session, state: State): Promise<string[]> {
  if (!session.docker) return [];
  const resources = state.deployment.resources ?? [];
  // The folders of a machine elsewhere cannot be looked at from here.
  const folders = session.isHere ? missingFolders(resources) : [];
  if (folders.length > 0) {
    say(`gone since the last run: ${folders.map(({ folder }) => folder).join(", ")}; fetched again`);
  }
  return [
    ...(await argsForDocker(session, session.docker.host, resources)),
    ...folders.flatMap(({ urn }) => ["--replace", urn]),
  ];
}

async function argsForDocker(session: Session, host: string, resources: StateResource[]): Promise<string[]> {
  const gone = await missingOnDaemon(host, resources);
  if (gone.length === 0) return [];
  const inFile = gone.filter(({ urn }) => !hasLeft(resourceName(urn), session.settings));
  const names = inFile.map(({ urn }) => resourceName(urn));
  if (names.length > 0)
    say(`gone from the Docker daemon since the last run: ${names.join(", ")}; made again`);
  // A built image is not noticed by a refresh either.
  const images = gone.filter(({ type }) => type === TYPE.image);
  const again = [...images, ...preparations(inFile, resources)];
  return ["--refresh", ...again.flatMap(({ urn }) => ["--replace", urn])];
}

/** The scripts that prepared volumes which are gone: nothing about them has changed, and a new volume needs them again. Pure. */
export function preparations(gone: StateResource[], resources: StateResource[]): StateResource[] {
  const volumes = gone.filter(({ type }) => type === TYPE.volume).map(({ id }) => id);
  return resources.filter((resource) => {
    const { VOLUME: prepared } = (resource.inputs?.environment ?? {}) as Record<string, unknown>;
    return putsInPlace(resource) && typeof prepared === "string" && volumes.includes(prepared);
  });
}

/** Whether a resource is of a notebook that is no longer in the configuration, and so is not made again. */
export function hasLeft(name: string, settings: Pick<StackSettings, "notebooks"> | undefined): boolean {
  const [, notebook] = /^(.*)-(container|home)$/.exec(name) ?? [];
  const { notebooks = [] } = settings ?? {};
  return notebook !== undefined && notebooks.length > 0 && !notebooks.includes(notebook);
}
