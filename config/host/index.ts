/** Where a stack may land: the three kinds of host. */
import { z } from "zod";
import { awsHostArgs } from "./aws.ts";
import { localHost } from "./local.ts";
import { sshHost } from "./ssh.ts";

export type AnyHost = z.output<typeof localHost> | z.output<typeof sshHost> | z.output<typeof awsHostArgs>;

const oneWayToKnow = (host: AnyHost) =>
  host.kind !== "ssh" || host.hostKey === undefined || host.knownHosts === undefined;

export const host = z
  .discriminatedUnion("kind", [localHost, sshHost, awsHostArgs])
  .refine(oneWayToKnow, "takes either `hostKey` or `knownHosts`, not both");

export type HostConfig = z.output<typeof host>;

/**
 * Tells the root of one stack from that of another: the same text for the same folder of the same machine, as far as their
 * configurations say.
 *
 * @param home of the person on this machine
 */
export function rootId(host: HostConfig, root: string, home = "~"): string {
  const isHere = host.kind === "local";
  const address = host.kind === "ssh" ? host.address : "";
  return `${host.kind} ${address} ${isHere ? root.replace(/^~(?=\/|$)/, home) : root}`;
}
