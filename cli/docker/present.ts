/** Whether what a stack's state names is there: on its Docker daemon, and in the folders of this machine. */
import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import type Docker from "dockerode";
import { askDocker } from "../../machine/docker/api.ts";
import { holdings, OWNER_LABEL, STACK_LABEL } from "../../machine/owner.ts";
import { TYPE } from "../../machine/resource-types.ts";
import { lastLine } from "../../machine/scripts.ts";
import type { ContainerInputs, StateResource } from "../pulumi/checkpoint.ts";

/** The resources that a daemon no longer has. @throws DockerError, or what the system says where no daemon answers */
export async function missingOnDaemon(
  host: string,
  resources: StateResource[],
  patience?: number,
): Promise<StateResource[]> {
  const looks = resources.map(async (resource) => {
    const path = pathOnDaemon(resource);
    return path && (await askDocker(host, path, patience)) === undefined ? [resource] : [];
  });
  return (await Promise.all(looks)).flat();
}

/** Where the daemon shows what a resource stands for; undefined for what is not the daemon's. */
function pathOnDaemon({ type, id, outputs }: StateResource): string | undefined {
  if (!id) return undefined;
  if (type === TYPE.container) return `/containers/${id}/json`;
  if (type === TYPE.network) return `/networks/${id}`;
  if (type === TYPE.volume) return `/volumes/${id}`;
  const image =
    type === TYPE.image ? outputs?.repoDigest : type === TYPE.remoteImage ? outputs?.imageId : undefined;
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
  return fetchedFolders(resources).flatMap(({ urn, folder, above }) =>
    // Where all that is around it is gone as well, a disk may not be mounted: nothing is fetched then, and the program says so.
    isThere(above) && !isThere(folder) ? [{ urn, folder }] : [],
  );
}

/** Whether the folders of all data sets and checkouts are there. */
export const hasAllFolders = (resources: StateResource[]): boolean =>
  fetchedFolders(resources).every(({ folder }) => existsSync(folder));

/** The folders of the host that containers have: `code/`, `data/`, and those of `volumes`. */
export const mountedFolders = (resources: StateResource[]): string[] =>
  resources.flatMap(({ type, inputs }) =>
    type === TYPE.container
      ? ((inputs as ContainerInputs | undefined)?.mounts ?? []).flatMap(({ type: kind, source }) =>
          kind === "bind" && source ? [source] : [],
        )
      : [],
  );

/** The folders of data sets and checkouts, each with `code/` or `data/` of the data root. */
function fetchedFolders(resources: StateResource[]): { urn: string; folder: string; above: string }[] {
  return resources.filter(putsInPlace).flatMap(({ urn, inputs, outputs }) => {
    const { FOLDER, ROOT } = (inputs?.environment ?? {}) as Record<string, unknown>;
    const folder = lastLine(String(outputs?.stdout ?? ""));
    if (!FOLDER || !ROOT || !isAbsolute(folder)) return [];
    return [{ urn, folder, above: folder.slice(0, -String(FOLDER).length) }];
  });
}

/** Whether a resource is a script that has run: one that only runs on delete has put nothing in place. */
export const putsInPlace = ({ type, inputs, delete: isOld }: StateResource): boolean =>
  type === TYPE.command && !isOld && Boolean(inputs?.create);

/** A volume as a daemon describes it. */
export type VolumeInfo = Pick<Docker.VolumeInspectInfo, "Name"> & {
  /** The daemon has null in place of none. */
  Labels?: Record<string, string> | null;
  CreatedAt?: string;
};

/** A volume that a state would remove, and that this stack did not make. */
export interface ForeignVolume {
  name: string;
  /** Whether another state's stack made it; else it was put there by hand. */
  hasOwner: boolean;
  /** The entries of the state that would remove it. */
  removers: StateResource[];
}

/**
 * The volumes that would go with entries of a state, and are not the stack's.
 *
 * @throws DockerError, or what the system says where no daemon answers
 */
export async function foreignVolumes(host: string, resources: StateResource[]): Promise<ForeignVolume[]> {
  const taken = resources.flatMap((volume) => {
    if (volume.type !== TYPE.volume || !volume.id || volume.delete) return [];
    const removers = resources.filter((each) => removes(each, volume));
    return removers.length > 0 ? [{ volume, removers }] : [];
  });
  if (taken.length === 0) return [];
  const found = (await askDocker<{ Volumes: VolumeInfo[] | null }>(host, "/volumes"))?.Volumes ?? [];
  return taken.flatMap(({ volume, removers }) => {
    const there = found.find(({ Name }) => Name === volume.id);
    if (there === undefined || !isForeign(there, volume)) return [];
    const owner = there.Labels?.[OWNER_LABEL];
    return [{ name: there.Name, hasOwner: owner !== undefined && owner !== ownerOf(volume), removers }];
  });
}

function removes({ id, type, inputs, retainOnDelete }: StateResource, volume: StateResource): boolean {
  const { VOLUME: removed } = (inputs?.environment ?? {}) as Record<string, unknown>;
  return !retainOnDelete && (type === TYPE.volume ? id : type === TYPE.command && removed) === volume.id;
}

/** A volume that was there so much earlier than its entry in the state was not made for it, in milliseconds. */
const EARLIER_MS = 60_000;

/** Whether a volume on the daemon is not the one that a stack made. Pure. */
export function isForeign({ Labels, CreatedAt }: VolumeInfo, resource: StateResource): boolean {
  const owner = ownerOf(resource);
  const found = Labels?.[OWNER_LABEL];
  if (found !== undefined) return found !== owner;
  // Restored by hand.
  if (Labels?.[STACK_LABEL] === undefined) return true;
  // Of before there were owners, and taken over since, which the person has agreed to.
  if (owner !== undefined) return false;
  // The daemon's time may be later than that of the creation, and never earlier.
  return Date.parse(CreatedAt ?? "") + EARLIER_MS < Date.parse(resource.created ?? "");
}

/** The owner that a resource was made with. */
export const ownerOf = ({ urn, type, inputs }: StateResource): string | undefined =>
  holdings([{ urn, type, properties: inputs }]).owner;
