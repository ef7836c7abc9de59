/** `npm run preview`: what `npm start` would change. */
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { recover } from "../pulumi/recover.ts";
import { runEngine } from "../pulumi/run-engine.ts";
import { prepareStack } from "../session.ts";

export async function preview(context: Context, args: Args): Promise<number> {
  const session = await prepareStack(context, args);
  await recover(session);
  return await runEngine(session, "preview", []);
}
