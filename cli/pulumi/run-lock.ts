/**
 * One run of gpubox at a time works on a stack: it looks first and acts then, and the engine's own lock is there only while the engine
 * acts.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { userName } from "../../machine/person.ts";
import { type Holder, isRunning, parseHolder } from "../system/holder.ts";

/** How often a lock may turn out to be dead, or to be gone, while it is looked at. */
const ATTEMPTS = 5;

/** Those that this process has. */
const held = new Set<string>();

/**
 * Takes a stack for this process, until it ends. One that was killed does not keep it.
 *
 * @param file of the lock; where none can be written, the engine's own lock has to do
 * @returns who has it, where that is another run on this machine
 */
export function holdStack(file: string): Holder | undefined {
  if (held.has(file)) return undefined;
  const own = `${file}.${process.pid}`;
  const holder: Holder = {
    pid: process.pid,
    username: userName(),
    hostname: hostname(),
    timestamp: new Date().toISOString(),
  };
  try {
    writeFileSync(own, JSON.stringify(holder), { mode: 0o600 });
  } catch {
    return undefined;
  }
  try {
    return take(own, file);
  } finally {
    rmSync(own, { force: true });
  }
}

function take(own: string, file: string): Holder | undefined {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      // A link appears whole or not at all, and never in the place of another file.
      linkSync(own, file);
      held.add(file);
      process.on("exit", () => rmSync(file, { force: true }));
      return undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") return undefined;
    }
    const text = read(file);
    const other = text === undefined ? undefined : parseHolder(text);
    if (other?.hostname === hostname() && isRunning(other)) return other;
    if (text !== undefined) setAside(file, text);
  }
  return undefined;
}

/** Gets a dead lock out of the way; one that somebody took meanwhile is put back. */
function setAside(file: string, dead: string): void {
  const aside = `${file}.${process.pid}.old`;
  try {
    renameSync(file, aside);
    if (read(aside) !== dead) linkSync(aside, file);
  } catch {
    // Another has done so, or has taken it.
  }
  rmSync(aside, { force: true });
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
