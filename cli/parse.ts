/** The arguments of a command, by what `commands.ts` says that it takes. */
import { CommanderError } from "commander";
import { nearest, shown } from "../text/words.ts";
import { type Args, HELP, misuse, type Takes } from "./args.ts";
import { commandOf, knownOptions } from "./program.ts";
import { engineOptions } from "./pulumi/engine-options.ts";
import { parseStackArgs } from "./stack.ts";
import type { Env } from "./system/run.ts";

/**
 * Takes the arguments of a command apart.
 *
 * @returns undefined where they ask for its help
 * @throws UserError where they are none that it takes
 */
export function parseArgs(name: string, takes: Takes, args: string[], env: Env): Args | undefined {
  if (asksForHelp(takes, args)) return undefined;
  const none = { stack: "", isNamed: false, rest: args };
  const { stack, isNamed, rest } = takes.stack ? parseStackArgs(args, env) : none;
  if (takes.passes !== undefined) return { stack, isNamed, names: [], options: {}, rest: args };
  const { names, options, handed } = takeApart(name, takes, rest);
  const [first, second] = names;
  if (first !== undefined && !takes.names) throw misuse(name, `it takes no ${shown(first)}`);
  if (second !== undefined && !takes.names?.many)
    throw misuse(name, `it takes one ${takes.names?.are}, not ${names.map(shown).join(" and ")}`);
  return { stack, isNamed, names, options, rest: takes.engine ? handed : rest };
}

/** What another program is given may ask for that program's help. */
function asksForHelp({ passes }: Takes, args: string[]): boolean {
  if (passes !== undefined) return args.length === 1 && HELP.test(args[0] as string);
  const end = args.indexOf("--");
  return args.slice(0, end < 0 ? args.length : end).some((arg) => HELP.test(arg));
}

interface Taken extends Pick<Args, "names" | "options"> {
  /** Options in full, in their order. */
  handed: string[];
}

function takeApart(name: string, takes: Takes, args: string[]): Taken {
  const engine = takes.engine ? engineOptions(takes.engine) : {};
  const options: Args["options"] = {};
  const handed: string[] = [];
  const command = commandOf(name, takes, valuedFlags(engine, args));
  for (const { long } of command.options) {
    const key = (long as string).slice(2);
    command.on(`option:${key}`, (value?: string | null) => {
      if (!Object.hasOwn(engine, key)) requireOneValue(name, key, value, options[key], args);
      options[key] = value ?? true;
      handed.push(value == null ? `--${key}` : `--${key}=${value}`);
    });
  }
  try {
    const { operands, unknown } = command.parseOptions(args);
    const [stranger] = unknown;
    if (stranger !== undefined) throw misuse(name, whatOf(stranger, takes));
    return { names: operands, options, handed };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const [flag] = /--[\w-]+/.exec(error.message) ?? [];
    throw misuse(name, `${flag} needs a value`);
  }
}

/** The engine takes a value for each of its flags where it is written behind `=`. */
function valuedFlags(engine: ReturnType<typeof engineOptions>, args: string[]): string[] {
  return Object.keys(engine).filter((key) => args.some((arg) => arg.startsWith(`--${key}=`)));
}

/** @throws Misuse where a value looks like an option that lacks its own, or is the second */
function requireOneValue(
  name: string,
  key: string,
  value: string | null | undefined,
  before: string | true | undefined,
  args: string[],
): void {
  if (value == null) return;
  const isInline = args.includes(`--${key}=${value}`);
  if (value.startsWith("-") && !isInline)
    throw misuse(
      name,
      `--${key} needs a value, and ${shown(value)} looks like an option: if it is none, write --${key}=${shown(value)}`,
    );
  if (before !== undefined && before !== value)
    throw misuse(name, `--${key} is given twice, with ${shown(String(before))} and ${shown(value)}`);
}

/** What is wrong with an argument that is no option. */
function whatOf(stranger: string, takes: Takes): string {
  const [flag = "", value] = stranger.split(/=(.*)/s);
  const known = Object.keys(knownOptions(takes));
  if (value !== undefined && known.some((key) => flag === `--${key}`)) return `${flag} takes no value`;
  const near = flag.startsWith("--") ? nearest(flag.slice(2), known) : undefined;
  return `there is no option ${shown(flag)}${near === undefined ? "" : `: did you mean --${near}?`}`;
}
