/** Whether there is a stack of a name, found out without the engine. */

import { hasStackFile, noSuchStack, projectName } from "../config/stack-file.ts";
import { UserError } from "../errors.ts";
import type { Context } from "./context.ts";
import { findPlaces, isStackFileThere } from "./pulumi/checkpoint.ts";

/** @throws UserError where a stack has neither a file nor a state, as far as that is kept on this machine */
export function requireKnown(context: Context, stack: string): void {
  const [, project = "", name] = stack.split("/");
  const ownProject = projectName(context.root);
  if (name !== undefined && project !== ownProject)
    throw new UserError(`there is no stack ${stack} here: this is the project ${ownProject}, not ${project}`);
  if (hasStackFile(context.root, stack)) return;
  const place = findPlaces(context, stack);
  if (place !== undefined && !isStackFileThere(place)) throw noSuchStack(context.root, stack);
}
