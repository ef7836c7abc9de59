/** What there is on a Docker daemon, by its labels, and taking some of it away. */

import type Docker from "dockerode";
import { UserError } from "../../errors.ts";
import { askDocker, dockerClient } from "../../machine/docker/api.ts";
import { dockerEndpoint } from "../../machine/docker/endpoint.ts";
import { type Existing, existing, OWNER_LABEL, otherDaemon } from "../../machine/owner.ts";
import { TYPE } from "../../machine/resource-types.ts";
import type { Context } from "../context.ts";
import { type State, stateHoldings } from "../pulumi/checkpoint.ts";
import { step } from "../ui/say.ts";
import { daemonProblem, daemonsWord } from "./daemon.ts";

/** Something on a daemon. */
export interface Found extends Existing {
  id: string;
  /** Names of the volumes that a container has. */
  mounts: string[];
  /** Of a container: Docker's word, `running`, `exited` … */
  state?: string;
}

/** A container's name without the slash that the daemon puts before it. */
export function nameOf(container: Docker.ContainerInfo): string {
  return container.Names[0]?.replace(/^\//, "") ?? container.Id;
}

/** Every container, network and volume on a daemon. */
export async function everything(host: string, patience?: number): Promise<Found[]> {
  const [containers, networks, volumes] = await Promise.all([
    askDocker<Docker.ContainerInfo[]>(host, "/containers/json?all=true", patience),
    askDocker<Docker.NetworkInspectInfo[]>(host, "/networks", patience),
    askDocker<{ Volumes: Docker.VolumeInspectInfo[] | null }>(host, "/volumes", patience),
  ]);
  return [
    ...(containers ?? []).map((each) => ({
      id: each.Id,
      ...existing("container", nameOf(each), each.Labels),
      mounts: each.Mounts.flatMap(({ Type, Name }) => (Type === "volume" && Name ? [Name] : [])),
      state: each.State,
    })),
    ...(networks ?? []).map(({ Id, Name, Labels }) => ({
      id: Id,
      ...existing("network", Name, Labels),
      mounts: [],
    })),
    ...(volumes?.Volumes ?? []).map(({ Name, Labels }) => ({
      id: Name,
      ...existing("volume", Name, Labels),
      mounts: [],
    })),
  ];
}

/** "container lesson1, network gpubox-dev". */
export const list = (some: Pick<Existing, "kind" | "name">[]) =>
  some.map(({ kind, name }) => `${kind} ${name}`).join(", ");

/** Has a container stopped: one that has stopped by itself, or is gone, is as it should be. @throws UserError with the daemon's word */
export async function stopping(
  host: string,
  stack: string,
  name: string,
  stop: () => Promise<unknown>,
): Promise<void> {
  try {
    await stop();
  } catch (error) {
    if ([304, 404].includes((error as { statusCode?: number }).statusCode ?? 0)) return;
    throw new UserError(`${name} cannot be stopped: ${daemonsWord(host, error, stack)}`);
  }
}

/** Removes containers, and then networks, which go only once no container is on them. @throws UserError before anything is removed */
export async function clearAway(host: string, found: Found[]): Promise<void> {
  const [containers, networks] = (["container", "network"] as const).map((kind) =>
    found.filter((each) => each.kind === kind),
  ) as [Found[], Found[]];
  await requireFree(host, networks, new Set(containers.map(({ id }) => id)));
  const docker = dockerClient(host);
  for (const { id, name } of containers) {
    await step(`container ${name}: removing it`, async () => {
      // Jupyter gets the time to stop its kernels; one that does not run has nothing to stop.
      await docker
        .getContainer(id)
        .stop()
        .catch(() => {});
      await docker.getContainer(id).remove({ force: true });
    });
  }
  for (const { id } of networks) await docker.getNetwork(id).remove();
}

/**
 * Docker keeps a network as long as a container is on it.
 *
 * @param going ids of the containers that go with them
 * @throws UserError naming those of others
 */
export async function requireFree(
  host: string,
  networks: Pick<Found, "id">[],
  going: ReadonlySet<string>,
): Promise<void> {
  const looks = networks.map(async ({ id }) => {
    const network = await askDocker<Docker.NetworkInspectInfo>(host, `/networks/${id}`);
    const others = Object.entries(network?.Containers ?? {}).filter(([container]) => !going.has(container));
    return others.map(([, { Name }]) => ({ network: network?.Name, container: Name }));
  });
  const others = (await Promise.all(looks)).flat();
  if (others.length === 0) return;
  throw new UserError(
    [
      "the stack's network cannot be removed while containers of others are on it; nothing was changed. Disconnect them and try again:",
      ...others.map(
        ({ network, container }) => `  docker network disconnect --force ${network} ${container}`,
      ),
    ].join("\n"),
  );
}

/** How long a daemon may take to say who it is, in milliseconds. */
const PATIENCE_MS = 8_000;

/** @throws UserError where another Docker daemon answers on this machine than the one that a stack was put on */
export async function requireOwnDaemon({ env }: Context, stack: string, state: State): Promise<void> {
  const holdings = stateHoldings(state);
  if (holdings.daemon === undefined) return;
  const { host } = dockerEndpoint(env);
  const asked = askDocker<{ ID: string }>(host, "/info", PATIENCE_MS);
  const { ID: id } =
    (await asked.catch((error) => {
      throw daemonProblem(host, error, stack);
    })) ?? {};
  const problem = id && otherDaemon(stack, holdings, { id, host });
  if (problem) throw new UserError(problem);
}

/**
 * The containers and networks of a stack's owner that its state does not name: an older state was restored, a second copy of it is at
 * work, or another program made a container anew. Their names are taken, so the stack cannot be made beside them.
 */
export async function findStrays(host: string, state: State, patience?: number): Promise<Found[]> {
  const { owner } = stateHoldings(state);
  if (owner === undefined) return [];
  const { resources = [] } = state.deployment;
  const known = new Set(resources.map(({ id }) => id));
  return (await everything(host, patience)).filter(
    (each) => each.owner === owner && each.kind !== "volume" && !known.has(each.id),
  );
}

/** A stray, in a line. */
export const strayText = (each: Found): string =>
  `${list([each])} belongs to this stack but is not in its state, which is out of date or in use twice`;

/** The containers of a stack on a daemon, running or not: what its state names, and what has its owner. */
export async function containersOf(host: string, state: State): Promise<Docker.ContainerInfo[]> {
  const { resources = [] } = state.deployment;
  const ids = new Set(resources.flatMap(({ type, id }) => (type === TYPE.container && id ? [id] : [])));
  const { owner } = stateHoldings(state);
  const all = (await askDocker<Docker.ContainerInfo[]>(host, "/containers/json?all=true")) ?? [];
  return all.filter(
    ({ Id, Labels }) => ids.has(Id) || (owner !== undefined && Labels[OWNER_LABEL] === owner),
  );
}
