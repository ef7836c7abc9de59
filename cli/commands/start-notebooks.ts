/** `npm start -- NOTEBOOK`: starts the containers of single notebooks of a stack that is up, without the engine. */
import { hasStackFile, readStack } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { requireOwnDaemon } from "../docker/on-daemon.ts";
import { type OwnContainer, ownContainersOn, startAgain } from "../docker/own-containers.ts";
import { presentHost } from "../hosts/index.ts";
import { findPlaces, isStackFileThere, readStateFile, type State } from "../pulumi/checkpoint.ts";
import { readState } from "../pulumi/state.ts";
import { openable } from "../session.ts";
import { noNotebook, notUp, stackCommand } from "../stack.ts";
import { say } from "../ui/say.ts";

export async function startNotebooks(context: Context, args: Args): Promise<number> {
  const { stack, names } = args;
  const host = await presentHost({ context, stack });
  const state = await stateOf(context, args);
  if (host.isHere) await requireOwnDaemon(context, stack, state);
  const reached = await host.reach({ context, stack });
  const own = await ownContainersOn(reached.docker.host, state);
  const meant = [...new Set(names)].map((name) => pick(context, stack, own, name));
  for (const { name, condition } of meant) if (condition === "up") say(`${name} is up already`);
  const broken = await startAgain(
    { context, stack, connection: reached.connection, docker: reached.docker },
    meant.filter(({ condition }) => condition !== "up"),
  );
  if (broken.length > 0) {
    const start = stackCommand("up", stack);
    throw new UserError(
      broken
        .map(({ name, why }) => `${name} cannot be started (${why}): \`${start}\` makes it anew`)
        .join("\n"),
    );
  }
  for (const { name } of meant)
    process.stdout.write(`${name}: up; its link: ${stackCommand("url", stack, name)}\n`);
  return 0;
}

/** @throws UserError where the stack is not up */
async function stateOf(context: Context, args: Args): Promise<State> {
  const place = findPlaces(context, args.stack);
  if (place && !isStackFileThere(place)) throw notUp(args.stack);
  // The engine is slow to start, and needed only where the state is not in a file.
  const state = readStateFile(place) ?? (await readState(await openable(context, args).open()));
  if (!state.deployment.resources?.length) throw notUp(args.stack);
  return state;
}

/** @throws UserError where there is no container of this name */
function pick({ root }: Context, stack: string, own: OwnContainer[], name: string): OwnContainer {
  const container = own.find((each) => each.name === name);
  if (container) return container;
  const configured = hasStackFile(root, stack) ? readStack(root, stack).notebooks : [];
  if (configured.includes(name))
    throw new UserError(`${name} has no container: \`${stackCommand("up", stack)}\` makes one`);
  const there = own.map((each) => each.name);
  throw noNotebook(stack, name, there);
}
