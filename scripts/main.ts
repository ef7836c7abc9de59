/** The commands of developers: what `run.mjs` starts. */
import { enter } from "../cli/entry.ts";

enter(async (argv) => {
  // Loaded here: what is missing of the packages, or of our own files, is then told in words.
  const { runProgram } = await import("../cli/run-command.ts");
  const { DEVELOPMENT } = await import("./commands.ts");
  return await runProgram(DEVELOPMENT, argv);
});
