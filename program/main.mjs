/**
 * What the engine runs: index.ts, on a Node that can read it, and with errors that a person can.
 *
 * It is in a folder of its own, which the engine takes for the program's: Pulumi's language host looks through that for packages
 * with plugins, to have them all before a run. Here it finds none, and a plugin is fetched when a resource asks for it: that of
 * AWS by a stack on AWS alone.
 */
import { ResourceError, RunError } from "@pulumi/pulumi";
import { explain } from "../cli/system/failure.mjs";
import { settleHome } from "../cli/system/home.mjs";

/** Turns an error into one that the SDK shows in words, without the stack of calls that led to it. */
function tame(error) {
  if (!(error instanceof Error)) return;
  if (ResourceError.isInstance(error)) error.hideStack = true;
  else if (!RunError.isInstance(error))
    Object.assign(error, { message: explain(error).tell, __pulumiRunError: true });
  // The SDK shows this, of whatever kind it is, once the program has ended and its resources are still being made.
  error.stack = error.message;
}

/** Runs the program. */
export default async function run() {
  // The SDK's own listeners, which show an error, are there already.
  for (const event of ["uncaughtException", "unhandledRejection"]) process.prependListener(event, tame);
  settleHome();
  if (process.features.typescript) return (await import("../index.ts")).default;
  throw new RunError(
    [
      `gpubox needs Node 24, and the first \`node\` on PATH is ${process.version} (${process.execPath}).`,
      "The right one is in this folder already; either of these uses it:",
      "  npm run pulumi -- up        # or any other command of pulumi's",
      '  eval "$(npm run -s env)"    # after it, plain `pulumi` in the same shell',
    ].join("\n"),
  );
}
