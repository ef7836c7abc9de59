/** `npm run open`: a notebook in the person's browser, by a tunnel where it is on another machine. */
import { openBrowser } from "../browser.ts";
import type { Context } from "../context.ts";
import { say } from "../say.ts";
import { parseStackArgs, readStack } from "../setup/stack.ts";
import { findNotebook } from "./notebook.ts";
import { tunnel } from "./tunnel.ts";

export async function open(context: Context, args: string[]): Promise<number> {
  const { stack } = parseStackArgs(args, context.env);
  if (readStack(context.root, stack).host !== "local") return await tunnel(context, args);
  const { notebook } = await findNotebook(context, args);
  if (notebook.url && (await openBrowser(notebook.url, context.env))) return 0;
  say("no browser could be opened from here; open this yourself:");
  process.stdout.write(`${notebook.url}\n`);
  return 0;
}
