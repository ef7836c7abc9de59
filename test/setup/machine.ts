/**
 * Before and after the end-to-end tests: the engine and the images are made while other tests run, and this machine's own network
 * is held against what it was.
 */
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { createContext } from "../../cli/context.ts";
import { sayStandIns } from "../../cli/pulumi/plugins.ts";
import { prepareToolchain } from "../../cli/pulumi/session.ts";
import { say } from "../../cli/ui/say.ts";
import { UserError } from "../../errors.ts";
import { missingForTests } from "../../scripts/test-packages.ts";
import { prepareImages } from "../support/images.ts";
import { network } from "../support/network.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Folder of this run; see `Prepared`. */
    run: string;
  }
}

/** What the end-to-end tests wait for: `prepared.json` in the folder of the run. */
export interface Prepared {
  /** Why they cannot run here, one sentence each; empty where they can. */
  missing: string[];
  /** Environment in which the engine is found. */
  env: Record<string, string | undefined>;
}

const FOLDER = "gpubox-run-";

export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  removeOldRuns();
  const run = mkdtempSync(join(tmpdir(), `${FOLDER}${process.pid}-`));
  // Whoever may use a daemon in it must get there.
  chmodSync(run, 0o711);
  provide("run", run);
  const before = await network();
  const prepared = prepare(run).then((result) => {
    writeFileSync(join(run, "prepared.json.part"), JSON.stringify(result));
    renameSync(join(run, "prepared.json.part"), join(run, "prepared.json"));
  });
  return async () => {
    await prepared;
    rmSync(run, { recursive: true, force: true });
    const after = await network();
    if (after === before) return;
    // Vitest says what goes wrong here, and does not count it.
    say(`the tests changed this machine's network:\n${before}\n--- is now\n${after}`);
    process.exitCode = 1;
  };
}

async function prepare(run: string): Promise<Prepared> {
  const context = createContext();
  const missing = missingForTests(context);
  if (missing.length > 0) return { missing, env: {} };
  try {
    const [toolchain] = await Promise.all([
      prepareToolchain(context),
      prepareImages(join(run, "images"), process.env),
    ]);
    sayStandIns(toolchain);
    return { missing, env: toolchain.env };
  } catch (error) {
    const reason = error instanceof UserError ? error.message : String(error);
    return { missing: [reason], env: {} };
  }
}

/** Runs that were killed left their folders. */
function removeOldRuns(): void {
  for (const name of readdirSync(tmpdir())) {
    const [, pid] = new RegExp(`^${FOLDER}(\\d+)-`).exec(name) ?? [];
    if (pid && !isAlive(Number(pid))) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("vitest");
  } catch {
    return false;
  }
}
