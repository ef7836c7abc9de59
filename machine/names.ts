/** What a stack calls what it makes, and the addresses of its notebooks. Pure. */
import type { ImageConfig, NotebookConfig } from "../config/schema.ts";

/** Name for what belongs to a whole stack: `gpubox/dev` becomes `gpubox-dev`. */
export function stackSlug(stack: string): string {
  return stack.replaceAll("/", "-").toLowerCase();
}

/** Name of a stack's image on its host: of the one that is built there, or of the one that is pulled. */
export const imageName = (stack: string, image: ImageConfig): string =>
  "pull" in image ? image.pull : stackSlug(stack);

/** Whether an image runs as a user of its own, with the home folder and the rights that it gives them. */
export const hasOwnUser = (image: ImageConfig): boolean => "pull" in image && image.user === "image";

/** Name of the volume on a notebook's home folder; an image that runs as its own user gets none. */
export function homeVolume(stack: string, notebook: string, image: ImageConfig): string | undefined {
  return hasOwnUser(image) ? undefined : `${stackSlug(stack)}-${notebook}-home`;
}

const LOOPBACK = "127.0.0.1";

/** Whether an address is only reachable from the host itself. */
export function isLoopback(address: string): boolean {
  return address.startsWith("127.");
}

/** Ports that only the host itself reaches: where that is elsewhere, a tunnel must bring them to the person. */
export function tunnelPorts(notebooks: Pick<NotebookConfig, "address" | "port">[]): number[] {
  return notebooks.flatMap(({ address, port }) =>
    addressForPerson(address, LOOPBACK) === LOOPBACK ? [port] : [],
  );
}

/** Address under which the host itself reaches a port bound to `address`. */
export function addressOnHost(address: string): string {
  return address === "0.0.0.0" ? LOOPBACK : address;
}

/** Address under which the person reaches a port bound to `address` of a host they reach at `hostAddress`. */
export function addressForPerson(address: string, hostAddress: string): string {
  return isLoopback(address) || address === "0.0.0.0" ? hostAddress : address;
}

/** What ends the name of the entry that removes a home volume. */
export const REMOVAL = "-home-removal";
