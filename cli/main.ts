/** The commands behind `npm start`, `npm test` and `npm run …`. */
import { COMMANDS } from "./commands.ts";
import { createContext } from "./context.ts";
import { explain, guard } from "./system/failure.mjs";
import { say } from "./ui/say.ts";

async function main([name = "", ...argv]: string[]): Promise<number> {
  if (!Object.hasOwn(COMMANDS, name)) {
    const what = /^[\w:-]+$/.test(name)
      ? `no command ${name}`
      : name
        ? "no such command"
        : "no command given";
    say(`gpubox: there is ${what}; there are ${Object.keys(COMMANDS).join(", ")}`);
    return 2;
  }
  // Loaded here: what is missing of the packages is then told in words.
  const { runCommand } = await import("./run-command.ts");
  return await runCommand(name, argv, createContext());
}

/** Says what is wrong. @returns the exit status */
function fail(error: unknown): number {
  const { status, tell } = explain(error);
  say(`gpubox: ${tell}`);
  return status;
}

guard((error) => process.exit(fail(error)));
process.on("exit", () => {
  if (process.exitCode !== undefined) return;
  // Ctrl-D closed what a question reads from: nothing is left to wait for, and nobody has answered.
  say("gpubox: stopped: there was no answer");
  process.exitCode = 1;
});
// Not awaited at the top, where Node itself warns of a wait that has no end.
main(process.argv.slice(2))
  .catch(fail)
  .then((status) => {
    process.exitCode = status;
  });
