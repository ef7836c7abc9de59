/** What every command and set-up step is given: where things are, and who is asking. */
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { UserError } from "../errors.ts";
import { originalHome } from "./pulumi/pulumi-home.ts";
import { Memo } from "./system/memo.ts";
import { makePrivate } from "./system/private.mjs";
import type { Env } from "./system/run.ts";
import { say } from "./ui/say.ts";

/** The checkout this program is part of. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where a run works, and for whom. */
export interface Context {
  /** The checkout. */
  root: string;
  /** The environment of the person who started us. */
  env: Env;
  /** Folder of what must not be lost, state and passphrase: `GPUBOX_HOME`, by default `~/.gpubox`. */
  home: string;
  /** Folder of what can be made again: `GPUBOX_CACHE`, by default `~/.cache/gpubox`. */
  cache: string;
  /** The person's folder of Pulumi's: `PULUMI_HOME`, by default `~/.pulumi`. */
  pulumiHome: string;
  /** Whether there is a person at a terminal to ask. */
  interactive: boolean;
  /** What earlier runs found out. */
  memo: Memo;
}

/** The context of this process. `CI` counts as nobody to ask, as it does for Pulumi. */
export function createContext(env: Env = process.env, root: string = ROOT): Context {
  const user = env.HOME || homedir();
  const cache = env.GPUBOX_CACHE || join(env.XDG_CACHE_HOME || join(user, ".cache"), "gpubox");
  return {
    root,
    env,
    home: env.GPUBOX_HOME || join(user, ".gpubox"),
    cache,
    pulumiHome: env.PULUMI_HOME ? originalHome(env.PULUMI_HOME) : join(user, ".pulumi"),
    interactive: Boolean(process.stdin.isTTY && process.stderr.isTTY) && !env.CI,
    memo: new Memo(join(cache, "findings.json")),
  };
}

/**
 * Makes a folder of ours where it is not there yet, for its owner alone, and says so; one that is there is closed to others.
 *
 * @param others what of its mode others lose; all by default
 * @throws UserError when others may write to it, and it is not the person's to close
 */
export function ensureFolder(path: string, purpose: string, others?: number): void {
  try {
    if (makePrivate(path, others)) say(`${path}: created, for ${purpose}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") throw error;
    throw new UserError(
      `${path} belongs to another user, and others can write to it, but gpubox keeps your programs and secrets there: make it yours with \`sudo chown ${process.getuid?.()} '${path}' && chmod go-rwx '${path}'\`, or name another folder (docs/configuration.md)`,
    );
  }
}
