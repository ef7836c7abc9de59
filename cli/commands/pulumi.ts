/** `npm run pulumi -- ARGS`: any command of the engine, with the set-up of the others. */
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { requireOwnDaemon } from "../docker/on-daemon.ts";
import { readStateFile } from "../pulumi/checkpoint.ts";
import { openSession } from "../session.ts";
import { handOver } from "../system/run.ts";

/** Commands that work on what is there, by all of their names. */
const NO_PROGRAM = /^(destroy|down|dn|refresh)$/;

export async function pulumi(context: Context, args: Args): Promise<number> {
  const { engine, env, place, stack } = await openSession(context, args);
  const state = readStateFile(place);
  // The program itself refuses another daemon, and a destroy or a refresh does not run it.
  if (state && args.rest.some((arg) => NO_PROGRAM.test(arg))) await requireOwnDaemon(context, stack, state);
  return await handOver(engine.file, args.rest, { env, cwd: context.root });
}
