import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { expect, it, onTestFinished } from "vitest";
import { ROOT } from "../../../cli/context.ts";
import { SUMMARY } from "../../support/summary-reporter.ts";
import { timesTable } from "../../support/times-reporter.ts";

it("a run of the tests ends with what failed, and a line of a fixed form", async () => {
  const root = await mkdtemp(join(tmpdir(), "gpubox-reporter-"));
  onTestFinished(() => rm(root, { recursive: true }));
  await writeFile(
    join(root, "a.test.ts"),
    `describe("a box", () => {
      it("opens", () => expect(1).toBe(1));
      it("shuts", () => expect("open").toBe("shut"));
      it.skip("rings", () => {});
    });
    describe("a lid", () => {
      beforeAll(() => { throw new Error("stuck\\nfast"); });
      it("lifts", () => {});
    });`,
  );
  await writeFile(join(root, "b.test.ts"), "nowhere();");

  const summary = join(root, "summary");
  const reporter = join(ROOT, "test", "support", "summary-reporter.ts");
  const { stdout, exitCode } = await execa(
    join(ROOT, "node_modules", ".bin", "vitest"),
    ["run", "--root", root, "--globals", "--reporter", reporter],
    { reject: false, preferLocal: true, localDir: ROOT, env: { [SUMMARY]: summary } },
  );
  const failures = [
    "failed: a.test.ts: a box > shuts: expected 'open' to be 'shut' // Object.is equality",
    "failed: a.test.ts: a lid: stuck",
    "failed: b.test.ts: nowhere is not defined",
  ];
  const line = "1 passed, 3 failed, 2 skipped";
  expect(exitCode).toBe(1);
  expect(stdout.trimEnd().split("\n").toSorted()).toEqual([line, ...failures]);
  expect(stdout.trimEnd().endsWith(line)).toBe(true);
  const [first, ...others] = (await readFile(summary, "utf8")).trimEnd().split("\n");
  expect([first, ...others.toSorted()]).toEqual([line, ...failures]);
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
