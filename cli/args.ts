/** The arguments of a command, by what `commands.ts` says that it takes. */
import { parseArgs as tokenize } from "node:util";
import { UserError } from "../errors.ts";
import { npmLine } from "../text/shell.ts";
import { nearest, shown } from "../text/words.ts";
import { type EngineCommand, engineOptions, type Option } from "./pulumi/engine-options.ts";
import { parseStackArgs } from "./stack.ts";
import type { Env } from "./system/run.ts";

/** What a command takes. */
export interface Takes {
  /** The npm script that it is, where that has another name. */
  script?: string;
  /** What it does, for its help and the page of commands. */
  does: string;
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

/** The npm script of a command. */
export const scriptOf = (name: string, { script = name }: Takes): string => script;

const HELP = /^(--help|-h)$/;

/**
 * Takes the arguments of a command apart.
 *
 * @returns undefined where they ask for its help
 * @throws UserError where they are none that it takes
 */
export function parseArgs(name: string, takes: Takes, args: string[], env: Env): Args | undefined {
  const script = scriptOf(name, takes);
  const refuse = (what: string) =>
    new Misuse(
      `${script}: ${what}${what.endsWith("?") ? "" : ";"} \`${npmLine(script, "--help")}\` says what there is`,
    );
  const none = { stack: "", isNamed: false, rest: args };
  if (takes.passes !== undefined) {
    if (args.length === 1 && HELP.test(args[0] as string)) return undefined;
    const { stack, isNamed } = takes.stack ? parseStackArgs(args, env) : none;
    return { stack, isNamed, names: [], options: {}, rest: args };
  }
  const end = args.indexOf("--");
  if (args.slice(0, end < 0 ? args.length : end).some((arg) => HELP.test(arg))) return undefined;
  const { stack, isNamed, rest } = takes.stack ? parseStackArgs(args, env) : none;
  const engine = takes.engine ? engineOptions(takes.engine) : {};
  const known: Record<string, Option> = { ...engine, ...takes.options };
  const { tokens } = tokenize({
    args: rest,
    options: known,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const names: string[] = [];
  const options: Args["options"] = {};
  const handed: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") names.push(token.value);
    if (token.kind !== "option") continue;
    const { name: key, rawName, value, inlineValue } = token;
    if (!Object.hasOwn(known, key))
      throw refuse(`there is no option ${shown(rawName)}${meant(rawName, known)}`);
    const isOurs = !Object.hasOwn(engine, key);
    if (known[key]?.type === "boolean" && value !== undefined && isOurs)
      throw refuse(`${rawName} takes no value`);
    if (known[key]?.type === "string" && value === undefined) throw refuse(`${rawName} needs a value`);
    if (isOurs && value?.startsWith("-") && !inlineValue)
      throw refuse(
        `${rawName} needs a value, and ${shown(value)} looks like an option: if it is none, write ${rawName}=${shown(value)}`,
      );
    if (isOurs && value !== undefined && options[key] !== undefined && options[key] !== value)
      throw refuse(`${rawName} is given twice, with ${shown(String(options[key]))} and ${shown(value)}`);
    options[key] = value ?? true;
    handed.push(value === undefined ? `--${key}` : `--${key}=${value}`);
  }
  const [first, second] = names;
  if (first !== undefined && !takes.names) throw refuse(`it takes no ${shown(first)}`);
  if (second !== undefined && !takes.names?.many)
    throw refuse(`it takes one ${takes.names?.are}, not ${names.map(shown).join(" and ")}`);
  return { stack, isNamed, names, options, rest: takes.engine ? handed : rest };
}

function meant(rawName: string, known: Record<string, Option>): string {
  const near = nearest(rawName.replace(/^--?/, ""), Object.keys(known));
  return rawName.startsWith("--") && near !== undefined ? `: did you mean --${near}?` : "";
}

/** What stands behind the script's name, in short: `[-s NAME] [NOTEBOOK …] [--json]`. */
export function synopsis({ stack, names, options = {}, engine, passes }: Takes): string {
  const optional = (text: string) => `[${text}]`;
  return [
    ...(stack ? [optional("-s STACK")] : []),
    ...(names ? [optional(names.many ? `${names.are} …` : names.are)] : []),
    ...Object.entries(options).map(([key, option]) => optional(flag(key, option))),
    ...(engine ? [optional(`options of pulumi ${engine}`)] : []),
    ...(passes ? [optional(`arguments of ${passes}`)] : []),
  ].join(" ");
}

const flag = (key: string, { value }: Option) => `--${key}${value ? ` ${value}` : ""}`;

const STACK: Option = {
  type: "string",
  value: "STACK",
  does: "the stack, that of Pulumi.STACK.yaml; by default dev, or what PULUMI_STACK says",
};

/** The help of a command. */
export function helpText(name: string, takes: Takes): string {
  const command = npmLine(scriptOf(name, takes));
  const all: [string, Option][] = [
    ...(takes.stack ? [["stack", { ...STACK, short: "s" }] satisfies [string, Option]] : []),
    ...Object.entries(takes.options ?? {}),
    ["help", { type: "boolean", does: "says this" }],
  ];
  const rows = all.map(([key, option]) => [
    `${option.short ? `-${option.short}, ` : "    "}${flag(key, option)}`,
    option.does ?? "",
  ]);
  const width = Math.max(...rows.map(([left = ""]) => left.length));
  return [
    [command, "--", synopsis(takes)].join(" ").replace(/ -- $/, ""),
    "",
    `  ${takes.does}`,
    "",
    ...rows.map(([left = "", right]) => `  ${left.padEnd(width)}  ${right}`),
    ...(takes.engine
      ? ["", `  as well those of pulumi ${takes.engine}: ${flags(engineOptions(takes.engine))}`]
      : []),
    "",
    `for example: ${command}${takes.example ? ` -- ${takes.example}` : ""}`,
    "",
  ].join("\n");
}

const flags = (options: Record<string, Option>) =>
  Object.keys(options)
    .sort()
    .map((key) => `--${key}`)
    .join(", ");
