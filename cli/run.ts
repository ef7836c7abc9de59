/** Starting other programs. */
import { constants } from "node:os";
import { execa, type Options } from "execa";
import { Problem } from "./say.ts";

/** Environment of a program, whole: nothing is added to it. */
export type Env = Record<string, string | undefined>;

/** What a program that was run to its end left behind. */
export interface Captured {
  /** Exit status; 127 when the program could not be started. */
  code: number;
  stdout: string;
  stderr: string;
}

/** Where and how a program is started. */
export interface RunOptions {
  env: Env;
  cwd?: string;
  /** In milliseconds; the program is ended then. */
  timeout?: number;
}

const common = ({ env, cwd, timeout }: RunOptions) =>
  ({ env, extendEnv: false, cwd, timeout, reject: false }) satisfies Options;

/** Runs a program and collects what it prints. Never throws because of how the program ended. */
export async function capture(file: string, args: string[], options: RunOptions): Promise<Captured> {
  const result = await execa(file, args, { ...common(options), stdin: "ignore" });
  return {
    code: exitCode(result),
    stdout: result.stdout ?? "",
    stderr: [result.stderr, result.exitCode === undefined && result.shortMessage].filter(Boolean).join("\n"),
  };
}

/**
 * Runs a program that must succeed and collects what it prints.
 *
 * @throws Problem with the end of what the program said
 */
export async function mustRun(file: string, args: string[], options: RunOptions): Promise<string> {
  const { code, stdout, stderr } = await capture(file, args, options);
  if (code === 0) return stdout;
  const said = [stdout, stderr].join("\n").trim().split("\n").slice(-20).join("\n");
  throw new Problem(`\`${[file, ...args].join(" ")}\` failed (exit ${code}):\n${said}`);
}

/** How `handOver` starts a program. */
export interface HandOverOptions extends RunOptions {
  /** Whether `file` is a command line for the shell. */
  shell?: boolean;
  /** Whether what the program prints goes to stderr, because stdout is kept for a result. */
  quietStdout?: boolean;
}

/** Runs a program on the person's own terminal, passes signals on, and gives its exit status. */
export async function handOver(file: string, args: string[], options: HandOverOptions): Promise<number> {
  const child = execa(file, args, {
    ...common(options),
    shell: options.shell ?? false,
    stdio: ["inherit", options.quietStdout ? process.stderr : "inherit", "inherit"],
    // The engine ends its work in good order when it is asked to; it takes as long as the resource at hand.
    forceKillAfterDelay: false,
    cleanup: false,
  });
  const passOn = (signal: NodeJS.Signals) => {
    // Ctrl-C on a terminal reaches the program by itself; a second one would make the engine give up at once.
    if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, passOn);
  try {
    return exitCode(await child);
  } finally {
    for (const signal of signals) process.off(signal, passOn);
  }
}

/** The exit status as a shell gives it: 128 and the signal's number after a signal. */
function exitCode({ exitCode, signal }: { exitCode?: number; signal?: NodeJS.Signals }): number {
  if (exitCode !== undefined) return exitCode;
  return signal ? 128 + constants.signals[signal] : 127;
}
