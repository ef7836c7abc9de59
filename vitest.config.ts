import { defineConfig } from "vitest/config";

const minutes = 60_000;

/** Tests that share nothing run on every core, before those that need a daemon: vitest leaves one core idle otherwise. */
const fast = { testTimeout: minutes / 2, maxWorkers: "100%", sequence: { groupOrder: 0 } };

export default defineConfig({
  test: {
    reporters: ["default", "./test/support/summary-reporter.ts"],
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], ...fast } },
      { test: { name: "host-scripts", include: ["test/host-scripts/**/*.test.ts"], ...fast } },
      { test: { name: "contract", include: ["test/contract/**/*.test.ts"], ...fast } },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: "test/support/e2e-setup.ts",
          // One private daemon and two cores: the files run one after the other.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 15 * minutes,
          hookTimeout: 20 * minutes,
        },
      },
    ],
  },
});
