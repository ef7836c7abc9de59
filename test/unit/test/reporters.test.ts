import { expect, it } from "vitest";
import { summaryLine } from "../../support/summary-reporter.ts";
import { timesTable } from "../../support/times-reporter.ts";

it("a run of the tests ends with a line of a fixed form", () => {
  expect(summaryLine({ passed: 3, failed: 0, skipped: 1 })).toBe("3 passed, 0 failed, 1 skipped");
});

it("a run of the tests says which files took long, and what their hooks took of it", () => {
  const table = timesTable([
    { file: "quick.test.ts", total: 900, before: 800, hooks: {} },
    { file: "b.test.ts", total: 61_250, before: 2_000, hooks: { beforeAll: 10_040, afterEach: 400 } },
    { file: "a.test.ts", total: 100_000, before: 10, hooks: {} },
  ]);
  expect(table.split("\n")).toEqual([
    "  100.0 s  a.test.ts",
    "   61.3 s  b.test.ts  (before it 2.0, beforeAll 10.0)",
  ]);
});
