/** What a stack asks of a host, and what was found there: what the checks compare. */
import type { GpuSelection } from "../config/schema.ts";
import type { GpuInventory } from "./gpus.ts";
import type { Existing, Holdings } from "./owner.ts";

/** What a stack is about to ask of a host. */
export interface HostNeeds {
  /** `<project>/<stack>`, the value of the label `gpubox.stack` on everything the stack owns. */
  stack: string;
  /** What the stack has already, by its state; undefined where that is not known yet. */
  holdings?: Holdings;
  /** Name of the network it makes. */
  network: string;
  notebooks: {
    name: string;
    gpus: GpuSelection;
    /** Whether another notebook that also says so may use the same GPUs. */
    shareGpus?: boolean;
    address: string;
    port: number;
    /** Name of the volume that is made for it, if any. */
    volume?: string;
    /** Paths of the host that it is given beside the root's. */
    volumes?: MountedPath[];
    /** Upper limit of its memory in MB. */
    memory?: number | undefined;
  }[];
  /** Which image it builds; undefined where it pulls one. */
  target?: "full" | "lab";
  /** What it puts below its root: code and perhaps data, data alone, or nothing. */
  puts?: "code" | "data";
  /** Megabytes that the data sets of known size take while they are put there: archive and contents. */
  data?: number;
}

/** A container that is on the host already. */
export interface ExistingContainer extends Existing {
  /** Host ports it publishes. */
  ports: number[];
  /** Docker's sentence about it, e.g. `Up 3 minutes (unhealthy)`. */
  status?: string;
  /** Folders of the host that it has. */
  binds?: string[];
}

/** What was found on a host. */
export interface HostFacts {
  gpus: GpuInventory;
  containers: ExistingContainer[];
  networks: Existing[];
  volumes: Existing[];
  /** The stack's root, as an absolute path. */
  root?: string;
  /** Which of the folders that the notebooks are given are not there. */
  missing?: string[];
  /** Ports the stack wants and cannot have, with the code of the error that says so, e.g. EADDRINUSE. */
  listenErrors: Map<number, string>;
  /** Free megabytes where Docker keeps images and volumes; undefined where that is not known. */
  freeMegabytes?: number;
  /** Free megabytes where the root is. */
  freeForRoot?: number;
  /** Version of the Docker daemon. */
  docker?: string;
  /** The daemon of this machine; undefined where the machine is another. */
  daemon?: { id: string; host: string };
  /** How the daemon makes control groups: `systemd` or `cgroupfs`. */
  cgroupDriver?: string;
  /** Megabytes of memory that the daemon's machine has. */
  memory?: number;
  /** Home folder of the person; undefined where that is not known. */
  home?: string;
  /** The gpubox that is being run, where it is on the host. */
  checkout?: string;
  /** Version of its Python; null where it has none, undefined where that is not known. */
  python?: string | null;
  /** Whether it has git. */
  git?: boolean;
  /** Seconds by which the machine's clock is ahead of what it must be; negative where it is behind. */
  clockAhead?: number;
}

/** What every notebook has of a root. */
export const rootFolders = (root: string): string[] => [`${root}/code`, `${root}/data`];

/** The folders of the host that notebooks have beside those of the root. */
export function furtherFolders({ notebooks }: HostNeeds): string[] {
  return notebooks.flatMap(({ volumes = [] }) => volumes.map(({ source }) => source));
}

/** A path of the host that a container sees. */
export interface MountedPath {
  source: string;
  readOnly: boolean;
}
