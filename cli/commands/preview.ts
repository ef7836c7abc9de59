/** `npm run preview`: what `npm start` would change. */
import type { Context } from "../context.ts";
import { clearLocks } from "../recover.ts";
import { prepareStack, runEngine } from "../session.ts";

export async function preview(context: Context, args: string[]): Promise<number> {
  const session = await prepareStack(context, args);
  clearLocks(session);
  return await runEngine(session, "preview", []);
}
