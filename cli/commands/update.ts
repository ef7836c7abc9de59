/** `npm run update`: moves the branches and tags of `code` entries on, without running the program. */

import { readConfig } from "../../config/load.ts";
import { shortName, stackId } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { imageName } from "../../machine/names.ts";
import { type CodeParameters, codeParameters } from "../../machine/scripts.ts";
import type { SshConnection } from "../../machine/ssh/command.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { connectTo } from "../hosts/index.ts";
import { findPlaces, isStackFileThere } from "../pulumi/checkpoint.ts";
import { openable } from "../session.ts";
import { notUp } from "../stack.ts";
import { runHostScript } from "../system/host-scripts.ts";
import { say } from "../ui/say.ts";

export async function update(context: Context, args: Args): Promise<number> {
  const { stack, names } = args;
  const entries = chooseEntries(codeEntries(context, stack), names);
  if (entries.length === 0) {
    throw new UserError(
      `stack ${stack} has no code entries: list them as \`gpubox:code\` in Pulumi.${shortName(stack)}.yaml`,
    );
  }
  const place = findPlaces(context, stack);
  if (place && !isStackFileThere(place)) throw notUp(stack);
  return await updateEntries(context, entries, await connectTo(openable(context, args)));
}

/** The `code` entries of a stack's file. @throws UserError when that cannot be used */
function codeEntries(context: Context, stack: string): CodeParameters[] {
  const { code, root, image } = readConfig(context.root, stack);
  const shared = { ROOT: root, IMAGE: imageName(stackId(context.root, stack), image) };
  return code.map((entry) => ({ ...shared, ...codeParameters(entry) }));
}

/** Those with these folders; all of them without any. @throws UserError when there is none of that name */
export function chooseEntries(entries: CodeParameters[], names: string[]): CodeParameters[] {
  const folders = entries.map(({ FOLDER }) => FOLDER);
  const unknown = names.find((name) => !folders.includes(name));
  if (unknown) {
    throw new UserError(`there is no \`code\` entry ${unknown}; there is ${folders.join(", ") || "none"}`);
  }
  return names.length === 0 ? entries : entries.filter(({ FOLDER }) => names.includes(FOLDER));
}

/**
 * Looks each entry's ref up anew and moves its checkout there, one after the other; one that fails keeps none from its turn.
 *
 * @param connection the way to the machine; this one without it
 * @returns exit status: that of the last entry that failed, else 0
 */
export async function updateEntries(
  context: Context,
  entries: CodeParameters[],
  connection?: SshConnection,
): Promise<number> {
  let status = 0;
  for (const entry of entries) {
    const { code } = await runHostScript(
      context,
      "gpubox_data/code.py",
      { ...entry, UPDATE: "1" },
      { connection },
    );
    if (code === 0) continue;
    say(`code/${entry.FOLDER}: not updated`);
    status = code;
  }
  return status;
}
