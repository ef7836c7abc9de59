/** Running a command as its arguments say. */
import { helpText, parseArgs } from "./args.ts";
import { COMMANDS, type Entry } from "./commands.ts";
import type { Context } from "./context.ts";
import { requireKnown } from "./known-stack.ts";
import { npmCommand } from "./stack.ts";
import { lookWith } from "./system/failure.mjs";

/**
 * Runs a command, or prints its help.
 *
 * @param name one of the table
 * @returns the exit status
 * @throws UserError where it does not take these arguments, or there is no such stack
 */
export async function runCommand(name: string, argv: string[], context: Context): Promise<number> {
  const entry = COMMANDS[name] as Entry;
  const args = parseArgs(name, entry, argv, context.env);
  if (args === undefined) {
    process.stdout.write(helpText(name, entry));
    return 0;
  }
  if (entry.stack) lookWith(npmCommand("doctor", args.stack));
  if (entry.stack === "there") requireKnown(context, args.stack);
  const command = await entry.load();
  return await command(context, args);
}
