/** `npm run bench`: gets what the measurements need, then makes them. */
import { join } from "node:path";
import type { Args } from "../cli/args.ts";
import type { Context } from "../cli/context.ts";
import { prepareToolchain } from "../cli/pulumi/session.ts";
import { canInstall, inspectMachine, installPackages } from "../cli/system/packages.ts";
import { findSystemProgram } from "../cli/system/path.ts";
import { capture, type Env, handOver } from "../cli/system/run.ts";
import { say } from "../cli/ui/say.ts";
import { UserError } from "../errors.ts";
import { MISSING, prepareTestPackages } from "./test-packages.ts";

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
    throw new UserError(
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
    // For comparison only.
    ...Object.entries({ aria2c: "aria2", bsdtar: "libarchive-tools" })
      .filter(([program]) => !findSystemProgram(program, env.PATH))
      .map(([, name]) => name),
    // The same; some releases have it as a plugin of docker, some by itself.
    ...((await fails("docker", "compose", "version")) && !findSystemProgram("docker-compose", env.PATH)
      ? ["docker-compose"]
      : []),
  ];
}
