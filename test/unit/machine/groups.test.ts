import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { sharedGroups } from "../../../machine/groups.ts";

const DAEMON = "unix:///var/run/docker.sock";
afterEach(() => vi.unstubAllEnvs());

it("finds the groups that share files out, and makes nothing where it cannot", async () => {
  const groups = await sharedGroups(DAEMON);
  expect(groups.filter((gid) => !Number.isInteger(gid))).toEqual([]);
  expect(groups).not.toContain(process.getgid?.());
  const folder = mkdtempSync(join(tmpdir(), "gpubox-path-"));
  vi.stubEnv("PATH", folder);
  await expect(sharedGroups(DAEMON)).rejects.toThrow("cannot find out which groups you are in");
  rmSync(folder, { recursive: true });
});
