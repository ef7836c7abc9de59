/** `npm run stop`: stops the notebooks and keeps everything; `npm start` brings them back. */
import type { Context } from "../context.ts";
import { nameOf, stackContainers } from "../reconcile.ts";
import { Problem, say } from "../say.ts";
import { dockerAddress, dockerClient, pingDocker } from "../setup/daemon.ts";
import { parseStackArgs, readStack, stackLabel } from "../setup/stack.ts";

export async function stop(context: Context, args: string[]): Promise<number> {
  const { stack } = parseStackArgs(args, context.env);
  const { host } = readStack(context.root, stack);
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
  const docker = dockerClient(address.host);
  const containers = await stackContainers(address.host, stackLabel(context.root, stack));
  const running = containers.filter(({ State }) => State === "running");
  await Promise.all(running.map(({ Id }) => docker.getContainer(Id).stop()));
  say(
    running.length === 0
      ? `stack ${stack}: no notebook is running`
      : `stopped ${running.map(nameOf).join(", ")}; \`npm start\` brings ${running.length === 1 ? "it" : "them"} back`,
  );
  return 0;
}
