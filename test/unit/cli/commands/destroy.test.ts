/** A stack that was never started is torn down by saying so. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createContext } from "../../../../cli/context.ts";
import { runCommand } from "../../../../cli/run-command.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

it("without an engine, which takes minutes to get", async () => {
  writeFileSync(join(folder, "Pulumi.yaml"), "name: gpubox\n");
  writeFileSync(join(folder, "Pulumi.dev.yaml"), "config: {}\n");
  const home = join(folder, "home");
  // Nothing is on PATH, so an engine could only be downloaded or built.
  const context = createContext({ HOME: home, PATH: join(folder, "bin") }, folder);
  expect(await runCommand("destroy", ["--yes"], { ...context, interactive: false })).toBe(0);
  expect(existsSync(home)).toBe(false);
});
