/** `npm run refresh`: takes into the state what was changed behind the engine's back. */
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { findHalted, startAgain } from "../docker/own-containers.ts";
import { isConfirmed } from "../pulumi/consent.ts";
import { finishInterrupted } from "../pulumi/reconcile.ts";
import { recover } from "../pulumi/recover.ts";
import { runEngine } from "../pulumi/run-engine.ts";
import { prepareStack } from "../session.ts";
import { stackCommand } from "../stack.ts";
import { say } from "../ui/say.ts";

export async function refresh(context: Context, args: Args): Promise<number> {
  const session = await prepareStack(context, args);
  await recover(session);
  const state = await finishInterrupted(session);
  // A refresh would forget a container that is stopped, and the next run then finds its name taken.
  for (const { name, why } of await startAgain(session, await findHalted(session, state))) {
    say(`${name} cannot be started (${why}): \`${stackCommand("up", session.stack)}\` makes it anew`);
  }
  const asks = context.interactive && !isConfirmed(session);
  return await runEngine(session, "refresh", asks ? [] : ["--yes", "--skip-preview", "--non-interactive"]);
}
