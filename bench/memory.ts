/** Memory of the processes that a command consists of. */
import { readdirSync, readFileSync } from "node:fs";

/** Milliseconds between two looks. */
const INTERVAL = 100;

/** Programs whose memory is not the command's: the daemon is there with or without it. */
const NOT_OURS = new Set(["dockerd"]);

interface Process {
  name: string;
  parent: number;
  /** In MB of 1,000,000 bytes. */
  resident: number;
}

/**
 * Watches everything below a process, but the daemon: the command itself, the engine, its plugins, the program, the scripts.
 *
 * @returns how to stop; that gives the most that was resident at once, in MB. Pages that processes share count for each.
 */
export function watchMemory(root: number): { stop(): number } {
  let peak = 0;
  const look = () => {
    peak = Math.max(peak, residentBelow(root, processes()));
  };
  look();
  const timer = setInterval(look, INTERVAL);
  return {
    stop() {
      clearInterval(timer);
      return peak;
    },
  };
}

function residentBelow(root: number, all: ReadonlyMap<number, Process>): number {
  let sum = 0;
  for (const [pid, { name, parent, resident }] of all) {
    if (parent === root && !NOT_OURS.has(name)) sum += resident + residentBelow(pid, all);
  }
  return sum;
}

function processes(): Map<number, Process> {
  const all = new Map<number, Process>();
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!pid) continue;
    try {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1] ?? "";
      all.set(pid, {
        name: field("Name"),
        parent: Number(field("PPid")),
        resident: (Number(field("VmRSS")) * 1024) / 1_000_000,
      });
    } catch {
      // It has ended.
    }
  }
  return all;
}
