/** What a notebook is given by a path of the host that is mounted into it, beyond what people mean to give. Pure. */
import { posix } from "node:path";
import { type Check, check } from "./check.ts";
import type { HostFacts, HostNeeds } from "./preflight.ts";

/** A path of the host that a container sees. */
export interface MountedPath {
  source: string;
  readOnly: boolean;
}

/** Whoever can write to one of these starts containers with any of the host's folders in them. */
const SOCKETS = ["/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock"];
/** What homes are called; the person's own may be elsewhere. */
const HOMES = /^\/(home|Users)(\/[^/]+)?$|^\/root$/;
/** Where programs keep what lets somebody in. */
const KEYS = /\/\.(ssh|aws|gnupg|kube|docker|gpubox)(\/|$)/;

/**
 * What mounting a path gives away, in words that follow "gives"; undefined for a path like any other.
 *
 * @param home of the person on the host, where it is known
 */
export function givesAway({ source, readOnly }: MountedPath, home?: string): string | undefined {
  const path = posix
    .normalize(source)
    .replace(/(?<=.)\/$/, "")
    .replace(/^\/var\/run(?=\/|$)/, "/run");
  const holds = (other: string) => path === "/" || other === path || other.startsWith(`${path}/`);
  const files = readOnly ? "to read" : "to read and to change";
  const given = [
    SOCKETS.some(holds) || /\/(docker|podman|containerd)\.sock$/.test(path)
      ? "the socket of Docker, and so root's rights on every file of the host, read-only or not"
      : "",
    holds("/etc") ? `the host's own settings, ${files}` : "",
    HOMES.test(path) || (home !== undefined && holds(home))
      ? `all in your home, ${files}: keys, passwords, and what runs at your next login`
      : "",
    KEYS.test(path) ? `keys and passwords of yours, ${files}` : "",
  ].filter(Boolean);
  return given.length === 0 ? undefined : given.join("; ");
}

/** The warning about a mounted path; undefined where there is nothing to warn of. */
export function volumeWarning(notebook: string, mounted: MountedPath, home?: string): string | undefined {
  const given = givesAway(mounted, home);
  return (
    given &&
    `${mounted.source} gives any code that runs in ${notebook} ${given}. Mount a folder that holds only what is needed there`
  );
}

export function volumeChecks({ notebooks }: HostNeeds, { home }: HostFacts): Check[] {
  return notebooks.flatMap(({ name, volumes = [] }, index) =>
    volumes.map((mounted, at) => {
      const warning = volumeWarning(name, mounted, home);
      const found = warning ? "gives away more than files" : "a folder like any other";
      const problem = warning && `gpubox:notebooks[${index}].volumes[${at}].source: ${warning}`;
      return check(`volume ${mounted.source} of ${name}`, { found, needed: found }, problem, "warn");
    }),
  );
}
