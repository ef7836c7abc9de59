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
