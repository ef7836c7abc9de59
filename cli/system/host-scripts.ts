/** Running the scripts of `host-scripts/` on the machine that a stack's folders are on, as the engine does. */
import { execa } from "execa";
import { addressOnHost } from "../../machine/names.ts";
import { type HostScript, scriptCommand, selfContained } from "../../machine/scripts.ts";
import { type SshConnection, scriptOnMachine } from "../../machine/ssh/command.ts";
import { legible } from "../../text/legible.ts";
import type { Context } from "../context.ts";

/** How a script ended. */
export interface ScriptResult {
  /** Exit status; 1 after a signal, 255 where the machine could not be reached. */
  code: number;
  /** The lines it printed: its result. */
  lines: string[];
  /** The lines it said, where they were not shown. */
  said: string[];
}

/** Where a script is run, and what becomes of what it says. */
export interface ScriptOptions {
  /** The way to the machine; this one by default. */
  connection?: SshConnection | undefined;
  /** `inherit`, the default, shows it as it comes; `pipe` gives it back. */
  stderr?: "inherit" | "ignore" | "pipe";
}

/** Runs a script with these parameters, as the person. */
export async function runHostScript(
  { env }: Context,
  script: HostScript,
  parameters: Record<string, string>,
  { connection, stderr = "inherit" }: ScriptOptions = {},
): Promise<ScriptResult> {
  const command = connection ? scriptOnMachine(connection, script, parameters) : scriptCommand(script);
  const {
    exitCode,
    stdout,
    stderr: said,
  } = await execa("/bin/sh", ["-c", command], {
    env,
    extendEnv: false,
    input: selfContained(script, parameters),
    // What the programs of a host say in between is not the script's own.
    stderr: stderr === "inherit" ? [eachLegible, "inherit"] : stderr,
    reject: false,
  });
  return { code: exitCode ?? 1, lines: linesOf(stdout), said: linesOf(said).map(legible) };
}

function* eachLegible(line: unknown) {
  yield legible(String(line));
}

const linesOf = (text = ""): string[] => text.split("\n").filter(Boolean);

/** A notebook, and how its Jupyter is reached on its machine. */
export interface NotebookOnHost {
  name: string;
  /** Address and port that it is bound to. */
  address: string;
  port: number;
}

/** The machine of a notebook. */
export type NotebookHost = { connection: SshConnection } | { daemon: string };

/**
 * Waits until a notebook answers, on its own machine.
 *
 * @param patience in seconds
 * @returns why it does not, in a line; undefined where it does
 */
export async function whySilent(
  context: Context,
  { name, address, port }: NotebookOnHost,
  patience: number,
  host: NotebookHost,
): Promise<string | undefined> {
  const parameters = {
    URL: `http://${addressOnHost(address)}:${port}`,
    CONTAINER: name,
    TIMEOUT: String(patience),
    ...("daemon" in host ? { DOCKER_HOST: host.daemon } : {}),
  };
  const connection = "connection" in host ? host.connection : undefined;
  const { code, said } = await runHostScript(context, "wait-for-notebook.sh", parameters, {
    connection,
    stderr: "pipe",
  });
  if (code === 0) return undefined;
  // What is indented belongs to the line above it.
  const lines = said.map((line) => line.replace(/^notebook [^:]+: /, "")).filter((line) => !/^\s/.test(line));
  return lines.at(-1) ?? `the inspection failed with exit status ${code}`;
}
