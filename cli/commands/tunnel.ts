/** `npm run tunnel`: brings the notebooks of a machine elsewhere to this one's loopback, until it is ended. */

import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../../errors.ts";
import { conditionOf } from "../../machine/docker/condition.ts";
import type { NotebookInfo } from "../../machine/outputs.ts";
import { type SshConnection, tunnelCommand } from "../../machine/ssh/command.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { pickNotebook } from "../docker/notebooks.ts";
import { containersOf, nameOf } from "../docker/on-daemon.ts";
import { readOutputs } from "../pulumi/outputs.ts";
import { requireStack } from "../pulumi/session.ts";
import { readState } from "../pulumi/state.ts";
import { openSession, type StackSession } from "../session.ts";
import { handOver } from "../system/run.ts";
import { openBrowser } from "../ui/browser.ts";
import { say } from "../ui/say.ts";
import { notInReach } from "./notebook.ts";

/** How long ssh may take until the tunnel is there, in milliseconds. */
const PATIENCE_MS = 30_000;

export async function tunnel(context: Context, args: Args): Promise<number> {
  const session = await openSession(context, args);
  if (session.host.isHere) {
    throw new UserError(`stack ${session.stack} is on this machine: its urls answer without a tunnel`);
  }
  await requireStack(session);
  const { notebooks = [], machine } = await readOutputs(session);
  // A name that is not there is refused before anything is opened.
  const asked = pickNotebook(notebooks, session.stack, args.names[0]);
  const elsewhere = notebooks.filter(({ url }) => new URL(url).hostname === "127.0.0.1");
  if (elsewhere.length === 0)
    throw new UserError(`stack ${session.stack} has no notebook that needs a tunnel`);
  const connection = machine?.connection ?? (await reachRunning(session, asked.name));
  const ends = await Promise.all(
    elsewhere.map(async (notebook) => ({ notebook, port: await freePort(notebook) })),
  );
  const command = tunnelCommand(
    connection,
    ends.map(({ notebook, port }) => [port, notebook.port]),
  );
  const ended = handOver(`exec ${command}`, [], { env: session.env, shell: true });
  const urls = ends.map(({ notebook, port }) => urlAt(notebook.url, port));
  if (await Promise.race([untilOpen(ends[0]?.port ?? 0), ended.then(() => false)])) {
    process.stdout.write(`${urls.join("\n")}\n`);
    say(`the tunnel to ${connection.address} is open until you end it with Ctrl-C`);
    const shown = urlAt(...chosen(ends, args.names[0]));
    if (context.interactive && !(await openBrowser(shown, session.env))) say(`open this yourself: ${shown}`);
  }
  return await ended;
}

/** The way to a machine on which a notebook runs. @throws UserError where it does not: nothing would answer at its url */
async function reachRunning(session: StackSession, name: string): Promise<SshConnection> {
  const { docker, connection } = await session.host.reach(session);
  if (!connection) throw notInReach({ name, condition: "unknown" }, session.stack);
  const containers = await containersOf(docker.host, await readState(session));
  const found = containers.find((each) => nameOf(each) === name);
  const condition = found ? conditionOf(found.State) : "gone";
  if (condition !== "up") throw notInReach({ name, condition }, session.stack);
  return connection;
}

/** The notebook that was asked for, the first one by default, and its port here. */
function chosen(
  ends: { notebook: NotebookInfo; port: number }[],
  name: string | undefined,
): [string, number] {
  const end = ends.find(({ notebook }) => notebook.name === name) ?? ends[0];
  return [end?.notebook.url ?? "", end?.port ?? 0];
}

/** The notebook's url by way of another port. */
export function urlAt(url: string, port: number): string {
  const at = new URL(url);
  at.port = String(port);
  return at.href;
}

/** The notebook's own port where it is free here, else any. */
async function freePort({ name, port }: NotebookInfo): Promise<number> {
  for (const wanted of [port, 0]) {
    const server = createServer().listen(wanted, "127.0.0.1");
    try {
      await once(server, "listening");
      const { port: got } = server.address() as { port: number };
      if (got !== port) say(`${name}: port ${port} is taken on this machine, so the tunnel uses ${got}`);
      return got;
    } catch {
      // Taken; the next one is the system's choice.
    } finally {
      server.close();
    }
  }
  throw new UserError("no port of 127.0.0.1 is free on this machine");
}

async function untilOpen(port: number): Promise<boolean> {
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return true;
    } catch {
      await sleep(100);
    } finally {
      socket.destroy();
    }
  }
  return false;
}
