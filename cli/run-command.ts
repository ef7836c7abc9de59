/** Running a command as its arguments say. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Command, CommanderError } from "commander";
import { nearest, shown } from "../text/words.ts";
import { HELP, Misuse } from "./args.ts";
import { COMMANDS } from "./commands.ts";
import { type Context, createContext } from "./context.ts";
import { requireNothingForgotten } from "./forgotten.ts";
import { requireKnown } from "./known-stack.ts";
import { parseArgs } from "./parse.ts";
import { type Entry, globalOptions, helpText, type Program, programHelp } from "./program.ts";
import { namesNoStack, stackCommand } from "./stack.ts";
import { lookWith } from "./system/failure.mjs";

/**
 * Runs the command that the arguments of a program name, or says what they ask for.
 *
 * @returns the exit status
 * @throws UserError where there is no such command
 */
export async function runProgram(
  program: Program,
  argv: string[],
  context = createContext(),
): Promise<number> {
  const { given, words } = leading(program, argv);
  const [word, ...args] = words;
  if (given.version) return print(`gpubox ${version(context)}\n`);
  if (word === undefined) {
    process.stderr.write(programHelp(program));
    return 2;
  }
  const [topic] = word === "help" ? args : HELP.test(word) ? [] : [word];
  if (topic === undefined) return print(programHelp(program));
  const name = commandNamed(program, topic);
  const own = word === "help" ? ["--help"] : args;
  const stack = given.stack === undefined ? [] : ["-s", given.stack];
  return await runCommand(name, [...stack, ...own], context, program.commands);
}

/** What stands before the name of a command, and everything else. */
function leading(program: Program, argv: string[]) {
  const options = globalOptions(program);
  // A stack that is given here is looked at with the command's own arguments.
  const { operands, unknown } = parseLeading(options, argv);
  return { given: options.opts<{ version?: true; stack?: string }>(), words: [...operands, ...unknown] };
}

/** @throws UserError where the last of them lacks its value */
function parseLeading(options: Command, argv: string[]) {
  try {
    return options.parseOptions(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw namesNoStack(argv.at(-1) as string);
  }
}

/** @throws Misuse naming the nearest, or all */
function commandNamed({ commands }: Program, word: string): string {
  if (Object.hasOwn(commands, word)) return word;
  const aliased = Object.keys(commands).find((name) => commands[name]?.alias === word);
  if (aliased !== undefined) return aliased;
  const what = `there is no ${word.startsWith("-") ? "option" : "command"} ${shown(word)}`;
  const near = nearest(word, Object.keys(commands));
  throw new Misuse(
    near === undefined
      ? `${what}; there are ${Object.keys(commands).join(", ")}`
      : `${what}: did you mean ${near}?`,
  );
}

function version({ root }: Context): string {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

/**
 * Runs a command, or prints its help.
 *
 * @param name one of the table
 * @returns the exit status
 * @throws UserError where it does not take these arguments, or there is no such stack
 */
export async function runCommand(
  name: string,
  argv: string[],
  context: Context,
  commands: Record<string, Entry> = COMMANDS,
): Promise<number> {
  const entry = commands[name] as Entry;
  requireNothingForgotten(name, entry, argv, context);
  const args = parseArgs(name, entry, argv, context.env);
  if (args === undefined) return print(helpText(name, entry));
  if (entry.stack) lookWith(stackCommand("doctor", args.stack));
  if (entry.stack === "there") requireKnown(context, args.stack);
  const command = await entry.load();
  return await command(context, args);
}
