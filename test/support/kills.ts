/** SIGKILL in the middle of `npm start`: the moments at which it comes, and what it hits. */
import type { RunningProcess } from "./processes.ts";

/** What a kill comes after, and for how many milliseconds at most that is waited. */
export const MOMENTS = { start: 3_000, download: 1_300, build: 2_500, container: 400, notebook: 2_000 };
export type Moment = keyof typeof MOMENTS;

/** What a kill hits. A script that outlives its run holds its lock, and the next run waits for it. */
export type Victims = "the engine" | "the command, the engine and its plugins" | "everything";
export const VICTIMS: Record<Victims, (process: RunningProcess) => boolean> = {
  "the engine": ({ name, args }) => name === "pulumi" && / up /.test(args),
  "the command, the engine and its plugins": ({ name }) => /^(node|pulumi)/.test(name),
  everything: () => true,
};

export interface Kill {
  moment: Moment;
  victims: Victims;
  /** Milliseconds after what the moment is named for has begun. */
  delay: number;
}

export const inWords = ({ moment, victims, delay }: Kill) => `${victims}, ${delay} ms after ${moment}`;

/** The kill of that number in a campaign: each moment in its turn, the rest by chance. */
export function killByChance(number: number, next: () => number): Kill {
  const pick = <T>(values: T[]): T => values[Math.floor(next() * values.length)] as T;
  const moments = Object.keys(MOMENTS) as Moment[];
  const moment = moments[number % moments.length] as Moment;
  const victims = pick(Object.keys(VICTIMS) as Victims[]);
  return { moment, victims, delay: Math.floor(next() * MOMENTS[moment]) };
}

/** A kill that cannot come too late: in a third of that time no run has ended. */
export function surely(moment: Moment, victims: Victims, next: () => number): Kill {
  return { moment, victims, delay: Math.floor((next() * MOMENTS[moment]) / 3) };
}
