/** What the engine says while it runs, kept in files of the person's own. */
import { closeSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { legible } from "../../text/legible.ts";
import { makePrivate } from "./private.mjs";

/** Those of so many runs are kept. */
const KEPT = 10;

export interface RunLog {
  file: string;
  descriptor: number;
}

/**
 * Makes the log of a run, and removes those of long ago.
 *
 * @param cache folder of what can be made again
 * @param what run it is of, in letters that a file can be called by
 */
export function openRunLog(cache: string, what: string): RunLog {
  const folder = join(cache, "logs");
  makePrivate(folder);
  const time = new Date().toISOString().replaceAll(":", "-");
  const file = join(folder, `${time}-${what}.log`);
  const descriptor = openSync(file, "wx", 0o600);
  // Their names begin with their time.
  const old = readdirSync(folder).sort().slice(0, -KEPT);
  for (const name of old) rmSync(join(folder, name), { force: true });
  return { file, descriptor };
}

/** Closes the log of a run. Programs that the engine runs write what they like: a terminal that shows it must obey nothing in it. */
export function closeRunLog({ file, descriptor }: RunLog): void {
  closeSync(descriptor);
  writeFileSync(file, legible(readFileSync(file, "utf8")));
}
