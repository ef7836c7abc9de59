/** Whether there is a stack of a name, found out without the engine. */
import type { Context } from "./context.ts";
import { Problem } from "./say.ts";
import { hasStackFile, noSuchStack, projectName } from "./setup/stack.ts";
import { findPlaces, isStackFileThere } from "./state-file.ts";

/** @throws Problem where a stack has neither a file nor a state, as far as that is kept on this machine */
export function requireKnown(context: Context, stack: string): void {
  const [, project = "", name] = stack.split("/");
  const ours = projectName(context.root);
  if (name !== undefined && project !== ours)
    throw new Problem(`there is no stack ${stack} here: this is the project ${ours}, not ${project}`);
  if (hasStackFile(context.root, stack)) return;
  const place = findPlaces(context, stack);
  if (place !== undefined && !isStackFileThere(place)) throw noSuchStack(context.root, stack);
}
