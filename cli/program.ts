/** The program that the commands make up: what each is called with, and the help of all. */
import { Command, Option as Flag, Help } from "commander";
import { commandLine } from "../text/command-line.ts";
import type { Args, Takes } from "./args.ts";
import type { Context } from "./context.ts";
import { engineOptions, type Option } from "./pulumi/engine-options.ts";

export type Run = (context: Context, args: Args) => Promise<number>;

export interface Entry extends Takes {
  /** Loaded one by one: most commands need little of what the others do. */
  load: () => Promise<Run>;
}

/** Commands that are called by one word before theirs. */
export interface Program {
  /** That word. */
  name: string;
  does: string;
  commands: Record<string, Entry>;
  /** Whole lines of examples. */
  examples: () => string[];
}

const STACK: Option = {
  type: "string",
  short: "s",
  value: "STACK",
  does: "the stack, that of Pulumi.STACK.yaml; by default dev, or what PULUMI_STACK says",
};

/** What a command takes of options, the stack apart. */
export function knownOptions({ engine, options }: Pick<Takes, "engine" | "options">): Record<string, Option> {
  return { ...(engine ? engineOptions(engine) : {}), ...options };
}

function flag(key: string, { type, short, value = "VALUE", does = "" }: Option): Flag {
  const long = `${short ? `-${short}, ` : ""}--${key}`;
  return new Flag(type === "string" ? `${long} <${value}>` : long, does);
}

/**
 * A command by itself, for its arguments.
 *
 * @param valued those of its flags that are given a value
 */
export function commandOf(name: string, takes: Takes, valued: string[] = []): Command {
  const command = new Command(name)
    .exitOverride()
    .helpOption(false)
    .configureOutput({ writeErr: () => {} });
  for (const [key, option] of Object.entries(knownOptions(takes)))
    command.addOption(valued.includes(key) ? new Flag(`--${key} [value]`) : flag(key, option));
  return command;
}

const isAboutStacks = ({ commands }: Program) => Object.values(commands).some(({ stack }) => stack);

/** The options of a program that may stand before the name of a command. */
export function globalOptions(program: Program): Command {
  const command = new Command()
    .exitOverride()
    .helpOption(false)
    .configureOutput({ writeErr: () => {} });
  command.passThroughOptions().option("-V, --version", "says which version this is");
  if (isAboutStacks(program)) command.addOption(flag("stack", STACK));
  return command;
}

/** The help of a program: its commands in groups. */
export function programHelp(program: Program): string {
  const help = globalOptions(program).helpOption("-h, --help", "says this").helpCommand(false);
  const stack = isAboutStacks(program) ? "[-s STACK] " : "";
  help.description(program.does).configureHelp({
    commandUsage: () => `${program.name} ${stack}COMMAND [arguments]`,
    subcommandTerm: (command) => command.name(),
  });
  for (const [name, { does, group }] of Object.entries(program.commands))
    help.addCommand(new Command(name).description(does).helpGroup(`${group}:`));
  return `${help.helpInformation()}\n${examples(program.examples())}`;
}

/** The help of a command. */
export function helpText(name: string, takes: Takes): string {
  const { engine, passes, stack, options = {}, example } = takes;
  const help = new Command(name).description(takes.does).helpOption("-h, --help", "says this");
  help.configureHelp({ commandUsage: () => usage(name, takes) });
  if (stack) help.addOption(flag("stack", STACK));
  for (const [key, option] of Object.entries(options)) help.addOption(flag(key, option));
  const also = engine && `also those of pulumi ${engine}: ${flags(engineOptions(engine))}`;
  return [
    help.helpInformation(),
    ...(also ? [`${new Help().boxWrap(also, help.createHelp().helpWidth ?? COLUMNS)}\n`] : []),
    ...(passes ? [`Everything else is for ${passes}.\n`] : []),
    examples([commandLine(name, ...(example?.split(" ") ?? []))]),
  ].join("\n");
}

const COLUMNS = 80;

function usage(name: string, { names, passes }: Takes): string {
  const words = [
    passes ? `[arguments of ${passes}]` : "[options]",
    ...(names ? [`[${names.are}${names.many ? " …" : ""}]`] : []),
  ];
  // Behind whatever separates them from npm's own.
  return `${commandLine(name, "x").replace(/x$/, "")}${words.join(" ")}`;
}

const examples = (lines: string[]) =>
  [lines.length === 1 ? "Example:" : "Examples:", ...lines.map((line) => `  ${line}`), ""].join("\n");

const flags = (options: Record<string, Option>) =>
  Object.keys(options)
    .sort()
    .map((key) => `--${key}`)
    .join(", ");
