/** The groups that this machine's notebooks are given. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { UserError } from "../errors.ts";
import { scriptText } from "./scripts.ts";

/** A daemon of users that hangs must not take a run along, in milliseconds. */
const PATIENCE_MS = 8_000;

/**
 * Groups of the person whose files notebooks may use.
 *
 * @throws UserError where they cannot be found out: containers made without them would take the place of those that run
 */
export async function sharedGroups(daemon: string): Promise<number[]> {
  const script = `set -eu\n${scriptText("groups.sh")}\nshared_groups`;
  const options = { env: { ...process.env, DOCKER_HOST: daemon }, timeout: PATIENCE_MS };
  try {
    const { stdout } = await promisify(execFile)("/bin/sh", ["-c", script], options);
    return stdout.split("\n").filter(Boolean).map(Number);
  } catch {
    throw new UserError(
      `cannot find out which groups you are in: does \`id\` answer? Try again once it does; nothing was created`,
    );
  }
}
