/** What makes a shell complete commands, options and stacks: made from what the commands say that they take. */
import { quote, shellLine } from "../text/shell.ts";
import { nearest, shown } from "../text/words.ts";
import { type Args, misuse, type Takes } from "./args.ts";
import type { Context } from "./context.ts";
import { knownOptions, type Program, type Run } from "./program.ts";
import type { Option } from "./pulumi/engine-options.ts";

const SHELLS: Record<string, (program: Program, root: string) => string> = { bash, zsh, fish };

/** The command that prints it. */
export function completion(program: Program): Run {
  return async ({ root }: Context, { names }: Args) => {
    const [shell = ""] = names;
    const known = Object.keys(SHELLS);
    if (!Object.hasOwn(SHELLS, shell)) {
      const near = nearest(shell, known);
      const what = shell === "" ? "it needs the name of a shell" : `there is none for ${shown(shell)}`;
      throw misuse("completion", near ? `${what}: did you mean ${near}?` : `${what}: ${known.join(", ")}`);
    }
    process.stdout.write(completionScript(shell, program, root));
    return 0;
  };
}

/** A script for a shell. @param root the checkout whose stacks there are */
export function completionScript(shell: string, program: Program, root: string): string {
  return SHELLS[shell]?.(program, root) ?? "";
}

/** The words that a command is called by. */
const wordsOf = (commands: Program["commands"]) =>
  Object.entries(commands).flatMap(([name, takes]): [string, Takes][] => [
    [name, takes],
    ...(takes.alias ? ([[takes.alias, takes]] as [string, Takes][]) : []),
  ]);

const STACK: Option = { type: "string", short: "s", does: "the stack" };
const HELP: Option = { type: "boolean", short: "h", does: "says what it takes" };

/** The options of a command, help and stack among them. */
function optionsOf(takes: Takes): [string, Option][] {
  const own = Object.entries(knownOptions(takes));
  return [...(takes.stack ? ([["stack", STACK]] as [string, Option][]) : []), ...own, ["help", HELP]];
}

const flagsOf = (takes: Takes) =>
  optionsOf(takes).flatMap(([key, { short }]) => [...(short ? [`-${short}`] : []), `--${key}`]);

/** Lists the stacks of the checkout. What no stack can be called is left out: bash takes `$(…)` in a word for a command. */
const stacks = (root: string) =>
  `(cd ${quote(root)} 2>/dev/null && ls Pulumi.*.yaml 2>/dev/null | LC_ALL=C sed -n 's/^Pulumi\\.\\([A-Za-z0-9_][A-Za-z0-9_.-]*\\)\\.yaml$/\\1/p')`;

/** Finds the command in the words before the cursor: the first that is no option, and no stack. */
const findCommand = (word: string, before: string) => `  local command= stack= at
  for ((at = ${before}; at++)); do
    if [[ -n $stack ]]; then stack=; continue; fi
    case \${${word}} in
      -s | --stack) stack=yes ;;
      -*) ;;
      *) command=\${${word}}; break ;;
    esac
  done`;

function bash({ name, commands }: Program, root: string): string {
  const words = wordsOf(commands);
  return `# Completion for bash. Keep it: ${name} completion bash >> ~/.bashrc
_${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} words
${findCommand("COMP_WORDS[at]", "1; at < COMP_CWORD")}
  case $previous in
    -s | --stack) words=$${stacks(root)} ;;
    *)
      case $command in
        '') words=${quote(`${words.map(([word]) => word).join(" ")} -s --stack -h --help -V --version`)} ;;
${words.map(([word, takes]) => `        ${word}) words=${quote(flagsOf(takes).join(" "))} ;;`).join("\n")}
      esac
      ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _${name} ${name}
`;
}

function zsh({ name, commands }: Program, root: string): string {
  const words = wordsOf(commands);
  return `# Completion for zsh. Keep it, below compinit: ${name} completion zsh >> ~/.zshrc
_${name}() {
  local -a found
${findCommand("words[at]", "2; at < CURRENT")}
  case \${words[CURRENT - 1]} in
    -s | --stack) found=(\${(f)"$${stacks(root)}"}) ;;
    *)
      case $command in
        '') found=(${shellLine(words.map(([word, { does }]) => `${word}:${does}`))}) ;;
${words.map(([word, takes]) => `        ${word}) found=(${shellLine(zshOptions(takes))}) ;;`).join("\n")}
      esac
      ;;
  esac
  _describe ${quote(name)} found
}
compdef _${name} ${name}
`;
}

const zshOptions = (takes: Takes) =>
  optionsOf(takes).map(([key, { does }]) => (does ? `--${key}:${does}` : `--${key}`));

function fish({ name, commands }: Program, root: string): string {
  const line = (...words: string[]) => shellLine(["complete", "-c", name, ...words]);
  const words = wordsOf(commands);
  return `# Completion for fish. Keep it: ${name} completion fish > ~/.config/fish/completions/${name}.fish
${[
  line("-f"),
  line("-s", "s", "-l", "stack", "-x", "-a", stacks(root), "-d", STACK.does as string),
  ...words.map(([word, { does }]) => line("-n", "__fish_use_subcommand", "-a", word, "-d", does)),
  ...words.flatMap(([word, takes]) =>
    optionsOf(takes)
      .filter(([key]) => key !== "stack")
      .map(([key, option]) => line("-n", `__fish_seen_subcommand_from ${word}`, ...fishOption(key, option))),
  ),
].join("\n")}
`;
}

const fishOption = (key: string, { type, short, does }: Option) => [
  ...["-l", key],
  ...(short ? ["-s", short] : []),
  ...(type === "string" ? ["-r"] : []),
  ...(does ? ["-d", does] : []),
];
