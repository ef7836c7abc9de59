/** `npm run refresh`: takes into the state what was changed behind the engine's back. */
import type { Context } from "../context.ts";
import { finishInterrupted, startStopped } from "../reconcile.ts";
import { recover } from "../recover.ts";
import { prepareStack, runEngine } from "../session.ts";

export async function refresh(context: Context, args: string[]): Promise<number> {
  const session = await prepareStack(context, args);
  await recover(session);
  const state = await finishInterrupted(session);
  // A refresh would forget a container that is stopped, and the next run then finds its name taken.
  await startStopped(session, state);
  return await runEngine(session, "refresh", context.interactive ? [] : ["--yes", "--non-interactive"]);
}
