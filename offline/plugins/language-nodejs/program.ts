import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { endWithPlugin, ownGroup } from "../shared/child.ts";
import type { Options } from "./options.ts";

/** One run of a Pulumi program, as the engine asks for it. */
export interface ProgramRun {
  monitorAddress: string;
  engineAddress: string;
  organization: string;
  project: string;
  stack: string;
  rootDirectory: string;
  programDirectory: string;
  entryPoint: string;
  dryRun: boolean;
  parallel: number;
  /** Endpoint for traces, if any. */
  tracing: string | undefined;
  args: readonly string[];
  /** By `namespace:name`. */
  config: ReadonlyMap<string, string>;
  configSecretKeys: readonly string[];
  options: Options;
}

/** How a run ended: well, with a message for the person, or with an error that the program has shown already. */
export type Outcome = { error?: string; bail?: boolean };

/** The program's exit code when it has told the person what went wrong; see `@pulumi/pulumi/cmd/run`. */
const alreadyReported = 32;
/** How long a cancelled program may take to end, in milliseconds. */
const grace = 5_000;

/** Runs the program to its end; what it prints goes where this plugin's output goes, to the engine's display. */
export async function runProgram(run: ProgramRun, signal: AbortSignal): Promise<Outcome> {
  // This very Node, not the first one on PATH: it is known to run TypeScript.
  const child = spawn(process.execPath, commandLine(locateRunner(run.programDirectory), run), {
    env: { ...process.env, ...environment(run) },
    stdio: ["ignore", "inherit", "inherit"],
    ...ownGroup,
  });
  const kill = endWithPlugin(child);
  const cancel = () => {
    child.kill("SIGINT");
    setTimeout(kill, grace).unref();
  };
  signal.addEventListener("abort", cancel);
  try {
    const [code] = (await once(child, "exit")) as [number | null];
    if (code === alreadyReported) return { bail: true };
    return code === 0 ? {} : { error: `Program exited with non-zero exit code: ${code ?? -1}` };
  } catch (error) {
    return { error: `cannot run the program with ${process.execPath}: ${(error as Error).message}` };
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** The SDK's own program that loads the person's; the SDK is the one that the program itself would import. */
function locateRunner(programDirectory: string): string {
  try {
    return createRequire(join(programDirectory, "package.json")).resolve("@pulumi/pulumi/cmd/run");
  } catch {
    throw new Error(`${programDirectory}: @pulumi/pulumi is not installed; run \`npm install\` there`);
  }
}

/** The arguments of the runner. */
export function commandLine(runner: string, run: ProgramRun): string[] {
  const flags = {
    monitor: run.monitorAddress,
    engine: run.engineAddress,
    organization: run.organization,
    project: run.project,
    "root-directory": run.rootDirectory,
    stack: run.stack,
    pwd: run.programDirectory,
    parallel: String(run.parallel),
    tracing: run.tracing ?? "",
  };
  const given = Object.entries(flags).flatMap(([name, value]) => (value === "" ? [] : [`--${name}`, value]));
  return [runner, ...given, ...(run.dryRun ? ["--dry-run"] : []), run.entryPoint, ...run.args];
}

/** The environment variables in which the SDK looks for the stack's configuration and the runtime's options. */
export function environment(run: ProgramRun): Record<string, string> {
  return {
    PULUMI_CONFIG: JSON.stringify(Object.fromEntries(run.config)),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(run.configSecretKeys),
    ...(run.options.typescript ? { PULUMI_NODEJS_TYPESCRIPT: "true" } : {}),
  };
}
