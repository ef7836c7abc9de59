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
