import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseSoakArgs } from "../../soak/args.ts";
import { openSoak, sum } from "../../soak/record.ts";

describe("npm run test:soak", () => {
  it("takes minutes, a seed and words of file names", () => {
    expect(parseSoakArgs([])).toEqual({ minutes: Number.POSITIVE_INFINITY, seed: undefined, files: [] });
    expect(parseSoakArgs(["--minutes", "30", "--seed=0", "kill"])).toEqual({
      minutes: 30,
      seed: 0,
      files: ["kill"],
    });
  });

  it.each([
    ["--minutes", "0"],
    ["--minutes", "soon"],
    ["--seed", "-1"],
    ["--seed", "1.5"],
    ["--hours", "1"],
  ])("refuses %s %s, and shows what can be given", (...args) => {
    expect(() => parseSoakArgs(args)).toThrow(/--minutes 30/);
  });

  it("sums up the runs of its files; one that ended without a word has failed", () => {
    const line = "3 passed, 0 failed, 1 skipped\n";
    expect(sum([line, line])).toEqual({ passed: 6, failed: 0, skipped: 2 });
    expect(sum([line, undefined])).toEqual({ passed: 3, failed: 1, skipped: 1 });
    expect(sum([])).toEqual({ passed: 0, failed: 0, skipped: 0 });
  });
});

describe("what is kept of a soak", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  let seeds = 0;
  const open = (code = "abc", wanted?: number) =>
    openSoak(folder, ["a.test.ts", "b.test.ts"], code, wanted, () => ++seeds);

  it("leads back to the same seed and to what is not done, until all is", () => {
    const first = open();
    first.parts[0]?.finish();
    const second = open();
    expect(second).toMatchObject({ seed: first.seed, isNew: false });
    expect(second.parts.map(({ isDone }) => isDone)).toEqual([true, false]);
    second.parts[1]?.finish();
    expect(open()).toMatchObject({ seed: first.seed + 1, isNew: true });
  });

  it("counts for the code it was run on, and for no other seed than the wanted one", () => {
    open().parts[0]?.finish();
    const changed = open("other code");
    expect(changed.isNew).toBe(true);
    expect(changed.parts.some(({ isDone }) => isDone)).toBe(false);
    changed.parts[0]?.finish();
    expect(open("other code", 99)).toMatchObject({ seed: 99, isNew: true });
  });

  it("says how far campaigns are, and that a file is through when all of its are", () => {
    const [part] = open().parts;
    expect(part).toMatchObject({ isThrough: true, standing: "" });
    const progress = { kills: { done: 12, total: 50 }, others: { done: 3, total: 3 } };
    writeFileSync(part?.progress ?? "", JSON.stringify(progress));
    expect(part).toMatchObject({ isThrough: false, standing: "kills: 12 of 50, others: 3 of 3" });
    writeFileSync(part?.progress ?? "", JSON.stringify({ ...progress, kills: { done: 50, total: 50 } }));
    expect(part?.isThrough).toBe(true);
  });
});
