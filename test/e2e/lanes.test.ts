/** What the tests themselves promise: whatever becomes of a run, this machine's network and mounts are as they were. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { network } from "../support/network.ts";
import { killAll, processes } from "../support/processes.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const PROGRAM = fileURLToPath(new URL("../support/daemon-in-lane.ts", import.meta.url));

// The lane that this file is in stands for the machine, and the run makes a lane within.
describeWithDaemon("a run of the tests", () => {
  let folder: string;
  let run: ChildProcess;
  let before: unknown;

  /** All that a run could leave of itself outside of its folder. */
  const machine = async () => ({
    network: await network(),
    mounts: readFileSync("/proc/mounts", "utf8"),
    programs: processes()
      .map(({ name }) => name)
      .filter((name) => /^(dockerd|containerd|slirp4netns|unshare)/.test(name)),
  });

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "gpubox-run-test-"));
    // A lane that was just connected still tries its address of IPv6's.
    await expect.poll(network, { timeout: 30_000 }).not.toContain("tentative");
    before = await machine();
    run = spawn(process.execPath, [PROGRAM, folder], { stdio: ["pipe", "pipe", "inherit"] });
    await once(run.stdout as NodeJS.ReadableStream, "data");
    expect((await machine()).programs).toEqual(
      expect.arrayContaining(["dockerd", "containerd", "slirp4netns", "unshare"]),
    );
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("leaves this machine's network, mounts and processes as they were", async () => {
    run.stdin?.write("end\n");
    expect(await once(run, "exit")).toEqual([0, null]);
    await expect.poll(machine, { timeout: 30_000 }).toEqual(before);
  });

  it("does so where it is killed in the midst of its work", async () => {
    killAll([{ pid: run.pid as number }]);
    await expect.poll(machine, { timeout: 30_000 }).toEqual(before);
  });
});
