/** One folder for the daemon of all end-to-end tests: what one file built, the next finds in the cache. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { removeDaemon } from "./daemon.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Folder of the tests' own Docker daemon; each file starts the daemon there and stops it. */
    daemonFolder: string;
  }
}

export default function setup({ provide }: TestProject): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "gpubox-daemon-"));
  provide("daemonFolder", folder);
  return () => removeDaemon(folder);
}
