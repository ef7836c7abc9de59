/** The floor: a fixed piece of work for all cores, whose time tells whether the machine is the same as a moment ago. */
import { availableParallelism } from "node:os";
import { seconds } from "./harness.ts";

/** Bytes that each core hashes. */
const BLOCK = new Uint8Array(32 * 1024 * 1024);

/** Of how many tries the shortest counts: a hiccup is not a change. */
const TRIES = 5;

/** Seconds that all cores need to hash a block each. */
export async function floor(): Promise<number> {
  const cores = Array.from({ length: availableParallelism() });
  const tries: number[] = [];
  for (let index = 0; index < TRIES; index++) {
    tries.push(await seconds(() => Promise.all(cores.map(() => crypto.subtle.digest("SHA-256", BLOCK)))));
  }
  return Math.min(...tries);
}
