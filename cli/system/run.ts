/** Starting other programs. */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { UserError } from "../../errors.ts";
import { say } from "../ui/say.ts";

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
}

/** How `capture` starts a program. */
export interface CaptureOptions extends RunOptions {
  /** What it reads on its standard input; nothing by default. */
  input?: string;
}

/** Runs a program and collects what it prints. Never throws because of how the program ended. */
export async function capture(
  file: string,
  args: string[],
  { env, cwd, input }: CaptureOptions,
): Promise<Captured> {
  // Loaded here: most commands, most of the time, start nothing whose output they need.
  const { execa } = await import("execa");
  const result = await execa(file, args, {
    env,
    extendEnv: false,
    cwd,
    reject: false,
    ...(input === undefined ? { stdin: "ignore" } : { input }),
  });
  return {
    code: exitCode(result.exitCode, result.signal),
    stdout: result.stdout ?? "",
    stderr: [result.stderr, result.exitCode === undefined && result.shortMessage].filter(Boolean).join("\n"),
  };
}

/**
 * Runs a program that must succeed and collects what it prints.
 *
 * @throws UserError with the end of what the program said
 */
export async function mustRun(file: string, args: string[], options: CaptureOptions): Promise<string> {
  const { code, stdout, stderr } = await capture(file, args, options);
  if (code === 0) return stdout;
  const said = [stdout, stderr].join("\n").trim().split("\n").slice(-20).join("\n");
  throw new UserError(`\`${[file, ...args].join(" ")}\` failed (exit ${code}):\n${said}`);
}

/** How `handOver` starts a program. */
export interface HandOverOptions extends RunOptions {
  /** Whether `file` is a command line for the shell. */
  shell?: boolean;
  /** Whether what the program prints goes to stderr, because stdout is kept for a result. */
  quietStdout?: boolean;
  /** A file that is open, which takes what the program prints. */
  output?: number | undefined;
  /** Told of a signal that is to end the program. */
  onSignal?: (signal: NodeJS.Signals) => void;
}

/** Runs a program on the person's own terminal, passes signals on, and gives its exit status. */
export async function handOver(file: string, args: string[], options: HandOverOptions): Promise<number> {
  const { env, cwd, shell = false, quietStdout = false, output, onSignal = () => {} } = options;
  // Its own time to end: the engine ends its work in good order, which takes as long as the resource at hand.
  const child = spawn(file, args, {
    env,
    cwd,
    shell,
    stdio: ["inherit", output ?? (quietStdout ? process.stderr : "inherit"), output ?? "inherit"],
  });
  const passOn = (signal: NodeJS.Signals) => {
    onSignal(signal);
    // Ctrl-C on a terminal reaches the program by itself; a second one would make the engine give up at once.
    if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, passOn);
  try {
    return await new Promise<number>((resolve) => {
      child.on("error", (error) => {
        say(`${file}: ${error.message}`);
        resolve(NOT_STARTED);
      });
      child.on("close", (code, signal) => resolve(exitCode(code ?? undefined, signal ?? undefined)));
    });
  } finally {
    for (const signal of signals) process.off(signal, passOn);
  }
}

/** Exit status of what could not be started, as a shell gives it. */
const NOT_STARTED = 127;

/** The exit status as a shell gives it: 128 and the signal's number after a signal. */
function exitCode(code?: number, signal?: NodeJS.Signals): number {
  if (code !== undefined) return code;
  return signal ? 128 + constants.signals[signal] : NOT_STARTED;
}
