/** A machine that is reached by SSH as the host of a stack, for the commands. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "../../config/load.ts";
import type { Config } from "../../config/schema.ts";
import { shortName } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { type Check, check } from "../../machine/checks/check.ts";
import { dialStdio } from "../../machine/docker/dial-stdio.ts";
import { furtherFolders, type HostNeeds } from "../../machine/facts.ts";
import { factsOf } from "../../machine/inspection.ts";
import { type SshConnection, sshCommand } from "../../machine/ssh/command.ts";
import { reachSshMachine } from "../../machine/ssh/inspect.ts";
import { stopNotebooks } from "../docker/stop.ts";
import { readState } from "../pulumi/state.ts";
import { step } from "../ui/say.ts";
import { checksOfHost } from "./checks.ts";
import { byEngineAlone, existingMachine } from "./existing-machine.ts";
import type { ReachedDaemon, StackHost, StackRef } from "./host.ts";

/** Longest look at the machine by `doctor`, in milliseconds. */
const LOOK_PATIENCE_MS = 9_000;

export const sshHost: StackHost = {
  ...existingMachine,
  kind: "ssh",
  isHere: false,
  endpoint: () => undefined,
  reach: openRemote,
  connect: async (stack) => await reachMachine(stack),
  login: async (stack) => readMachine(stack).connection,
  checks: sshChecks,
  install: async () => false,
  prepare: openRemote,
  readyToTearDown: async () => {},
  stop: async ({ context, stack, open }, names) => {
    const state = await readState(await open());
    const { docker } = await openRemote({ context, stack });
    await stopNotebooks(docker.host, context, stack, state, names);
    return 0;
  },
  tearDown: async ({ stack }) => byEngineAlone(stack, " (on its host)"),
};

/** What a stack's file says of the machine, and of the folder on it. @throws UserError when that is none of kind ssh */
export function readMachine({ context, stack }: StackRef): { connection: SshConnection; folder: string } {
  const { host, root: folder } = readConfig(context.root, stack);
  if (host.kind !== "ssh") throw new UserError(`stack ${stack} is not on an SSH host`);
  const { kind: _, ...connection } = host;
  return { connection, folder };
}

/** Makes sure that a stack's machine and its Docker daemon answer, and opens a way to the daemon. @throws UserError naming the step that failed */
export async function openRemote(stack: StackRef): Promise<Required<ReachedDaemon>> {
  const connection = await reachMachine(stack);
  return { connection, docker: { host: await relay(connection), from: "ssh" } };
}

/** Makes sure that a stack's machine and its Docker daemon answer. @throws UserError naming the step that failed */
async function reachMachine({ context, stack }: StackRef): Promise<SshConnection> {
  const { connection, folder } = readMachine({ context, stack });
  await step(`${connection.address}: inspecting it over SSH`, () =>
    reachSshMachine(connection, { root: folder }, shortName(stack)),
  );
  return connection;
}

async function sshChecks(stack: StackRef, { host, root }: Config, needs: HostNeeds): Promise<Check[]> {
  const { kind: _, ...connection } = host as Extract<Config["host"], { kind: "ssh" }>;
  const about = {
    found: `${connection.address} answers`,
    needed: "a login and a trusted host key",
  };
  try {
    const folders = { root, further: furtherFolders(needs) };
    const inspection = await reachSshMachine(connection, folders, shortName(stack.stack), LOOK_PATIENCE_MS);
    const checks = await checksOfHost(stack, needs, factsOf(inspection, needs), { connection });
    return [check("SSH", about), ...checks];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [check("SSH", { ...about, found: "no machine to use" }, error.message)];
  }
}

/**
 * Lets programs here speak to the daemon over there: each connection to the socket is one to `docker system dial-stdio`.
 * Nothing of it keeps this process alive.
 *
 * @returns the socket, as in DOCKER_HOST
 */
export async function relay(connection: SshConnection): Promise<string> {
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
