/** `npm run status`: what there is of each notebook, in one line. */
import type { Context } from "../context.ts";
import { type LocalNotebook, lookAtStack } from "../notebooks.ts";
import { say } from "../say.ts";
import { notUp, parseStackArgs, stackOption } from "../setup/stack.ts";

/** What is shown of a notebook. */
type Row = Pick<LocalNotebook, "name" | "condition" | "health" | "address" | "gpus">;

export async function status(context: Context, args: string[]): Promise<number> {
  const { stack } = parseStackArgs(args, context.env);
  const looked = await lookAtStack(context, stack);
  const rows = looked?.notebooks ?? (await rowsFromEngine(context, args));
  process.stdout.write(table(rows));
  if (rows.length === 0) say(notUp(stack).message);
  else if (looked?.problem) say(looked.problem.message);
  else say(`links with their tokens: npm run url${stackOption(stack)}`);
  return 0;
}

/** A line for each notebook, in columns. */
export function table(rows: Row[]): string {
  const cells = rows.map(({ name, condition, health, address, gpus }) => [
    name,
    health ? `${condition} (${health})` : condition,
    address,
    gpus,
  ]);
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) => `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}\n`)
    .join("");
}

/** A stack that is elsewhere: what the last run said of it, with nobody asked whether that is still so. */
async function rowsFromEngine(context: Context, args: string[]): Promise<Row[]> {
  // Slow to load, and needed only here.
  const { isStackThere, openSession } = await import("../session.ts");
  const { readOutputs } = await import("../outputs.ts");
  const session = await openSession(context, args);
  const { notebooks = [] } = (await isStackThere(session)) ? await readOutputs(session) : {};
  return notebooks.map(({ name, url, gpus }) => ({
    name,
    condition: "unknown",
    health: undefined,
    address: url.replace(/\?.*$/s, ""),
    gpus,
  }));
}
