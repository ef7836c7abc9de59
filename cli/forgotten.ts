/**
 * What npm keeps of a command line without `--`: of `npm run stop -s lab` the script is given `lab` alone, and of `npm start --yes`
 * nothing. A command that goes on then is about another stack than the person meant.
 */
import { readFileSync } from "node:fs";
import { readStack, stackNames } from "../config/stack-file.ts";
import { UserError } from "../errors.ts";
import { commandLine, commandWord } from "../text/command-line.ts";
import { Misuse, type Takes } from "./args.ts";
import type { Context } from "./context.ts";
import { knownOptions } from "./program.ts";
import { parseStackArgs } from "./stack.ts";
import type { Env } from "./system/run.ts";

/** Whether a person has set an option of npm's once for all, in a file of npm's: it is on no command line then. */
function isSetForAll(key: string, env: Env): boolean {
  return [env.npm_config_userconfig, env.npm_config_globalconfig].some((file) => {
    try {
      return new RegExp(`^\\s*${key}\\s*=`, "m").test(readFileSync(file ?? "", "utf8"));
    } catch {
      // Most people have none.
      return false;
    }
  });
}

/** @throws Misuse with the right line, where an option stayed with npm or a stack is named as if it were something else */
export function requireNothingForgotten(
  name: string,
  takes: Takes,
  argv: string[],
  { root, env }: Pick<Context, "root" | "env">,
): void {
  const stacks = takes.stack ? stackNames(root) : [];
  const end = argv.findIndex((arg) => arg.startsWith("-"));
  const leading = end < 0 ? argv : argv.slice(0, end);
  const rest = argv.slice(leading.length);
  const kept = isScript(name, env) ? keptByNpm(takes, argv, env, stacks) : [];
  if (kept.length > 0) {
    const words = wordsOf(kept, leading);
    throw new Misuse(
      `${commandWord(name)}: npm keeps options for itself where there is no \`--\` before them. Nothing was done; write \`${commandLine(name, ...words.left, ...rest, ...words.options)}\``,
    );
  }
  const [first = ""] = leading;
  if (!stacks.includes(first) || takes.passes || notebooksOf(root, argv, env).includes(first)) return;
  if (takes.names && takes.names.are !== "NOTEBOOK") return;
  throw new Misuse(
    `${commandWord(name)}: ${first} is a stack. Nothing was done; write \`${commandLine(name, ...leading.slice(1), ...rest, "-s", first)}\``,
  );
}

/** Whether npm started the command; what a test's own npm left in the environment is about another script. */
const isScript = (name: string, { npm_lifecycle_script: script = "" }: Env) =>
  new RegExp(`(gpubox|run)\\.mjs ${name}$`).test(script);

/** An option that stayed with npm. */
interface Kept {
  flag: string;
  /** Undefined where it takes none. */
  value?: string | undefined;
  /** Whether the value is among what npm passed on. */
  isLeft?: boolean;
  /** What a value is, where it is not known which of the words it was. */
  placeholder?: string;
}

function keptByNpm(takes: Takes, argv: string[], env: Env, stacks: string[]): Kept[] {
  const options = Object.entries(knownOptions(takes)).flatMap(
    ([key, { type, value: placeholder }]): Kept[] => {
      const value = isSetForAll(key, env) ? undefined : env[`npm_config_${key.replaceAll("-", "_")}`];
      const flag = `--${key}`;
      if (!value || value === "false" || argv.some((arg) => arg === flag || arg.startsWith(`${flag}=`)))
        return [];
      if (type === "boolean") return [{ flag }];
      return [
        value === "true" ? { flag, isLeft: true, placeholder: placeholder ?? "VALUE" } : { flag, value },
      ];
    },
  );
  return takes.stack ? [...options, ...stackKept(takes, argv, env, stacks)] : options;
}

/** `-s` is npm's own `--silent`, which goes with a stack only where that is named as well. */
function stackKept(takes: Takes, [first]: string[], env: Env, stacks: string[]): Kept[] {
  const { npm_config_stack: stack, npm_config_loglevel: level } = env;
  if (stack) return [stack === "true" ? { flag: "-s", isLeft: true } : { flag: "-s", value: stack }];
  const glued = stacks.find((each) => env[`npm_config_s${each.toLowerCase()}`] === "true");
  if (glued) return [{ flag: "-s", value: glued }];
  const isSilent = level === "silent" && first !== undefined && !first.startsWith("-");
  const isStack = isSilent && (stacks.includes(first) || (!takes.names && !takes.passes));
  return isStack ? [{ flag: "-s", isLeft: true, placeholder: "STACK" }] : [];
}

/** The options as they should have been written, and what is left of the words that npm passed on. */
function wordsOf(kept: Kept[], leading: string[]): { left: string[]; options: string[] } {
  const left = [...leading];
  const isCertain = kept.filter(({ isLeft }) => isLeft).length <= 1;
  const options = kept.flatMap(({ flag, value, isLeft, placeholder = "STACK" }) => {
    if (!isLeft) return value === undefined ? [flag] : [flag, value];
    return [flag, (isCertain ? left.shift() : undefined) ?? placeholder];
  });
  return { left: isCertain ? left : [], options };
}

/** What the notebooks of the stack are called that the arguments are about; a file that is wrong says nothing yet. */
function notebooksOf(root: string, argv: string[], env: Env): string[] {
  try {
    return readStack(root, parseStackArgs(argv, env).stack).notebooks;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [];
  }
}
