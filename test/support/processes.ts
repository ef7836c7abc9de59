/** The processes of this machine. */
import { readdirSync, readFileSync } from "node:fs";

/** A process that runs. */
export interface RunningProcess {
  pid: number;
  /** Name of its program, at most 15 characters. */
  name: string;
  /** Its arguments, separated by blanks. */
  args: string;
}

/** All that run, or those that `accept` lets through by their environment: variables, each between zero bytes. */
export function processes(accept: (environment: string) => boolean = () => true): RunningProcess[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      try {
        if (!accept(`\0${read(entry, "environ")}`)) return [];
        const args = read(entry, "cmdline").replaceAll("\0", " ").trim();
        return [{ pid: Number(entry), name: read(entry, "comm").trim(), args }];
      } catch {
        // It ended while it was looked at.
        return [];
      }
    });
}

const read = (pid: string, file: string) => readFileSync(`/proc/${pid}/${file}`, "utf8");

/** A person's processes, told by their home folder: those of a container have another one. */
export function processesOf(home: string): RunningProcess[] {
  return processes((environment) => environment.includes(`\0HOME=${home}\0`));
}

/** SIGKILL, to those that are still there. */
export function killAll(victims: { pid: number }[]): void {
  for (const { pid } of victims) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It was faster.
    }
  }
}
