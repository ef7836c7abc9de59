/** What is kept of a soak between runs: `.gpubox/soak/` of the checkout. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readProgress } from "../support/campaign.ts";
import type { Counts } from "../support/summary-reporter.ts";

/** What a soak is of. */
interface Subject {
  /** The commit, and whatever differs from it: what was proven of others proves nothing here. */
  code: string;
  seed: number;
}

/** A test file's part of a soak. */
export class Part {
  /** The test file, in test/soak. */
  readonly file: string;
  /** Where its campaigns keep how far they are. */
  readonly progress: string;
  /** Where its run puts the line that sums it up. */
  readonly summary: string;
  readonly #done: string;

  constructor(folder: string, file: string) {
    this.file = file;
    this.progress = join(folder, `${file}.progress`);
    this.summary = join(folder, `${file}.summary`);
    this.#done = join(folder, `${file}.done`);
  }

  get isDone(): boolean {
    return existsSync(this.#done);
  }

  /** Whether every campaign of it is through, once its run has ended well. */
  get isThrough(): boolean {
    return Object.values(readProgress(this.progress)).every(({ done, total }) => done >= total);
  }

  /** How far it is, in words. */
  get standing(): string {
    const campaigns = Object.entries(readProgress(this.progress));
    return campaigns.map(([name, { done, total }]) => `${name}: ${done} of ${total}`).join(", ");
  }

  finish(): void {
    writeFileSync(this.#done, "");
  }
}

/** The soak that is gone on with: the last one, unless it is through, or of other code, or of another seed than is wanted. */
export function openSoak(
  folder: string,
  files: string[],
  code: string,
  wanted: number | undefined,
  newSeed: () => number,
): { seed: number; parts: Part[]; isNew: boolean } {
  const file = join(folder, "soak.json");
  const last: Subject | undefined = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
  const parts = files.map((name) => new Part(folder, name));
  const isOurs = last?.code === code && wanted === undefined;
  if (last && isOurs && parts.some(({ isDone }) => !isDone)) return { seed: last.seed, parts, isNew: false };
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const seed = wanted ?? newSeed();
  writeFileSync(file, JSON.stringify({ code, seed } satisfies Subject));
  return { seed, parts, isNew: true };
}

/** Sums up runs by the lines that they ended with; one that left none has failed. */
export function sum(lines: (string | undefined)[]): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const line of lines) {
    const found = /^(\d+) passed, (\d+) failed, (\d+) skipped$/m.exec(line ?? "");
    const [passed = 0, failed = 1, skipped = 0] = found?.slice(1).map(Number) ?? [];
    counts.passed += passed;
    counts.failed += failed;
    counts.skipped += skipped;
  }
  return counts;
}
