import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { campaign, DEADLINE, PROGRESS, random, readProgress } from "../../support/campaign.ts";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
  file = join(folder, "progress");
  vi.stubEnv(PROGRESS, file);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** The rounds that a run does which is ended in the middle of round `end`. */
async function run(total: number, end = Number.POSITIVE_INFINITY, name?: string): Promise<number[]> {
  const rounds = [];
  for await (const round of campaign(total, name)) {
    rounds.push(round);
    if (round === end) break;
  }
  return rounds;
}

describe("a campaign", () => {
  it("goes on with the round in which the last run was ended, and is over once all are done", async () => {
    expect(await run(5, 3)).toEqual([1, 2, 3]);
    expect(readProgress(file)).toEqual({ rounds: { done: 2, total: 5 } });
    expect(await run(5)).toEqual([3, 4, 5]);
    expect(readProgress(file)).toEqual({ rounds: { done: 5, total: 5 } });
    expect(await run(5)).toEqual([]);
  });

  it("begins nothing after its time is up, but gets on by a round", async () => {
    vi.stubEnv(DEADLINE, String(Date.now() - 1));
    expect(await run(3)).toEqual([1]);
    expect(await run(3)).toEqual([2]);
  });

  it("keeps its progress apart from that of others in its file", async () => {
    await run(2, undefined, "one");
    await run(4, 3, "another");
    expect(readProgress(file)).toEqual({ one: { done: 2, total: 2 }, another: { done: 2, total: 4 } });
  });

  it("has the same random numbers for the same seed", () => {
    const numbers = (seed: number) => Array.from({ length: 5 }, random(seed));
    expect(numbers(7)).toEqual(numbers(7));
    expect(numbers(7)).not.toEqual(numbers(8));
    expect(numbers(7).every((number) => number >= 0 && number < 1)).toBe(true);
  });
});
