/** `npm run stop`: stops the notebooks and keeps everything; `npm start` brings them back. */
import type Docker from "dockerode";
import { readStack, stackLabel } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { STACK_LABEL } from "../../machine/owner.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import {
  askDocker,
  type DockerAddress,
  dockerAddress,
  dockerClient,
  howToBeAllowed,
  pingDocker,
} from "../docker/daemon.ts";
import { nameOf, requireOwnDaemon, stopping } from "../docker/on-daemon.ts";
import { findPlaces, hostOf, isStackFileThere, readStateFile } from "../pulumi/checkpoint.ts";
import { containersOf } from "../pulumi/reconcile.ts";
import { openSession, requireStack, type Session } from "../pulumi/session.ts";
import { readState, type State } from "../pulumi/state.ts";
import { npmCommand } from "../stack.ts";
import { say } from "../ui/say.ts";

export async function stop(context: Context, args: Args): Promise<number> {
  const { stack, names } = args;
  const place = findPlaces(context, stack);
  const state = readStateFile(place);
  // Where the notebooks run, whatever the file says by now.
  const host = (state && hostOf(state)) ?? readStack(context.root, stack).host;
  if (host === "aws") return await stopOnAws(context, args);
  if (host === "ssh") return await stopBySsh(context, args);
  if (place && !isStackFileThere(place)) {
    // Of a stack that was never made nothing runs, whatever Docker does.
    const told = async () => whyNone(dockerAddress(context.env).host, stackLabel(context.root, stack), stack);
    say(await told().catch(() => `stack ${stack}: no notebook is running`));
    return 0;
  }
  const address = dockerAddress(context.env);
  const ping = await pingDocker(address.host);
  if (ping === "denied") throw new UserError(howToBeAllowed(address.host));
  if (ping !== "ok") throw new UserError(cannotTell(address, stack));
  // The engine is slow to start, and needed only where the state is not in a file.
  const known = state ?? (await readState(await openStack(context, args)));
  await requireOwnDaemon(context, stack, known);
  await stopThem(address.host, context, stack, known, names);
  return 0;
}

/** A daemon that is stopped has stopped its containers, unless it is set to leave them running; another may just not be reached. */
function cannotTell({ host, from }: DockerAddress, stack: string): string {
  const named =
    from === "default" ? "" : `, which ${from === "context" ? "your Docker context" : from} names`;
  return `no Docker daemon answers at ${host}${named}, so whether a notebook of stack ${stack} runs cannot be told. If you have stopped Docker itself, its containers have stopped with it, and \`${npmCommand("start", stack)}\` starts both again`;
}

async function openStack(context: Context, args: Args): Promise<Session> {
  const session = await openSession(context, args);
  await requireStack(session);
  return session;
}

async function stopBySsh(context: Context, args: Args): Promise<number> {
  const { openRemote } = await import("../hosts/remote.ts");
  const session = await openStack(context, args);
  const state = await readState(session);
  const { docker } = await openRemote(context.root, session.stack);
  await stopThem(docker.host, context, session.stack, state, args.names);
  return 0;
}

/** The whole machine: it costs money while it runs. */
async function stopOnAws(context: Context, args: Args): Promise<number> {
  if (args.names.length > 0) {
    throw new UserError(
      "stop: on AWS the whole machine is stopped, as that is what costs money: name no notebook",
    );
  }
  const { findMachine, stopMachine } = await import("../hosts/aws/instance.ts");
  const session = await openStack(context, args);
  const machine = await findMachine(session, await readState(session));
  if (machine) await stopMachine(session, machine);
  else say(`stack ${session.stack} has no machine`);
  return 0;
}

/** What there is to say of a stack that has no container: one that lost its state has some all the same. */
async function whyNone(host: string, label: string, stack: string): Promise<string> {
  const running = (await askDocker<Docker.ContainerInfo[]>(host, "/containers/json")) ?? [];
  const others = running.filter(({ Labels }) => Labels[STACK_LABEL] === label).map(nameOf);
  if (others.length === 0) return `stack ${stack}: no notebook is running`;
  return `stack ${stack}: its state here has no notebook, so nothing was stopped; of a stack of that name ${others.join(", ")} ${others.length === 1 ? "runs" : "run"} on the Docker daemon: \`${npmCommand("doctor", stack)}\` tells whose`;
}

/** @param names of those that are meant; all without any */
async function stopThem(
  host: string,
  { root }: Context,
  stack: string,
  state: State,
  names: string[],
): Promise<void> {
  const label = stackLabel(root, stack);
  const docker = dockerClient(host);
  const containers = await containersOf(host, state);
  const unknown = names.find((name) => !containers.some((container) => nameOf(container) === name));
  if (unknown) {
    const there = containers.map(nameOf).join(", ") || "none";
    throw new UserError(`stop: stack ${stack} has no notebook ${unknown}; it has ${there}`);
  }
  const isMeant = (container: Docker.ContainerInfo) =>
    names.length === 0 || names.includes(nameOf(container));
  const toStop = containers.filter((container) => isMeant(container) && container.State in STOPPED);
  await Promise.all(
    toStop.map((each) => stopping(host, stack, nameOf(each), () => docker.getContainer(each.Id).stop())),
  );
  const stopped = toStop.map((container) => `${nameOf(container)}${STOPPED[container.State]}`);
  say(
    toStop.length === 0
      ? containers.length === 0
        ? await whyNone(host, label, stack)
        : `stack ${stack}: no notebook is running`
      : `stopped ${stopped.join(", ")}; \`${npmCommand("start", stack)}\` brings ${toStop.length === 1 ? "it" : "them"} back`,
  );
}

/** Docker's words for containers that can be stopped, and what else is said of them then. */
const STOPPED: Record<string, string> = {
  running: "",
  paused: " (it was paused)",
  restarting: " (it was started again and again)",
};
