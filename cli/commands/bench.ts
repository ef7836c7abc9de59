/** `npm run bench`: gets what the measurements need, then makes them. */
import { join } from "node:path";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { findSystemProgram } from "../path.ts";
import { capture, type Env, handOver } from "../run.ts";
import { Problem, say } from "../say.ts";
import { prepareToolchain } from "../session.ts";
import { canInstall, inspectMachine, installPackages } from "../setup/packages.ts";
import { MISSING, prepareTestPackages } from "../setup/tests.ts";

export async function bench(context: Context, args: Args): Promise<number> {
  const { env, missing } = args.options.docs ? { env: context.env, missing: [] } : await prepare(context);
  for (const reason of missing) say(`measurements with a Docker daemon: ${reason}`);
  return await handOver(process.execPath, [join(context.root, "bench", "main.ts"), ...args.rest], {
    env: { ...env, [MISSING]: JSON.stringify(missing) },
    cwd: context.root,
  });
}

/** What the tests need, and what gpubox is measured against. */
async function prepare(context: Context): Promise<{ env: Env; missing: string[] }> {
  const missing = await prepareTestPackages(context);
  const { env } = await prepareToolchain(context);
  const absent = await absentPackages(context);
  if (absent.length === 0) return { env, missing };
  const machine = await inspectMachine(context);
  if (!canInstall(machine)) {
    throw new Problem(
      `the measurements need ${absent.join(", ")}: install ${absent.length === 1 ? "it" : "them"}`,
    );
  }
  await installPackages(context, machine, absent);
  return { env, missing };
}

async function absentPackages({ env }: Context): Promise<string[]> {
  const fails = async (file: string, ...args: string[]) => (await capture(file, args, { env })).code !== 0;
  return [
    ...((await fails("/usr/bin/python3", "-c", "import ensurepip")) ? ["python3-venv"] : []),
    // For comparison only; some releases have it as a plugin of docker, some by itself.
    ...((await fails("docker", "compose", "version")) && !findSystemProgram("docker-compose", env.PATH)
      ? ["docker-compose"]
      : []),
  ];
}
