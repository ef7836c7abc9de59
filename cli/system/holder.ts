/** Who holds a lock, and whether that process is there still. */
import { readFileSync } from "node:fs";

/** Who holds a lock, as the engine writes it down. */
export interface Holder {
  pid: number;
  username: string;
  hostname: string;
  /** When the lock was taken. */
  timestamp: string;
}

/** How far the clocks may be apart by which a lock and a process are dated, in milliseconds. */
const CLOCK_SLACK_MS = 5_000;

/** What a lock says; undefined where it is cut short. */
export function parseHolder(text: string): Holder | undefined {
  try {
    const holder = JSON.parse(text);
    return Number.isInteger(holder?.pid) ? holder : undefined;
  } catch {
    return undefined;
  }
}

/** Whether whoever made a lock on this machine is there still. */
export function isRunning({ pid, timestamp }: Holder, isIt: (name: string) => boolean = () => true): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Somebody else's: what it is shows below.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [, name, rest = ""] = /\((.*)\) (.*)/s.exec(stat) ?? [];
    const [state, ...fields] = rest.split(" ");
    // The number of a process that is gone is used again, by something else or by a later engine; and where nobody
    // asks what became of it (a container without an init), it stays as a zombie.
    const isLater = startOf(Number(fields[18])) > Date.parse(timestamp) + CLOCK_SLACK_MS;
    return name !== undefined && isIt(name) && state !== "Z" && !isLater;
  } catch {
    return true;
  }
}

/** When a process started, in milliseconds since the epoch, from the kernel's count of hundredths since the boot. */
function startOf(ticks: number): number {
  const [, boot] = /^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8")) ?? [];
  return Number(boot) * 1000 + ticks * 10;
}
