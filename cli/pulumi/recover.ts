/** Picking up after a run that was killed, or a power cut: what the engine was writing, its lock, its state. */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../../errors.ts";
import { stackCommand } from "../stack.ts";
import { type Holder, isRunning, parseHolder } from "../system/holder.ts";
import { say } from "../ui/say.ts";
import { entries, type StackPlaces } from "./checkpoint.ts";
import { damage, refuseDamagedState } from "./damaged-state.ts";
import { holdStack } from "./run-lock.ts";
import type { Session } from "./session.ts";

/** A lock on a stack. */
export interface Lock {
  file: string;
  /** Undefined where the lock is not written yet, or never will be. */
  holder: Holder | undefined;
}

/** How long the engine may take to write a lock, in milliseconds. */
const WRITING_MS = 2_000;

/**
 * Makes a stack usable again after a run that was killed: clears its lock, and says how to replace a state
 * that is damaged. From here on no other run of gpubox works on it.
 *
 * @throws UserError naming another run that works on it, the holder of a lock that is in use, or how a damaged state is replaced by its backup
 */
export async function recover(session: Session): Promise<void> {
  if (!session.place) return;
  const other = holdStack(session.place.run);
  // An engine at work is named first: it may have outlived the command that started it.
  await clearLocks(session.stack, session.place.locks);
  if (other) {
    throw new UserError(
      `stack ${session.stack} is in use by process ${other.pid} of ${other.username}, another run of gpubox, since ${other.timestamp}: wait for it to end`,
    );
  }
  refuseDamagedState(session, session.place);
}

// --- files that were cut short ----------------------------------------------------------------------------------------

/** The newest files of the history that are looked at: one run adds four. */
const NEWEST = 8;

/**
 * Mends the files of a `file://` backend that hold nothing of their own and, cut short, make the engine refuse
 * everything: the sidecars (`….attrs`) beside its files, which it does without, and the version of the backend.
 */
export function mendBackend(at: StackPlaces | undefined): void {
  if (!at) return;
  const history = entries(at.history).sort().slice(-NEWEST);
  for (const file of [...entries(at.root), ...entries(dirname(at.state)), ...history]) {
    if (file.endsWith(".attrs") && damage(file) !== undefined) rmSync(file, { force: true });
  }
  const version = join(at.root, "meta.yaml");
  // The one version that a backend is made with.
  if (existsSync(version) && statSync(version).size === 0) writeFileSync(version, "version: 1\n");
}

// --- locks ------------------------------------------------------------------------------------------------------------

/**
 * The locks in a folder. The engine takes every file there for a lock, so also the one that it was killed while
 * writing (`….json.<time>.tmp`).
 */
export function readLocks(folder: string): Lock[] {
  return entries(folder)
    .filter((file) => !file.endsWith(".attrs"))
    .flatMap((file) => {
      try {
        return [{ file, holder: parseHolder(readFileSync(file, "utf8")) }];
      } catch {
        // Its holder has ended this moment.
        return [];
      }
    });
}

/** Whether whoever made a lock is certainly gone. One on another machine never is. */
export function isDead(
  { holder }: Lock,
  machine: string = hostname(),
  isThere: (holder: Holder) => boolean = isEngineRunning,
): boolean {
  return holder === undefined || (holder.hostname === machine && !isThere(holder));
}

const isEngineRunning = (holder: Holder): boolean => isRunning(holder, (name) => name.startsWith("pulumi"));

/** @throws UserError naming the holder of a lock that is in use */
export async function clearLocks(stack: string, folder: string): Promise<void> {
  const locks = await writtenLocks(folder);
  for (const lock of locks.filter((each) => isDead(each))) {
    rmSync(lock.file, { force: true });
    rmSync(`${lock.file}.attrs`, { force: true });
    say(
      `stack ${stack}: cleared the lock of an earlier run that was killed (${describeHolder(lock)}); continuing from where it stopped`,
    );
  }
  const [held] = locks.filter((each) => !isDead(each));
  if (!held) return;
  const cancel = stackCommand("pulumi", stack, "cancel", "--yes");
  throw new UserError(
    `stack ${stack} is in use by ${describeHolder(held)}: wait for it to end. If you are sure that it is gone, remove its lock with \`${cancel}\``,
  );
}

/** The locks, once those that are being written are written. */
async function writtenLocks(folder: string): Promise<Lock[]> {
  const deadline = Date.now() + WRITING_MS;
  for (;;) {
    const locks = readLocks(folder);
    if (locks.every(({ holder }) => holder !== undefined) || Date.now() > deadline) return locks;
    await sleep(100);
  }
}

function describeHolder({ holder }: Lock): string {
  if (!holder) return "it was cut short";
  return `process ${holder.pid} of ${holder.username} on ${holder.hostname}, since ${holder.timestamp}`;
}
