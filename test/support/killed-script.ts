/** Kills of a script: at moments that show from outside, each of which comes in every run, or at random ones. */
import { setTimeout as sleep } from "node:timers/promises";
import type { RunningScript } from "./host-script.ts";

export interface Kill {
  /** Once it has said this, once this is so, or after so many milliseconds. */
  at: RegExp | (() => boolean) | number;
  /** The shell alone, or together with what it started. */
  what: "shell" | "all";
}

/** Kills a script, and waits for its end. @returns whether it was still running */
export async function killed(running: RunningScript, { at, what }: Kill): Promise<boolean> {
  let ended = false;
  const result = running.result.finally(() => {
    ended = true;
  });
  if (typeof at === "number") await sleep(at);
  else if (at instanceof RegExp) await running.said(at);
  else while (!ended && !at()) await sleep(1);
  const hit = !ended;
  running.kill(what);
  await result;
  return hit;
}

export interface Attempt {
  readonly kill: Kill;
  /** Which of the kills it is, from 1 on. */
  readonly number: number;
  /** Whether the run was still going on when it was killed: for whoever tries it to say. */
  hit: boolean;
}

/** How often a moment is waited for. What lasts for milliseconds is missed now and then on a busy machine. */
const TRIES = 20;

/**
 * Kills to try, one after the other. One at a moment that shows comes again until it hit a run; one at a random moment comes
 * once.
 *
 * @throws where no run was hit at a moment
 */
export function* attempts(kills: readonly Kill[]): Generator<Attempt> {
  for (const [index, kill] of kills.entries()) {
    const tries = typeof kill.at === "number" ? 1 : TRIES;
    const attempt = { kill, number: index + 1, hit: false };
    for (let n = 0; n < tries && !attempt.hit; n += 1) yield attempt;
    if (tries > 1 && !attempt.hit) throw new Error(`none of ${tries} runs was hit: ${killsText([kill])}`);
  }
}

/** So many kills at random moments up to `longest` milliseconds. */
export function randomKills(count: number, longest: number, random: () => number): Kill[] {
  return Array.from({ length: count }, () => ({
    at: 20 + random() * longest,
    what: random() < 0.5 ? "all" : "shell",
  }));
}

/** Kills as one line, to say what a failure came after. */
export const killsText = (kills: readonly Kill[]) =>
  kills.map(({ at, what }) => `${what} at ${at}`).join(", ");
