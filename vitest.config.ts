import { defineConfig } from "vitest/config";

const minutes = 60_000;

export default defineConfig({
  test: {
    reporters: ["default", "./test/support/summary-reporter.ts"],
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: minutes / 2 } },
      { test: { name: "host-scripts", include: ["test/host-scripts/**/*.test.ts"] } },
      { test: { name: "contract", include: ["test/contract/**/*.test.ts"], testTimeout: minutes / 2 } },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: "test/support/e2e-setup.ts",
          // One private daemon and two cores: the files run one after the other.
          fileParallelism: false,
          testTimeout: 15 * minutes,
          hookTimeout: 20 * minutes,
        },
      },
    ],
  },
});
