import { mkdirSync } from "node:fs";
import { afterAll, beforeAll } from "vitest";
import { removeFolder, temporaryPath } from "./host-script.ts";

/** A folder of a test file's own, which is there while its tests run. Call it where the file is read: it registers hooks. */
export function ownFolder(): string {
  const folder = temporaryPath();
  beforeAll(() => mkdirSync(folder));
  afterAll(() => removeFolder(folder));
  return folder;
}
