/** Running the scripts of `host-scripts/` on the machine that a stack's folders are on, as the engine does. */
import { execa } from "execa";
import { type HostScript, scriptCommand, selfContained } from "../components/host/host.ts";
import { remoteScript, type SshConnection } from "../components/host/ssh-command.ts";
import type { Context } from "./context.ts";

/** How a script ended. */
export interface ScriptResult {
  /** Exit status; 1 after a signal, 255 where the machine could not be reached. */
  code: number;
  /** The lines it printed: its result. */
  lines: string[];
}

/** Where a script is run, and what becomes of what it says. */
export interface ScriptOptions {
  /** The way to the machine; this one by default. */
  connection?: SshConnection | undefined;
  /** `inherit`, the default, shows it as it comes. */
  stderr?: "inherit" | "ignore";
}

/** Runs a script with these parameters, as the person. */
export async function runHostScript(
  { env }: Context,
  script: HostScript,
  parameters: Record<string, string>,
  { connection, stderr = "inherit" }: ScriptOptions = {},
): Promise<ScriptResult> {
  const command = connection ? remoteScript(connection) : scriptCommand(script);
  const { exitCode, stdout } = await execa("/bin/sh", ["-c", command], {
    env,
    extendEnv: false,
    input: selfContained(script, parameters),
    stderr,
    reject: false,
  });
  return { code: exitCode ?? 1, lines: stdout.split("\n").filter(Boolean) };
}
