/** The scripts of `host-scripts/`, as text that a machine is handed. */
import { readFileSync } from "node:fs";
import type { CodeConfig } from "../config/schema.ts";
import { exportLines } from "../text/shell.ts";

/** A script of `host-scripts/`. */
export type HostScript =
  | "wait-for-ssh.sh"
  | "wait-for-machine.sh"
  | "grow-root.sh"
  | "mount-volume.sh"
  | "install-idle-stop.sh"
  | "inspect.sh"
  | "prepare.sh"
  | "code.sh"
  | "dataset.sh"
  | "s3-sync.sh"
  | "retire.sh"
  | "list-own.sh"
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

/** Text of a script, with what it takes in from beside it (`. ./common.sh`) in place. */
export function scriptText(script: string): string {
  const text = readFileSync(new URL(`../host-scripts/${script}`, import.meta.url), "utf8");
  return text.replace(/^\. \.\/(.+)$/gm, (_, name: string) => scriptText(name));
}

/** Text of a script that sets its own parameters: ssh hands no environment over. */
export function selfContained(script: HostScript, parameters: Record<string, string>): string {
  return exportLines(parameters) + scriptText(script);
}

/** The last line of what a script printed: its result. */
export function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}

/** Parameters of `code.sh`. */
export type CodeParameters = Record<string, string> & { FOLDER: string };

/** Parameters of `code.sh`; what is not set is left out, so that a new option changes no stack that does not use it. */
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
