/** `npm run url | shell | logs`: the way into a notebook. */
import type { Context } from "../context.ts";
import { findNotebook } from "../outputs.ts";
import { handOver } from "../run.ts";
import { openSession } from "../session.ts";

/** Prints the address of a notebook, alone on its line. */
export async function url(context: Context, args: string[]): Promise<number> {
  const session = await openSession(context, args);
  const notebook = await findNotebook(session, session.rest[0]);
  process.stdout.write(`${notebook.url}\n`);
  return 0;
}

/** Opens a shell in a notebook's container. */
export async function shell(context: Context, args: string[]): Promise<number> {
  const session = await openSession(context, args);
  const notebook = await findNotebook(session, session.rest[0]);
  // A terminal is given only where there is one, so that commands can be piped in.
  const command = process.stdin.isTTY ? notebook.shell : notebook.shell.replace(" -it ", " -i ");
  return await handOver(command, [], { env: session.env, shell: true });
}

/** Follows the log of a notebook. */
export async function logs(context: Context, args: string[]): Promise<number> {
  const session = await openSession(context, args);
  const notebook = await findNotebook(session, session.rest[0]);
  return await handOver(notebook.logs, [], { env: session.env, shell: true });
}
