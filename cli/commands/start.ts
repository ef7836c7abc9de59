/** `npm start`: answers at once where there is nothing to do. */
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { outputsHere } from "../docker/notebooks.ts";
import type { StackOutputs } from "../pulumi/outputs.ts";
import { summary, UNCHANGED } from "../ui/summary.ts";
import { isUnchanged } from "../unchanged/index.ts";
import { hashInputs } from "../unchanged/inputs.ts";

export async function start(context: Context, args: Args): Promise<number> {
  const inputs = hashInputs(context, args);
  if (inputs && (await isUnchanged(context, args.stack, inputs))) {
    process.stdout.write(`${UNCHANGED}\n${summary(await outputsOf(context, args), args.stack)}\n`);
    return 0;
  }
  // Loaded here: it takes longer than all of the above.
  return await (await import("./up.ts")).up(context, args, inputs);
}

/** The outputs of a stack that is up. */
async function outputsOf(context: Context, args: Args): Promise<StackOutputs> {
  const here = await outputsHere(context, args.stack);
  if (here) return here;
  // Loaded here: a stack on this machine does without.
  const { openSession } = await import("../session.ts");
  const { readOutputs } = await import("../pulumi/outputs.ts");
  return await readOutputs(await openSession(context, args));
}
