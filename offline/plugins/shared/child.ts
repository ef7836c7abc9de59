import type { ChildProcess } from "node:child_process";

/** Spawn option: a process group of the child's own, so that it can be ended with everything it started. */
export const ownGroup = { detached: true } as const;

/**
 * Ties a child spawned with {@link ownGroup} to this process: it is killed, with everything it started, when the
 * plugin ends, which is when the engine ends. Returns the same as a function, to do it earlier.
 */
export function endWithPlugin(child: ChildProcess): () => void {
  const kill = () => {
    // Once it has ended its number may be another process's.
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It ended in this very moment.
    }
  };
  process.on("exit", kill);
  child.on("close", () => process.off("exit", kill));
  child.on("error", () => process.off("exit", kill));
  return kill;
}
