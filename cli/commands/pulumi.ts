/** `npm run pulumi -- ARGS`: any command of the engine, with the set-up of the others. */
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { handOver } from "../run.ts";
import { openSession } from "../session.ts";

export async function pulumi(context: Context, args: Args): Promise<number> {
  const { engine, env } = await openSession(context, args);
  return await handOver(engine.file, args.rest, { env, cwd: context.root });
}
