/** Ends a run of the tests with one line, alone, that says how it went: "N passed, N failed, N skipped". */
import { writeFileSync } from "node:fs";
import type { TestModule } from "vitest/node";
import type { Reporter } from "vitest/reporters";

/** Variable that names a file for the line, for whoever wants to repeat it. */
export const SUMMARY = "GPUBOX_TEST_SUMMARY";

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** The line. */
export function summaryLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** Counts the tests of a run; a file or a hook that failed counts as a failure of its own. */
export function countTests(modules: readonly TestModule[], otherErrors: number): Counts {
  const counts: Counts = { passed: 0, failed: otherErrors, skipped: 0 };
  for (const module of modules) {
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      // A test that never ran, as its file's hook failed, is pending.
      counts[state === "pending" ? "skipped" : state]++;
    }
    counts.failed += module.errors().length;
    for (const suite of module.children.allSuites()) counts.failed += suite.errors().length;
  }
  return counts;
}

export default class SummaryReporter implements Reporter {
  #line = "";

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    this.#line = summaryLine(countTests(modules, errors.length));
    const file = process.env[SUMMARY];
    if (file) writeFileSync(file, `${this.#line}\n`);
    // The default reporter writes its own closing lines in this event too.
    process.once("exit", () => process.stdout.write(`${this.#line}\n`));
  }
}
