/** `npm run url | shell | logs`: the way into a notebook. */
import { UserError } from "../../errors.ts";
import type { NotebookInfo } from "../../machine/outputs.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { type LocalNotebook, lookAtStack, pickNotebook } from "../docker/notebooks.ts";
import { stackCommand } from "../stack.ts";
import { type Env, handOver } from "../system/run.ts";

/** Whether a notebook in this condition will do. */
type Need = (condition: LocalNotebook["condition"]) => boolean;

const isUp: Need = (condition) => condition === "up";
const isThere: Need = (condition) => condition !== "gone";

/** Prints the address of a notebook, alone on its line. */
export async function url(context: Context, args: Args): Promise<number> {
  const { notebook } = await findNotebook(context, args);
  const { name, url: address } = notebook;
  const said = args.options.json ? JSON.stringify({ stack: args.stack, name, url: address }) : address;
  process.stdout.write(`${said}\n`);
  return 0;
}

/** Opens a shell in a notebook's container. */
export async function shell(context: Context, args: Args): Promise<number> {
  const { notebook, env } = await findNotebook(context, args);
  // A terminal is given only where there is one, so that commands can be piped in.
  const command = process.stdin.isTTY ? notebook.shell : notebook.shell.replace(" -it ", " -i ");
  return await handOver(command, [], { env, shell: true });
}

/** Shows the log of a notebook, and on a terminal follows it; that of a stopped one says what it stopped for. */
export async function logs(context: Context, args: Args): Promise<number> {
  const { notebook, env } = await findNotebook(context, args, isThere);
  // What reads from a pipe waits for its end.
  const command = process.stdout.isTTY ? notebook.logs : notebook.logs.replace(" logs -f ", " logs ");
  return await handOver(command, [], { env, shell: true });
}

/** The notebook that is asked for, and the environment of its commands. @throws UserError when it is not as needed */
export async function findNotebook(
  context: Context,
  args: Args,
  isEnough: Need = isUp,
): Promise<{ notebook: Pick<NotebookInfo, "name" | "shell" | "logs"> & { url?: string }; env: Env }> {
  const { stack, names } = args;
  const looked = await lookAtStack(context, stack);
  if (looked === undefined) return await findWithEngine(context, args);
  const notebook = pickNotebook(looked.notebooks, stack, names[0]);
  if (looked.problem) throw looked.problem;
  if (isEnough(notebook.condition)) return { notebook, env: context.env };
  throw notInReach(notebook, stack);
}

/** That a notebook has to be brought back first. */
export function notInReach(
  { name, condition }: Pick<LocalNotebook, "name" | "condition">,
  stack: string,
): UserError {
  return new UserError(`${name} is ${condition}: \`${stackCommand("up", stack)}\` brings it back`);
}

async function findWithEngine(context: Context, args: Args) {
  // Slow to load, and needed only for a stack that is elsewhere.
  const { openable } = await import("../session.ts");
  const { readOutputs } = await import("../pulumi/outputs.ts");
  const session = await openable(context, args).open();
  const { notebooks = [] } = await readOutputs(session);
  return { notebook: pickNotebook(notebooks, session.stack, args.names[0]), env: session.env };
}
