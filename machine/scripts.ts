/** The scripts of `host-scripts/`, as text that a machine is handed. */
import { readFileSync } from "node:fs";
import type { CodeConfig } from "../config/schema.ts";
import { exportLines, quote } from "../text/shell.ts";

/** A command of the data program, `host-scripts/gpubox_data`. */
export type DataCommand = "dataset" | "s3" | "code" | "retire" | "list_own";

/** A script of `host-scripts/`. */
export type HostScript =
  | `gpubox_data/${DataCommand}.py`
  | "wait-for-ssh.sh"
  | "wait-for-machine.sh"
  | "grow-root.sh"
  | "mount-volume.sh"
  | "install-idle-stop.sh"
  | "inspect.sh"
  | "prepare.sh"
  | "teardown.sh"
  | "remove-volume.sh"
  | "own-home.sh"
  | "wait-for-notebook.sh"
  | "look-over-packages.sh"
  | "prove-folders.sh"
  | "prove-gpu.sh"
  | "status.sh";

/**
 * Command with which a shell runs a script that it is handed on its standard input: so a host needs none of our
 * files, and an error shows this line instead of the whole script.
 */
export function scriptCommand(script: HostScript): string {
  return `# host-scripts/${script}, from standard input\neval "$(cat)"`;
}

const hostFile = (name: string) => readFileSync(new URL(`../host-scripts/${name}`, import.meta.url), "utf8");

/** Texts of the commands of the data program, each of which is made of many files and wanted for every entry. */
const programs = new Map<string, string>();

/** Text of a script, with what it takes in from beside it (`. ./common.sh`) in place. */
export function scriptText(script: string): string {
  const [, command] = /^gpubox_data\/(\w+)\.py$/.exec(script) ?? [];
  if (command !== undefined) {
    const text = programs.get(command) ?? dataProgram(command);
    programs.set(command, text);
    return text;
  }
  return hostFile(script).replace(/^\. \.\/(.+)$/gm, (_, name: string) => scriptText(name));
}

/** `a` of `a as b`. */
const bareName = (imported: string) => imported.trim().replace(/ .*/, "");

/** A command of the data program, with the modules that it takes and no others: a change to code runs no data set's script again. */
function dataProgram(command: string): string {
  const modules = new Map<string, string>();
  const add = (name: string) => {
    if (modules.has(name)) return;
    const text = hostFile(`gpubox_data/${name}.py`);
    modules.set(name, text);
    for (const [, from, names = ""] of text.matchAll(/^ *from \.(\w*) import (\([^)]*|.*)/gm)) {
      for (const each of from ? [from] : names.replace("(", "").split(",").map(bareName)) if (each) add(each);
    }
  };
  for (const name of ["__init__", "main", command]) add(name);
  const sources = [...modules]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([name, text]) =>
        `# ==== gpubox_data${name === "__init__" ? "" : `.${name}`} ====\n${withoutRemarks(text)}`,
    );
  const variables = {
    command,
    loader: hostFile("gpubox_data/load.py"),
    sources: sources.join(""),
    parameters: parametersOf([...modules.values()]).join(" "),
  };
  const lines = Object.entries(variables).map(([name, value]) => `${name}=${quote(value)}\n`);
  return lines.join("") + scriptText("run-data.sh");
}

/**
 * Python without comments and docstrings, which are the only texts in it between three quotes: it is in the state of every stack, and to
 * reword one is no change of a stack.
 */
const withoutRemarks = (python: string) =>
  python
    .replace(/^( *)"""[\s\S]*?"""$/gm, '$1""')
    .replace(/^ *#.*\n/gm, "")
    .replace(/\n\n+/g, "\n");

/** Names of the parameters that modules read, by `parameters.py`, in order. */
function parametersOf(texts: string[]): string[] {
  const calls = texts.flatMap((text) => [
    ...text.matchAll(/\b(?:text|number|flag)\(\s*["']([A-Z0-9_]+)["']/g),
  ]);
  return [...new Set(calls.map(([, name = ""]) => name))].sort();
}

/** Text of a script that sets its own parameters: ssh hands no environment over. */
export function selfContained(script: HostScript, parameters: Record<string, string>): string {
  return exportLines(parameters) + scriptText(script);
}

/** The last line of what a script printed: its result. */
export function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}

/** Parameters of `code.py`. */
export type CodeParameters = Record<string, string> & { FOLDER: string };

/** Parameters of `code.py`; what is not set is left out, so that a new option changes no stack that does not use it. */
export function codeParameters({ url, ref, folder, shallow, submodules, lfs }: CodeConfig): CodeParameters {
  return {
    URL: url,
    REF: ref,
    FOLDER: folder,
    ...(shallow ? {} : { SHALLOW: "0" }),
    ...(submodules ? { SUBMODULES: "1" } : {}),
    ...(lfs ? { LFS: "1" } : {}),
  };
}
