/** `npm run doctor`: everything that a stack depends on, one line each, with how to fix what is wrong. */
import type { Args } from "../args.ts";
import { findChecks, formatChecks, summary } from "../checks.ts";
import type { Context } from "../context.ts";

export async function doctor(context: Context, args: Args): Promise<number> {
  const { stack, options } = args;
  const checks = await findChecks(context, stack);
  const isWell = !checks.some(({ status }) => status === "fail");
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ stack, ok: isWell, checks }, null, 2)}\n`
      : `${formatChecks(checks)}${summary(checks)}\n`,
  );
  return isWell ? 0 : 1;
}
