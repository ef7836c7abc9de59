/** Which kind of host a stack is on: the only place of the commands that tells one from another. */
import type { HostConfig } from "../../config/host/index.ts";
import { hasStackFile, readStack } from "../../config/stack-file.ts";
import type { SshConnection } from "../../machine/ssh/command.ts";
import { findPlaces, hostKindOf, readStateFile } from "../pulumi/checkpoint.ts";
import type { OpenableStack, StackHost, StackRef } from "./host.ts";
import { localHost } from "./local.ts";
import { sshHost } from "./ssh.ts";

export type { StackHost } from "./host.ts";

/** The host of a kind. What speaks to AWS takes longest to load, and few need it. */
export async function hostOfKind(kind: HostConfig["kind"]): Promise<StackHost> {
  if (kind === "aws") return (await import("./aws.ts")).awsHost;
  return kind === "ssh" ? sshHost : localHost;
}

/** The host that a stack's file wants it on. @throws UserError where there is no such file, or it is wrong */
export async function wantedHost({ context, stack }: StackRef): Promise<StackHost> {
  return await hostOfKind(readStack(context.root, stack).host);
}

/**
 * The host that a stack was put on, whatever its file says by now; the one that its file wants where it is on none.
 *
 * @param wanted what the file says, for whoever has read it. One that is wrong need not be read where the state tells
 * @throws UserError where neither says
 */
export async function presentHost(
  { context, stack }: StackRef,
  wanted: () => HostConfig["kind"] | undefined = () =>
    hasStackFile(context.root, stack) ? readStack(context.root, stack).host : undefined,
): Promise<StackHost> {
  const state = readStateFile(findPlaces(context, stack));
  // Without a file it can only be one that was never anywhere.
  return await hostOfKind((state && hostKindOf(state)) ?? wanted() ?? "local");
}

/** The way to the machine that a stack's folders are on; undefined where that is this one. @throws UserError where it does not answer */
export async function connectTo(stack: OpenableStack): Promise<SshConnection | undefined> {
  return await (await wantedHost(stack)).connect(stack);
}
