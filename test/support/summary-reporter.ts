/**
 * Ends a run of the tests with what failed, a line for each, and with one line, alone, that says how it went: "N passed, N failed,
 * N skipped".
 */
import { writeFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import type { TestModule } from "vitest/node";
import type { Reporter } from "vitest/reporters";

/** Variable that names a file for these lines, the last of them first, for whoever wants to repeat them. */
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

/** A line for each thing that {@link countTests} counts as failed: where it is, and the first line of what was wrong. */
export function failureLines(modules: readonly TestModule[], otherErrors: readonly unknown[]): string[] {
  const line = (where: string, error: unknown) => `failed: ${where}: ${firstLine(error)}`;
  const lines = modules.flatMap((module) => {
    const file = module.relativeModuleId;
    const suites = [...module.children.allSuites()];
    const tests = [...module.children.allTests("failed")];
    return [
      ...module.errors().map((error) => line(file, error)),
      ...suites.flatMap((suite) => suite.errors().map((error) => line(`${file}: ${suite.fullName}`, error))),
      ...tests.map((test) => line(`${file}: ${test.fullName}`, test.result().errors?.[0])),
    ];
  });
  return [...lines, ...otherErrors.map((error) => line("outside the tests", error))];
}

function firstLine(error: unknown): string {
  const message = typeof error === "object" && error && "message" in error ? error.message : error;
  return stripVTControlCharacters(String(message)).split("\n", 1)[0] ?? "";
}

/** Puts the lines into the file for whoever wants to repeat them, where one is named. */
export function keepSummary(line: string, failures: string[]): void {
  const file = process.env[SUMMARY];
  if (file) writeFileSync(file, `${[line, ...failures].join("\n")}\n`);
}

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const line = summaryLine(countTests(modules, errors.length));
    const failures = failureLines(modules, errors);
    keepSummary(line, failures);
    // The default reporter writes its own closing lines in this event too.
    process.once("exit", () => process.stdout.write(`${[...failures, line].join("\n")}\n`));
  }
}
