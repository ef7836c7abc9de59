import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { changedNothing } from "../../cli/commands/up.ts";
import { isDead, type Lock, readLocks } from "../../cli/recover.ts";
import { type State, unfinished, withoutUnfinished } from "../../cli/state.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("locks", () => {
  const content = { pid: 1, username: "me", hostname: "box", timestamp: "2026-01-02T03:04:05Z" };
  const lockFile = (name: string, text: string) => {
    const locks = join(folder, ".pulumi", "locks", "organization", "gpubox", "dev");
    mkdirSync(locks, { recursive: true });
    writeFileSync(join(locks, name), text);
    return join(locks, name);
  };
  const held = (pid: number, machine = hostname()): Lock => ({
    ...content,
    file: "",
    pid,
    hostname: machine,
  });

  it("are read as the engine writes them", () => {
    expect(readLocks(folder, "gpubox", "dev")).toEqual([]);
    const file = lockFile("1b4e28ba.json", JSON.stringify(content));
    lockFile("1b4e28ba.json.attrs", "{}");
    lockFile("half.json", "{");
    expect(readLocks(folder, "gpubox", "dev")).toEqual([{ ...content, file }]);
    expect(readLocks(folder, "gpubox", "lab")).toEqual([]);
  });

  it("are dead once their process is gone", async () => {
    // What a process is called tells the engine from something else with its number.
    const engine = join(folder, "pulumi");
    copyFileSync("/bin/sleep", engine);
    const child = spawn(engine, ["60"], { stdio: "ignore" });
    await new Promise((resolve) => child.once("spawn", resolve));
    expect(isDead(held(child.pid as number))).toBe(false);
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await exited;
    expect(isDead(held(child.pid as number))).toBe(true);
  });

  it("are dead when their process is a zombie, which nobody will ever reap", async () => {
    // The shell starts an engine that ends soon, and becomes a program that never asks what became of it.
    copyFileSync("/bin/sleep", join(folder, "pulumi"));
    const parent = spawn("/bin/sh", ["-c", `${folder}/pulumi 0.5 & echo $!; exec sleep 60`], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const pid = Number(await new Promise((resolve) => parent.stdout.once("data", resolve)));
    try {
      await expect
        .poll(() => readFileSync(`/proc/${pid}/stat`, "utf8"), { timeout: 5_000 })
        .toMatch(/\(pulumi\) Z/);
      expect(isDead(held(pid))).toBe(true);
    } finally {
      parent.kill();
    }
  });

  it("are dead when something else has the process's number now", () => {
    expect(isDead(held(process.pid))).toBe(true);
  });

  it("of another machine are never dead", () => {
    expect(isDead(held(2 ** 22 + 1, "elsewhere"))).toBe(false);
  });

  it("of a running engine are not dead", () => {
    expect(isDead(held(4711), hostname(), (pid) => pid === 4711)).toBe(false);
  });
});

describe("an interrupted state", () => {
  const container = {
    urn: "urn:c",
    type: "docker:index/container:Container",
    inputs: { name: "container1" },
  };
  const instance = { urn: "urn:i", type: "aws:ec2/instance:Instance" };
  const state = (...pending: { type: string; resource: typeof instance }[]): State => ({
    version: 3,
    deployment: { resources: [instance], pending_operations: pending },
  });

  it("names what was being made", () => {
    expect(
      unfinished(state({ type: "creating", resource: container }, { type: "deleting", resource: instance })),
    ).toEqual([container]);
    expect(unfinished({ version: 3, deployment: {} })).toEqual([]);
  });
  it("loses only creations that can be done again", () => {
    const aws = { type: "creating", resource: instance };
    const before = state({ type: "creating", resource: container }, aws);
    expect(withoutUnfinished(before)?.deployment).toEqual({
      resources: [instance],
      pending_operations: [aws],
    });
  });
  it("is left alone where there is nothing to lose", () => {
    expect(withoutUnfinished(state({ type: "creating", resource: instance }))).toBeUndefined();
    expect(withoutUnfinished(state({ type: "deleting", resource: container }))).toBeUndefined();
    expect(withoutUnfinished({ version: 3, deployment: {} })).toBeUndefined();
  });
});

describe("changedNothing", () => {
  const update = { startTime: "2026-01-02T03:04:05.000Z", kind: "update", result: "succeeded" };
  it("is so when every resource is the same", () => {
    expect(changedNothing({ ...update, resourceChanges: { same: 12 } })).toBe(true);
    expect(changedNothing({ ...update, resourceChanges: { same: 12, create: 0 } })).toBe(true);
  });
  it.each(["create", "update", "replace", "delete"])("is not so after a %s", (change) => {
    expect(changedNothing({ ...update, resourceChanges: { same: 12, [change]: 1 } })).toBe(false);
  });
  it("is not so after a failure, or another kind of run", () => {
    expect(changedNothing({ ...update, result: "failed", resourceChanges: { same: 1 } })).toBe(false);
    expect(changedNothing({ ...update, kind: "destroy", resourceChanges: { same: 1 } })).toBe(false);
  });
});
