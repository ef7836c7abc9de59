/** What the end-to-end tests need of a machine: skipped with a reason where a person lacks it, a failure in CI. */
import { describe } from "vitest";
import { MISSING } from "../../scripts/test-packages.ts";

/** `describe` for tests that start a daemon of their own. */
export const describeWithDaemon = ((name: string, tests: () => void) => {
  const missing: string[] = JSON.parse(process.env[MISSING] ?? '["run them with `npm test`"]');
  if (missing.length === 0) return describe(name, tests);
  const reason = missing.join("; ");
  if (process.env.CI === "true") {
    throw new Error(`${name}: CI must run every end-to-end test, and this machine cannot: ${reason}`);
  }
  process.stderr.write(`skipped: ${name}: ${reason}\n`);
  return describe.skip(`${name} (skipped: ${reason})`, tests);
}) as (name: string, tests: () => void) => void;
