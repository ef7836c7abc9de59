/**
 * Campaigns: many rounds of one test, each with a random moment or order of its own. `npm test` has a short cut of each, every kind
 * of moment once; `npm run test:soak` has the whole of it, goes on until its time is up, and the next time where it was.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

/** Variable with the moment, in milliseconds since the epoch, after which no further round is begun. */
export const DEADLINE = "GPUBOX_SOAK_DEADLINE";
/** Variable that names the file in which a test file's campaigns keep how far they are; see `Progress`. */
export const PROGRESS = "GPUBOX_SOAK_PROGRESS";
/** Variable with the seed of all random numbers. */
export const SEED = "GPUBOX_TEST_SEED";

/** Random numbers from 0 to 1 that come again with the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The seed of this run: given in GPUBOX_TEST_SEED, or another one each time. Say it in the test's name. */
export const seed = Number(process.env[SEED] ?? randomBytes(4).readUInt32LE());

/** The random numbers of one round, whichever rounds were run before it. */
export const randomOf = (round: number) => random(seed + round);

/** How far campaigns are, by name, as `{"rounds": {"done": 12, "total": 50}}`. */
export type Progress = Record<string, { done: number; total: number }>;

/** Reads what a test file's campaigns have kept. */
export function readProgress(file: string): Progress {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
}

/**
 * The rounds of a campaign that are to be run now, from 1 to `total`: those that an earlier run did not get to, for as long as there
 * is time. A round counts as done once the next one is asked for.
 *
 * @param name tells the campaigns of a file apart
 */
export async function* campaign(total: number, name = "rounds"): AsyncGenerator<number> {
  const file = process.env[PROGRESS];
  const deadline = Number(process.env[DEADLINE] ?? Number.POSITIVE_INFINITY);
  const keep = (done: number) => {
    if (!file) return;
    writeFileSync(`${file}.part`, JSON.stringify({ ...readProgress(file), [name]: { done, total } }));
    renameSync(`${file}.part`, file);
  };
  const before = file ? (readProgress(file)[name]?.done ?? 0) : 0;
  keep(before);
  for (let round = before + 1; round <= total; round++) {
    // One at least: whoever begins a campaign gets on with it.
    if (round > before + 1 && Date.now() > deadline) return;
    yield round;
    keep(round);
  }
}
