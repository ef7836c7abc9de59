/** The commands of gpubox: what `gpubox.mjs` starts. */
import { enter } from "./entry.ts";

enter(async (argv) => {
  // Loaded here: what is missing of the packages, or of our own files, is then told in words.
  const { callAs } = await import("../text/command-line.ts");
  callAs(process.env.GPUBOX_CALLER);
  const { PRODUCT } = await import("./commands.ts");
  const { runProgram } = await import("./run-command.ts");
  return await runProgram(PRODUCT, argv);
});
