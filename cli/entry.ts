/** How a program of ours begins and ends: its errors in words, and its exit status. */
import { explain, guard } from "./system/failure.mjs";
import { say } from "./ui/say.ts";

/** Says what is wrong. @returns the exit status */
function fail(error: unknown): number {
  const { status, tell } = explain(error);
  say(`gpubox: ${tell}`);
  return status;
}

/** Runs this process. @param run what it does with its arguments; gives the exit status */
export function enter(run: (argv: string[]) => Promise<number>): void {
  guard((error) => process.exit(fail(error)));
  process.on("exit", () => {
    if (process.exitCode !== undefined) return;
    // Ctrl-D closed what a question reads from: nothing is left to wait for, and nobody has answered.
    say("gpubox: stopped: there was no answer");
    process.exitCode = 1;
  });
  // Not awaited at the top, where Node itself warns of a wait that has no end.
  run(process.argv.slice(2))
    .catch(fail)
    .then((status) => {
      process.exitCode = status;
    });
}
