/** `npm run open`: a notebook in the person's browser, by a tunnel where it is on another machine. */

import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { presentHost } from "../hosts/index.ts";
import { openBrowser } from "../ui/browser.ts";
import { say } from "../ui/say.ts";
import { findNotebook } from "./notebook.ts";
import { tunnel } from "./tunnel.ts";

export async function open(context: Context, args: Args): Promise<number> {
  if (!(await presentHost({ context, stack: args.stack })).isHere) return await tunnel(context, args);
  const { notebook } = await findNotebook(context, args);
  if (notebook.url && (await openBrowser(notebook.url, context.env))) return 0;
  say("no browser could be opened from here; open this yourself:");
  process.stdout.write(`${notebook.url}\n`);
  return 0;
}
