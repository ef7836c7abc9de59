/** Picking up after a run that was killed: its lock, and what it was making. */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { Problem, say } from "./say.ts";
import type { Session } from "./session.ts";
import { backendFolder } from "./setup/backend.ts";
import { projectName } from "./setup/stack.ts";

/** What the engine writes into a lock. */
export interface Lock {
  /** File of the lock. */
  file: string;
  pid: number;
  username: string;
  hostname: string;
  timestamp: string;
}

/** The locks on a stack in a folder of states. */
export function readLocks(folder: string, project: string, stack: string): Lock[] {
  const locks = join(folder, ".pulumi", "locks", "organization", project, stack);
  if (!existsSync(locks)) return [];
  return readdirSync(locks)
    .filter((name) => name.endsWith(".json"))
    .flatMap((name) => {
      const file = join(locks, name);
      try {
        return [{ ...JSON.parse(readFileSync(file, "utf8")), file }];
      } catch {
        // Gone or half written: its holder is at work this moment, and the engine will say so.
        return [];
      }
    });
}

/** Whether the process that made a lock is certainly gone. One on another machine never is. */
export function isDead(lock: Lock, machine: string = hostname(), isRunning = isEngineRunning): boolean {
  return lock.hostname === machine && !isRunning(lock.pid);
}

function isEngineRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  try {
    const [, name, state] = /\((.*)\) (\S)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
    // The number of a process that is gone is used again, by something else; and where nobody asks what became
    // of it (a container without an init), it stays as a zombie.
    return name?.startsWith("pulumi") === true && state !== "Z";
  } catch {
    return true;
  }
}

/**
 * Clears the locks whose holders were killed.
 *
 * @throws Problem naming the holder of a lock that is in use
 */
export function clearLocks(session: Session): void {
  const folder = backendFolder(session.backend.url, session.env.HOME);
  if (folder === undefined || session.stack.includes("/")) return;
  for (const lock of readLocks(folder, projectName(session.context.root), session.stack)) {
    const holder = `process ${lock.pid} of ${lock.username} on ${lock.hostname}, since ${lock.timestamp}`;
    if (!isDead(lock)) {
      throw new Problem(
        `stack ${session.stack} is being worked on by ${holder}: wait for it to end. If it is certainly gone, remove its lock with \`npm run pulumi -- cancel --yes\``,
      );
    }
    rmSync(lock.file, { force: true });
    rmSync(`${lock.file}.attrs`, { force: true });
    say(`stack ${session.stack}: cleared the lock of an earlier run that was killed (${holder})`);
  }
}
