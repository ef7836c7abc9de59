/** The machine of a stack that is not on this one, above all where its host is of kind `ssh`, as the commands see it. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "../../config/load.ts";
import { readStack, shortName } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { dialStdio } from "../../machine/docker/dial-stdio.ts";
import { type SshConnection, sshCommand } from "../../machine/ssh/command.ts";
import { reachSshMachine } from "../../machine/ssh/inspect.ts";
import type { Context } from "../context.ts";
import type { DockerAddress } from "../docker/daemon.ts";
import { npmCommand } from "../stack.ts";
import { step } from "../ui/say.ts";

/** A machine that answered. */
export interface Remote {
  connection: SshConnection;
  /** A socket on this machine that leads to its Docker daemon, for as long as this process runs. */
  docker: DockerAddress;
}

/** What a stack's file says of the machine, and of the folder on it. @throws UserError when that is none of kind ssh */
export function readMachine(root: string, stack: string): { connection: SshConnection; folder: string } {
  const { host, root: folder } = readConfig(root, stack);
  if (host.kind !== "ssh") throw new UserError(`stack ${stack} is not on a machine that is reached by SSH`);
  const { kind: _, ...connection } = host;
  return { connection, folder };
}

/**
 * Makes sure that a stack's machine and its Docker daemon answer, and opens a way to the daemon.
 *
 * @param root the checkout
 * @throws UserError naming the step that failed
 */
export async function openRemote(root: string, stack: string): Promise<Remote> {
  const connection = await reach(root, stack);
  return { connection, docker: { host: await relay(connection), from: "ssh" } };
}

/** Makes sure that a stack's machine and its Docker daemon answer. @throws UserError naming the step that failed */
export async function reach(root: string, stack: string): Promise<SshConnection> {
  const { connection, folder } = readMachine(root, stack);
  await step(`${connection.address}: looking it over by SSH`, () =>
    told(reachSshMachine(connection, { root: folder }, shortName(stack))),
  );
  return connection;
}

/**
 * The way to the machine that a stack's folders are on; undefined where that is this one.
 *
 * @throws UserError when there is no such machine, or it does not answer
 */
export async function findWay(context: Context, stack: string): Promise<SshConnection | undefined> {
  const { host } = readStack(context.root, stack);
  if (host === "local") return undefined;
  return host === "ssh" ? await reach(context.root, stack) : await findWayOnAws(context, stack);
}

async function findWayOnAws(context: Context, stack: string): Promise<SshConnection> {
  // Slow to load, and needed only here.
  const { openSession, requireStack } = await import("../pulumi/session.ts");
  const { readOutputs } = await import("../pulumi/outputs.ts");
  const { readState } = await import("../pulumi/state.ts");
  const { findMachine } = await import("./aws/instance.ts");
  const session = await openSession(context, { stack, rest: [] });
  await requireStack(session);
  const { machine } = await readOutputs(session);
  const state = (await findMachine(session, await readState(session)))?.state ?? "not there";
  if (machine && state === "running") return machine.connection;
  throw new UserError(
    `the machine of stack ${stack} is ${state}: \`${npmCommand("start", stack)}\` brings it back`,
  );
}

/** What the program says of a host is for the person as it is. */
async function told<T>(result: Promise<T>): Promise<T> {
  return await result.catch((error) => {
    throw error instanceof UserError ? new UserError(error.message) : error;
  });
}

/**
 * Lets programs here speak to the daemon over there: each connection to the socket is one to `docker system dial-stdio`.
 * Nothing of it keeps this process alive.
 *
 * @returns the socket, as in DOCKER_HOST
 */
async function relay(connection: SshConnection): Promise<string> {
  // For its owner alone, as whoever may use the socket may use the daemon.
  const folder = mkdtempSync(join(tmpdir(), "gpubox-docker-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const server = createServer((here) => {
    const there = dialStdio(sshCommand(connection, "docker system dial-stdio"));
    here.pipe(there).pipe(here);
    here.on("error", () => there.destroy()).on("close", () => there.destroy());
    there.on("error", () => here.destroy());
    here.unref();
    there.unref();
  });
  const path = join(folder, "docker.sock");
  server.listen(path);
  await once(server, "listening");
  server.unref();
  return `unix://${path}`;
}
