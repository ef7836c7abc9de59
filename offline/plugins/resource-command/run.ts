import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { endWithPlugin, ownGroup } from "../shared/child.ts";
import type { Operation } from "../shared/provider.ts";
import type { CommandInputs, CommandOutputs } from "./inputs.ts";

/**
 * Runs one script, shows its lines in the engine's display while they come, and returns what it wrote.
 *
 * @throws when the script cannot be started, fails or is cancelled: the script and everything it wrote.
 */
export async function run(
  script: string,
  command: CommandInputs,
  { signal, log }: Pick<Operation, "signal" | "log">,
): Promise<CommandOutputs> {
  const [program = "/bin/sh", ...args] = command.interpreter?.length
    ? command.interpreter
    : ["/bin/sh", "-c"];
  const child = spawn(program, [...args, script], {
    env: { ...process.env, ...command.environment },
    stdio: [command.stdin ? "pipe" : "ignore", "pipe", "pipe"],
    ...ownGroup,
  });
  const kill = endWithPlugin(child);
  signal.addEventListener("abort", kill);
  if (signal.aborted) kill();
  try {
    const [stdout, stderr] = [child.stdout as Readable, child.stderr as Readable];
    const both: string[] = [];
    const ended = new Promise<string | undefined>((resolve) => {
      child.on("error", (error) => resolve(`cannot start ${program}: ${error.message}`));
      child.on("close", (code, killed) => resolve(exitFailure(code, killed)));
    });
    // A script that ends without reading its stdin is not at fault.
    child.stdin?.on("error", () => {});
    child.stdin?.end(command.stdin);
    const outputs = {
      stdout: collect(stdout, both, log.status),
      stderr: collect(stderr, both, log.status),
    };
    const failure = await ended;
    if (failure !== undefined)
      throw new Error(`${failure}: running ${JSON.stringify(script)}:\n${both.join("")}`);
    return { stdout: outputs.stdout(), stderr: outputs.stderr() };
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

/** Gathers a stream, also into `both`, says its lines, and returns how to get the text once the stream has ended. */
function collect(stream: Readable, both: string[], say: (line: string) => void): () => string {
  const chunks: string[] = [];
  let line = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    chunks.push(chunk);
    both.push(chunk);
    const lines = (line + chunk).split("\n");
    line = lines.pop() ?? "";
    for (const each of lines) say(each.replace(/\r$/, ""));
  });
  stream.on("end", () => {
    if (line !== "") say(line);
  });
  return () => chunks.join("").replace(/\n$/, "");
}

function exitFailure(code: number | null, signal: NodeJS.Signals | null): string | undefined {
  if (code === 0) return undefined;
  return code === null ? `signal: ${signal}` : `exit status ${code}`;
}
