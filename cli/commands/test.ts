/** `npm test`: gets what the tests need, then runs them. */
import { join } from "node:path";
import type { Context } from "../context.ts";
import { handOver } from "../run.ts";
import { say } from "../say.ts";
import { prepareTests, type TestSetup } from "../setup/tests.ts";

/** Variable in which the tests find what is missing on this machine: a JSON list of sentences. */
export const MISSING = "GPUBOX_TEST_MISSING";

export async function test(context: Context, args: string[]): Promise<number> {
  const { env, missing } = needsMachine(args) ? await prepareTests(context) : nothing(context);
  for (const reason of missing) say(`end-to-end tests: ${reason}`);
  return await handOver(join(context.root, "node_modules", ".bin", "vitest"), ["run", ...args], {
    env: { ...env, [MISSING]: JSON.stringify(missing) },
    cwd: context.root,
  });
}

const nothing = ({ env }: Context): TestSetup => ({ env, missing: [] });

/** Whether end-to-end tests are among those asked for, as far as `--project` says. */
export function needsMachine(args: string[]): boolean {
  const named = args.flatMap((arg, index) => {
    if (arg.startsWith("--project=")) return arg.slice("--project=".length);
    return args[index - 1] === "--project" ? arg : [];
  });
  return named.length === 0 || named.some((name) => !["unit", "contract", "host-scripts"].includes(name));
}
