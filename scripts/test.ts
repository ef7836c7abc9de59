/** `npm test`: runs the tests, which get what they need by themselves. */
import { join } from "node:path";
import type { Args } from "../cli/args.ts";
import type { Context } from "../cli/context.ts";
import { handOver } from "../cli/system/run.ts";

export function test({ root, env }: Context, args: Args): Promise<number> {
  return handOver(join(root, "node_modules", ".bin", "vitest"), ["run", ...args.rest], { env, cwd: root });
}
