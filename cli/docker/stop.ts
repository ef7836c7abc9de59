/** Stopping the notebooks of a stack, on whichever Docker daemon they are. */
import type Docker from "dockerode";
import { stackId } from "../../config/stack-file.ts";
import { askDocker, dockerClient } from "../../machine/docker/api.ts";
import { STACK_LABEL } from "../../machine/owner.ts";
import type { Context } from "../context.ts";
import type { State } from "../pulumi/checkpoint.ts";
import { noNotebook, stackCommand } from "../stack.ts";
import { say } from "../ui/say.ts";
import { containersOf, nameOf, stopping } from "./on-daemon.ts";

/** What there is to say of a stack that has no container: one that lost its state has some all the same. */
export async function whyNone(host: string, id: string, stack: string): Promise<string> {
  const running = (await askDocker<Docker.ContainerInfo[]>(host, "/containers/json")) ?? [];
  const others = running.filter(({ Labels }) => Labels[STACK_LABEL] === id).map(nameOf);
  if (others.length === 0) return `stack ${stack}: no notebook is running`;
  return `stack ${stack}: its state has no notebook, so nothing was stopped; the Docker daemon runs ${others.join(", ")} of another stack of that name: \`${stackCommand("doctor", stack)}\` shows whose`;
}

/** Stops notebooks and says which. @param names of those that are meant; all without any */
export async function stopNotebooks(
  host: string,
  { root }: Context,
  stack: string,
  state: State,
  names: string[],
): Promise<void> {
  const id = stackId(root, stack);
  const docker = dockerClient(host);
  const containers = await containersOf(host, state);
  const there = containers.map(nameOf);
  const unknown = names.find((name) => !there.includes(name));
  if (unknown) throw noNotebook(stack, unknown, there);
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
        ? await whyNone(host, id, stack)
        : `stack ${stack}: no notebook is running`
      : `stopped ${stopped.join(", ")}; \`${stackCommand("up", stack, ...names)}\` brings ${toStop.length === 1 ? "it" : "them"} back`,
  );
}

/** Docker's words for containers that can be stopped, and what else is said of them then. */
const STOPPED: Record<string, string> = {
  running: "",
  paused: " (it was paused)",
  restarting: " (it kept restarting)",
};
