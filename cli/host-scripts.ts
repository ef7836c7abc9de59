/** Running the scripts of `host-scripts/` on this machine, as the engine does. */
import { execa } from "execa";
import { type HostScript, scriptCommand, scriptText } from "../components/host/host.ts";
import type { Context } from "./context.ts";

/** How a script ended. */
export interface ScriptResult {
  /** Exit status; 1 after a signal. */
  code: number;
  /** The lines it printed: its result. */
  lines: string[];
}

/**
 * Runs a script with the person's environment and these parameters.
 *
 * @param stderr what becomes of what it says: `inherit` shows it as it comes
 */
export async function runHostScript(
  { env }: Context,
  script: HostScript,
  parameters: Record<string, string>,
  stderr: "inherit" | "ignore" = "inherit",
): Promise<ScriptResult> {
  const { exitCode, stdout } = await execa("/bin/sh", ["-c", scriptCommand(script)], {
    env: { ...env, ...parameters },
    extendEnv: false,
    input: scriptText(script),
    stderr,
    reject: false,
  });
  return { code: exitCode ?? 1, lines: stdout.split("\n").filter(Boolean) };
}
