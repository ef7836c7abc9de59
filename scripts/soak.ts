/** `npm run test:soak`: the campaigns of the tests at full length. */
import { join } from "node:path";
import type { Args } from "../cli/args.ts";
import type { Context } from "../cli/context.ts";
import { handOver } from "../cli/system/run.ts";

export function soak({ root, env }: Context, args: Args): Promise<number> {
  return handOver(process.execPath, [join(root, "test", "soak", "main.ts"), ...args.rest], {
    env,
    cwd: root,
  });
}
