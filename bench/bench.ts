/** What every measurement is given. */
import { UserError } from "../errors.ts";
import { floor } from "./floor.ts";
import { type Arm, type Round, runRounds } from "./harness.ts";

/** Where a measurement is unlike the others. */
export interface RoundOptions {
  /** Whether it counts something, which is the same on a busy machine: no round is invalid. */
  counted?: boolean;
}

/** The place and the measure of a run. */
export interface Bench {
  /** Folder in memory, removed at the end. */
  folder: string;
  /** Rounds of each measurement. */
  count: number;
  /** Part of the full data set, for a quick look. */
  scale: number;
  /** A line for whoever watches. */
  say(message: string): void;
  /** Runs the arms of a measurement. */
  rounds(name: string, arms: Record<string, Arm>, options?: RoundOptions): Promise<Round[]>;
  /** Every round so far, by the name of its measurement. */
  record: Record<string, Round[]>;
}

/** Makes a bench that works below a folder. */
export function createBench(folder: string, count: number, scale: number): Bench {
  const say = (message: string) => void process.stderr.write(`${message}\n`);
  const record: Bench["record"] = {};
  let interrupted = false;
  // Not at once: what was set up has to be removed.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      interrupted = true;
    });
  }
  return {
    folder,
    count,
    scale,
    say,
    record,
    async rounds(name, arms, { counted = false } = {}) {
      const started = performance.now();
      const done = await runRounds({
        arms,
        rounds: count,
        floor: counted ? async () => 1 : floor,
        onArm: (round, arm) => {
          if (interrupted) throw new UserError("interrupted");
          say(`  ${name}: round ${round} of ${count}, ${arm}`);
        },
      });
      record[name] = done;
      const taken = (performance.now() - started) / 1000;
      say(
        `${name}: ${count} rounds, ${done.filter(({ valid }) => !valid).length} invalid (${taken.toFixed(0)} s)`,
      );
      return done;
    },
  };
}
