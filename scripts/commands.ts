/** The commands of whoever works on gpubox itself. */
import type { Entry, Program } from "../cli/program.ts";

const COMMANDS: Record<string, Entry> = {
  check: {
    load: async () => (await import("./check.ts")).check(DEVELOPMENT),
    group: "Development",
    does: "checks what needs no daemon",
    options: { "no-tests": { type: "boolean", does: "leaves out the tests" } },
    example: "--no-tests",
  },
  test: {
    load: async () => (await import("./test.ts")).test,
    group: "Development",
    does: "runs the tests",
    passes: "vitest",
    example: "--project unit",
  },
  soak: {
    load: async () => (await import("./soak.ts")).soak,
    group: "Development",
    does: "runs the long campaigns; the next run goes on where this one was",
    names: { are: "FILE", many: true },
    options: {
      minutes: { type: "string", value: "N", does: "begins nothing further after so long" },
      seed: { type: "string", value: "N", does: "begins anew, with these random numbers" },
    },
    example: "--minutes 30",
  },
  bench: {
    load: async () => (await import("./bench.ts")).bench,
    group: "Development",
    does: "measures gpubox against what people use instead",
    options: {
      only: { type: "string", value: "NUMBERS", does: "the measurements to make, with commas" },
      rounds: { type: "string", value: "N", does: "rounds of each" },
      scale: { type: "string", value: "PART", does: "part of the full data set, for a quick look" },
      merge: { type: "boolean", does: "puts what is measured into the published figures" },
      docs: { type: "boolean", does: "measures nothing, and makes the page anew" },
    },
    example: "--only 1,3",
  },
  lock: {
    load: async () => (await import("./lock.ts")).lock,
    group: "Development",
    does: "renews the locks of Python packages, after a `.in` file beside one was changed",
    names: { are: "LOCK", many: true },
    options: { upgrade: { type: "boolean", does: "moves everything to its newest version" } },
    example: "--upgrade",
  },
  schema: {
    load: async () => (await import("./schema.ts")).schema,
    group: "Development",
    does: "writes schema/stack.json, after something in config/ was changed",
    options: { check: { type: "boolean", does: "only says whether it is what config.ts says" } },
    example: "--check",
  },
  docs: {
    load: async () => (await import("./docs.ts")).docs(DEVELOPMENT),
    group: "Development",
    does: "writes the tables of commands, after one was changed",
    options: { check: { type: "boolean", does: "only says whether they are what the commands say" } },
    example: "--check",
  },
};

export const DEVELOPMENT: Program = {
  name: "npm run",
  does: "The commands of whoever works on gpubox itself.",
  commands: COMMANDS,
  examples: () => ["npm run check"],
};
