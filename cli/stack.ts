/** The stack that a command is about: its name, its file, and its entry in the backend. */
import { UserError } from "../errors.ts";
import { commandLine } from "../text/command-line.ts";
import { nearest, shown } from "../text/words.ts";
import type { Env } from "./system/run.ts";

const DEFAULT_STACK = "dev";

/** What of a command's arguments is about the stack. */
export interface StackArgs {
  /** As the person wrote it; may be `organization/project/name`. */
  stack: string;
  /** The arguments without `-s NAME`. */
  rest: string[];
}

/** Pulumi's rule for each part of a name; and a first letter by which it is no option, and no folder. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/;

/**
 * Finds `-s NAME` or `--stack NAME`; without it PULUMI_STACK says which, else it is dev.
 *
 * @throws UserError when the name is missing, or none that a stack can have, or there are two
 */
export function parseStackArgs(args: string[], env: Env): StackArgs & { isNamed: boolean } {
  const rest: string[] = [];
  let named: string | undefined;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string;
    const match = /^(--stack)(?:=(.*))?$/s.exec(arg) ?? /^(-s)(?:=?(.+))?$/s.exec(arg);
    if (!match) {
      rest.push(arg);
      continue;
    }
    const [, option = "", name = args[++at]] = match;
    if (!name || name.startsWith("-")) throw namesNoStack(option);
    if (named !== undefined && named !== name)
      throw new UserError(
        `-s is given twice, with ${shown(named)} and ${shown(name)}: which of them is meant?`,
      );
    named = name;
  }
  const stack = named ?? (env.PULUMI_STACK || DEFAULT_STACK);
  const parts = stack.split("/");
  if (parts.length > 3 || !parts.every((part) => NAME.test(part))) {
    const from = named === undefined ? "PULUMI_STACK" : "-s";
    throw new UserError(
      `${from} ${shown(stack.length > 120 ? `${stack.slice(0, 120)}…` : stack)}: no stack can be called that: a name is up to 100 letters from a to z, digits, _ . -, and begins with a letter, a digit or _`,
    );
  }
  return { stack, isNamed: named !== undefined, rest };
}

/** That an option lacks the name of a stack. */
export const namesNoStack = (option: string): UserError =>
  new UserError(`${option} needs the name of a stack, as in \`-s lab\``);

/**
 * A command of ours as a person types it, about a stack: the only way to write one into a message. It names the stack wherever
 * without that another could be meant.
 *
 * @param words its other arguments
 */
export function stackCommand(command: string, stack: string, ...words: string[]): string {
  const isMeant = stack === DEFAULT_STACK && !process.env.PULUMI_STACK;
  return commandLine(command, ...words, ...(isMeant ? [] : ["-s", stack]));
}

/** That a stack has no notebook of a name. @param there those that it has */
export function noNotebook(stack: string, name: string, there: string[]): UserError {
  const near = nearest(name, there);
  const meant = near === undefined ? "" : `: did you mean ${near}?`;
  return new UserError(
    `stack ${stack} has no notebook ${shown(name)}; it has ${there.join(", ") || "none"}${meant}`,
  );
}

/** That a stack is not up. */
export function notUp(stack: string): UserError {
  return new UserError(`stack ${stack} is not up: run \`${stackCommand("up", stack)}\``);
}
