import type * as pulumi from "@pulumi/pulumi";
import { REMOVAL } from "../../machine/names.ts";
import type { DockerHost } from "../host/host.ts";

/** What `removeEntry` takes. */
export interface RemovalArgs {
  host: DockerHost;
  /** Name of the image whose Python is taken; undefined where the host has its own. */
  image: pulumi.Input<string> | undefined;
  /** Which of the root's folders the entry is in. */
  kind: "code" | "data";
  /** The entry's folder below it. */
  folder: string;
  /** Whether the files go with the entry. */
  purge: boolean;
}

/** The parameter that names an image for run-data.sh: set only where it is taken, so that nothing waits for an image that need not. */
export const imageParameter = (
  image: pulumi.Input<string> | undefined,
): Record<string, pulumi.Input<string>> => (image === undefined ? {} : { IMAGE: image });

/**
 * Says what becomes of an entry's files once it has left the configuration or the stack is destroyed: they stay, and a line
 * says where; or, with `purge`, what gpubox put there goes.
 *
 * A resource of its own: the one that put the files there is also deleted when it is replaced, and must not take them along.
 */
export function removeEntry(
  name: string,
  { host, image, kind, folder, purge }: RemovalArgs,
  opts: pulumi.ComponentResourceOptions,
): void {
  const environment = {
    ROOT: host.root,
    ...imageParameter(image),
    KIND: kind,
    FOLDER: folder,
    PURGE: purge ? "1" : "",
  };
  host.run(`${name}-retire`, { script: "gpubox_data/retire.py", on: "delete", environment }, opts);
}

/**
 * Removes a notebook's home volume once its entry has left the configuration or the stack is destroyed, where it is the stack's: by
 * then another may have its name. The provider would not look. Whatever uses the volume has to depend on this.
 *
 * @param name of the notebook
 * @returns the entry that does it
 */
export function removeVolume(
  name: string,
  { host, volume }: { host: DockerHost; volume: string },
  opts: pulumi.ComponentResourceOptions,
): pulumi.Resource {
  const environment = { VOLUME: volume, OWNER: host.owner, DAEMON: host.id };
  // Where all of a stack goes with its machine, this does as well.
  const tied = { ...opts, ...host.lifetime };
  return host.run(`${name}${REMOVAL}`, { script: "remove-volume.sh", on: "delete", environment }, tied)
    .resource;
}
