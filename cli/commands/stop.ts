/** `npm run stop`: stops the notebooks and keeps everything; `npm start` brings them back. */
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { presentHost } from "../hosts/index.ts";
import { openable } from "../session.ts";

export async function stop(context: Context, args: Args): Promise<number> {
  const { stack, names } = args;
  const host = await presentHost({ context, stack });
  return await host.stop(openable(context, args), names);
}
