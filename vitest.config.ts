import { defineConfig } from "vitest/config";
import { hasLanes } from "./test/support/lane.ts";
import { lanes } from "./test/support/lanes.ts";

const minutes = 60_000;

/** Tests that share nothing, before those that need a daemon. Much of their time is spent waiting: two for each of two cores. */
const fast = { testTimeout: minutes / 2, maxWorkers: 4, sequence: { groupOrder: 0 } };

/** Tests that start a daemon: side by side, each in a lane of its own; where there are no lanes, each says why it cannot run. */
const onMachine = {
  pool: hasLanes() ? lanes : ("forks" as const),
  maxWorkers: Number(process.env.GPUBOX_TEST_LANES ?? 3),
  globalSetup: ["test/setup/packages.ts", "test/setup/machine.ts"],
  setupFiles: "test/setup/lane.ts",
  sequence: { groupOrder: 1 },
  testTimeout: 15 * minutes,
  hookTimeout: 20 * minutes,
};

export default defineConfig({
  test: {
    // A lane ends with all that runs in it.
    teardownTimeout: minutes,
    reporters: [
      "default",
      ["json", { outputFile: ".gpubox/test-results.json" }],
      "./test/support/times-reporter.ts",
      "./test/support/summary-reporter.ts",
    ],
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], ...fast } },
      {
        test: {
          name: "host-scripts",
          include: ["test/host-scripts/**/*.test.ts"],
          globalSetup: "test/setup/packages.ts",
          ...fast,
        },
      },
      { test: { name: "data-program", include: ["test/data-program/*.test.ts"], ...fast } },
      { test: { name: "contract", include: ["test/contract/**/*.test.ts"], ...fast } },
      { test: { name: "e2e", include: ["test/e2e/**/*.test.ts"], ...onMachine } },
      // Campaigns: `npm run test:soak`.
      ...(process.env.GPUBOX_SOAK
        ? [{ test: { name: "soak", include: ["test/soak/**/*.test.ts"], ...onMachine } }]
        : []),
    ],
  },
});
