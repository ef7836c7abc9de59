import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasStackFile, readStackFile, stackFile } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import type { Context } from "../context.ts";
import { mustRun, type RunOptions } from "../system/run.ts";
import { step } from "../ui/say.ts";

/** A stack's entry in the backend, and the copy of its file that the engine works with. */

/**
 * A copy of a stack's file for the engine to work with: it adds a line of its own (`encryptionsalt`) and
 * formats the whole anew, which is not wanted in a file that is under version control. The salt it needs is in
 * the state as well. The copy is JSON, which is YAML: the engine's YAML takes `2024-05-01` for a time and `010` for
 * eight, and is to see what was read here.
 *
 * @returns the arguments that make the engine use the copy; none where there is no file, or the person names one
 */
export function useCopy(context: Context, stack: string, args: string[]): string[] {
  if (!hasStackFile(context.root, stack) || args.some((arg) => /^--config-file(=|$)/.test(arg))) return [];
  const checkout = createHash("sha256").update(context.root).digest("hex").slice(0, 12);
  const folder = join(context.cache, "config", checkout);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const copy = stackFile(folder, stack);
  const next = `${copy}.${process.pid}`;
  writeCopy(context.root, stack, next);
  renameSync(next, copy);
  return ["--config-file", copy];
}

function writeCopy(root: string, stack: string, file: string): void {
  const { whole } = readStackFile(root, stack);
  const { encryptionsalt: _, ...rest } = whole;
  // Only secrets in the file need its salt: that of a state that is lost would keep a new one from being made.
  const used = hasSecrets(whole.config) ? whole : rest;
  writeFileSync(file, `${JSON.stringify(used, null, 2)}\n`, { mode: 0o600 });
}

const hasSecrets = (config: unknown) => /"secure":/.test(JSON.stringify(config) ?? "");

/** What to do where a new stack's file has secrets that another passphrase protects. */
function otherPassphrase(root: string, stack: string): UserError {
  const { secrets } = readStackFile(root, stack);
  return new UserError(
    [
      `stack ${stack} cannot be created: ${stackFile(root, stack)} has secrets that another passphrase protects. Restore that passphrase, or, if it is lost, remove from the file`,
      "  the line that begins with encryptionsalt",
      ...secrets.map((key) => `  the secret of ${key}`),
      "and try again; docs/configuration.md says how to set a secret again. Nothing was changed.",
    ].join("\n"),
  );
}

/** Makes a stack in the backend. Done on copies, as the engine would write into the stack's file. */
export async function createStack(
  root: string,
  stack: string,
  engine: string,
  options: RunOptions,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "gpubox-stack-"));
  try {
    copyFileSync(join(root, "Pulumi.yaml"), join(folder, "Pulumi.yaml"));
    writeCopy(root, stack, stackFile(folder, stack));
    await step(`stack ${stack}: creating it`, () =>
      mustRun(engine, ["stack", "init", "--stack", stack, "--no-select", "--non-interactive"], {
        ...options,
        cwd: folder,
      }),
    );
  } catch (error) {
    throw /incorrect passphrase/.test((error as Error).message) ? otherPassphrase(root, stack) : error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
