/** `npm run test:soak`: the campaigns of the tests at full length. */
import { join } from "node:path";
import type { Context } from "../context.ts";
import { handOver } from "../run.ts";

export function soak({ root, env }: Context, args: string[]): Promise<number> {
  return handOver(process.execPath, [join(root, "test", "soak", "main.ts"), ...args], { env, cwd: root });
}
