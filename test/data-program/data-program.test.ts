/** The unit tests of the data program, which are Python's: each is a test here, so that it is counted and named. */
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { findProgram, lacks, missingPrograms } from "../support/host-script.ts";

interface Outcome {
  name: string;
  error?: string;
  skipped?: string;
}

const RUN = fileURLToPath(new URL("run.py", import.meta.url));

/** Longest run of all of them, in milliseconds. */
const PATIENCE_MS = 600_000;

/** The lines that Python prints. Not waited for by the whole process: vitest gives up on one that is silent. */
async function python(...args: string[]): Promise<string[]> {
  const file = findProgram("python3") ?? "python3";
  const { stdout } = await execa(file, ["-B", RUN, ...args], { timeout: PATIENCE_MS, stdin: "ignore" });
  return stdout.split("\n").filter(Boolean);
}

/** The line of a trace that says what was wrong: the first of an error is what a summary shows. */
const reason = (trace: string) => /^\w[\w.]*(Error|Failure)\b.*/m.exec(trace)?.[0] ?? "failed";

const skip = lacks(missingPrograms("python3"), "the data program");
const names = skip ? ["all of it"] : await python("--list");

describe.skipIf(skip)("the data program", () => {
  let outcomes: Map<string, Outcome>;

  beforeAll(async () => {
    const lines = (await python()).map((line): Outcome => JSON.parse(line));
    outcomes = new Map(lines.map((outcome) => [outcome.name, outcome]));
  }, PATIENCE_MS);

  it.for(names)("%s", (name, context) => {
    const outcome = outcomes.get(name);
    if (outcome === undefined) throw new Error(`it was not run\n${outcomes.get("")?.error}`);
    if (outcome.error) throw new Error(`${reason(outcome.error)}\n${outcome.error}`);
    if (outcome.skipped) context.skip(outcome.skipped);
  });

  it("has tests, and nothing fails around them", () => {
    expect(names).not.toHaveLength(0);
    expect(outcomes.get("")?.error).toBe("");
  });
});
