/** What a command takes, and what it is given. */
import { UserError } from "../errors.ts";
import { commandLine, commandWord } from "../text/command-line.ts";
import type { EngineCommand, Option } from "./pulumi/engine-options.ts";

/** What a command takes. */
export interface Takes {
  /** What it does, for its help and the page of commands. */
  does: string;
  /** What it is listed under. */
  group: string;
  /** Another word for it. */
  alias?: string;
  /** The stacks that it can be about: one that is there, or any; none where it is about no stack. */
  stack?: "there" | "any";
  /** What can stand there beside options. */
  names?: { are: string; many: boolean };
  options?: Record<string, Option>;
  /** The command of the engine that it runs, whose options it takes as well. */
  engine?: EngineCommand;
  /** Whose arguments it takes, whatever they are. */
  passes?: string;
  /** Arguments of an example. */
  example?: string;
}

/** The arguments of a command, taken apart. */
export interface Args {
  /** As the person wrote it; may be `organization/project/name`. */
  stack: string;
  /** Whether the arguments name it. */
  isNamed: boolean;
  /** What is no option. */
  names: string[];
  options: Record<string, string | true>;
  /** All but the stack, for another program; of one of the engine's commands the options alone, in full. */
  rest: string[];
}

/** That a command was not called as it can be. */
export class Misuse extends UserError {
  /** Exit status. */
  readonly status = 2;
}

/** That a command does not take what it was given. */
export function misuse(name: string, what: string): Misuse {
  const help = `\`${commandLine(name, "--help")}\` says what there is`;
  return new Misuse(`${commandWord(name)}: ${what}${what.endsWith("?") ? "" : ";"} ${help}`);
}

/** What asks for the help of a command. */
export const HELP = /^(--help|-h)$/;

/** What stands behind a command's name, in short: `[-s STACK] [NOTEBOOK …] [--json]`. */
export function synopsis({ stack, names, options = {}, engine, passes }: Takes): string {
  const optional = (text: string) => `[${text}]`;
  const flag = (key: string, { value }: Option) => `--${key}${value ? ` ${value}` : ""}`;
  return [
    ...(stack ? [optional("-s STACK")] : []),
    ...(names ? [optional(names.many ? `${names.are} …` : names.are)] : []),
    ...Object.entries(options).map(([key, option]) => optional(flag(key, option))),
    ...(engine ? [optional(`options of pulumi ${engine}`)] : []),
    ...(passes ? [optional(`arguments of ${passes}`)] : []),
  ].join(" ");
}
