/** `npm run stop`: stops the notebooks and keeps everything; `npm start` brings them back. */
import type Docker from "dockerode";
import type { Context } from "../context.ts";
import { containerIds, nameOf, stackContainers } from "../reconcile.ts";
import { Problem, say } from "../say.ts";
import { dockerAddress, dockerClient, pingDocker } from "../setup/daemon.ts";
import { parseStackArgs, readStack, stackLabel } from "../setup/stack.ts";

export async function stop(context: Context, args: string[]): Promise<number> {
  const { stack } = parseStackArgs(args, context.env);
  const { host } = readStack(context.root, stack);
  if (host === "ssh") return await stopBySsh(context, args);
  if (host === "aws") return await stopOnAws(context, args);
  if (host !== "local") {
    throw new Problem(
      `stack ${stack} is on a host of kind ${host}: stop it there, or tear it down with \`npm run destroy -- -s ${stack}\``,
    );
  }
  const address = dockerAddress(context.env);
  if ((await pingDocker(address.host)) !== "ok") {
    say(`no Docker daemon answers at ${address.host}, so no notebook of stack ${stack} runs on it`);
    return 0;
  }
  await stopThem(address.host, stack, await stackContainers(address.host, stackLabel(context.root, stack)));
  return 0;
}

/** On a machine that people share, only what the state names is ours. */
async function stopBySsh(context: Context, args: string[]): Promise<number> {
  const { openSession, requireStack } = await import("../session.ts");
  const { readState } = await import("../state.ts");
  const { openRemote } = await import("../remote.ts");
  const session = await openSession(context, args);
  await requireStack(session);
  const ours = containerIds(await readState(session));
  const { docker } = await openRemote(context.root, session.stack);
  const containers = (await stackContainers(docker.host, session.label)).filter(({ Id }) => ours.has(Id));
  await stopThem(docker.host, session.stack, containers);
  return 0;
}

/** The whole machine: it costs money while it runs. */
async function stopOnAws(context: Context, args: string[]): Promise<number> {
  const { openSession, requireStack } = await import("../session.ts");
  const { readState } = await import("../state.ts");
  const { findMachine, stopMachine } = await import("../aws.ts");
  const session = await openSession(context, args);
  await requireStack(session);
  const machine = await findMachine(session, await readState(session));
  if (machine) await stopMachine(machine);
  else say(`stack ${session.stack} has no machine`);
  return 0;
}

async function stopThem(host: string, stack: string, containers: Docker.ContainerInfo[]): Promise<void> {
  const docker = dockerClient(host);
  const running = containers.filter(({ State }) => State === "running");
  await Promise.all(running.map(({ Id }) => docker.getContainer(Id).stop()));
  say(
    running.length === 0
      ? `stack ${stack}: no notebook is running`
      : `stopped ${running.map(nameOf).join(", ")}; \`npm start\` brings ${running.length === 1 ? "it" : "them"} back`,
  );
}
