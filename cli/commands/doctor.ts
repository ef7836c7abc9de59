/** `npm run doctor`: everything that a stack depends on, one line each, with what mends what is wrong. */
import type { Context } from "../context.ts";
import { findChecks, formatChecks, summary } from "../doctor.ts";
import { Problem } from "../say.ts";
import { parseStackArgs } from "../setup/stack.ts";

export async function doctor(context: Context, args: string[]): Promise<number> {
  const { stack, rest } = parseStackArgs(args, context.env);
  const unknown = rest.find((arg) => arg !== "--json");
  if (unknown) throw new Problem(`doctor takes -s STACK and --json, not ${unknown}`);
  const checks = await findChecks(context, stack);
  const isWell = !checks.some(({ status }) => status === "fail");
  process.stdout.write(
    rest.includes("--json")
      ? `${JSON.stringify({ stack, ok: isWell, checks }, null, 2)}\n`
      : `${formatChecks(checks)}${summary(checks)}\n`,
  );
  return isWell ? 0 : 1;
}
