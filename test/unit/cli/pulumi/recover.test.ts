import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stackPlaces } from "../../../../cli/pulumi/checkpoint.ts";
import { clearLocks, isDead, type Lock, mendBackend, readLocks } from "../../../../cli/pulumi/recover.ts";
import { holdStack } from "../../../../cli/pulumi/run-lock.ts";
import type { Holder } from "../../../../cli/system/holder.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("locks", () => {
  const holder = { pid: 1, username: "me", hostname: hostname(), timestamp: new Date().toISOString() };
  const held = (pid: number, other: Partial<Holder> = {}): Lock => ({
    file: "",
    holder: { ...holder, pid, ...other },
  });
  let locks: string;
  beforeEach(() => {
    locks = join(folder, "locks");
    mkdirSync(locks);
  });
  const lockFile = (name: string, text: string) => {
    writeFileSync(join(locks, name), text);
    return join(locks, name);
  };
  /** A running engine: what a process is called tells it from something else with its number. */
  const startEngine = async () => {
    const engine = join(folder, "pulumi");
    copyFileSync("/bin/sleep", engine);
    const child = spawn(engine, ["60"], { stdio: "ignore" });
    await once(child, "spawn");
    return child as ChildProcess & { pid: number };
  };
  const end = async (child: ChildProcess) => {
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };

  it("are read as the engine writes them, and as it leaves them when it is killed", () => {
    expect(readLocks(join(folder, "none"))).toEqual([]);
    const whole = lockFile("1b4e28ba.json", JSON.stringify(holder));
    lockFile("1b4e28ba.json.attrs", "{}");
    const begun = lockFile("2c5f.json", '{"pid":1,"user');
    const named = lockFile("3d60.json.1795539849274441400.tmp", "");
    expect(readLocks(locks).sort((a, b) => a.file.localeCompare(b.file))).toEqual([
      { file: whole, holder },
      { file: begun, holder: undefined },
      { file: named, holder: undefined },
    ]);
  });

  it("are dead once their process is gone", async () => {
    const engine = await startEngine();
    expect(isDead(held(engine.pid))).toBe(false);
    await end(engine);
    expect(isDead(held(engine.pid))).toBe(true);
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

  it("are dead when a later engine has the process's number now", async () => {
    const engine = await startEngine();
    const timestamp = new Date(Date.now() - 60_000).toISOString();
    expect(isDead(held(engine.pid, { timestamp }))).toBe(true);
    await end(engine);
  });

  it("of another machine are never dead", () => {
    expect(isDead(held(2 ** 22 + 1, { hostname: "elsewhere" }))).toBe(false);
  });

  it("are cleared when they are dead, however many there are, and whether or not they are whole", async () => {
    lockFile("dead.json", JSON.stringify({ ...holder, pid: 2 ** 22 + 1 }));
    lockFile("dead.json.attrs", "{}");
    lockFile("begun.json", "");
    lockFile("named.json.1795539849274441400.tmp", '{"pid":');
    await clearLocks("dev", locks);
    expect(readdirSync(locks)).toEqual([]);
  });

  it("that are being written this moment are waited for", async () => {
    const engine = await startEngine();
    const file = lockFile("a.json.1795539849274441400.tmp", '{"pid":');
    setTimeout(() => writeFileSync(file, JSON.stringify({ ...holder, pid: engine.pid })), 300);
    await expect(clearLocks("dev", locks)).rejects.toThrow(`process ${engine.pid} of me`);
    expect(existsSync(file)).toBe(true);
    await end(engine);
  });

  it("in use are named, with the command that removes them, and stay; dead ones beside them go", async () => {
    const dead = lockFile("dead.json", JSON.stringify({ ...holder, pid: 2 ** 22 + 1 }));
    const foreign = lockFile("foreign.json", JSON.stringify({ ...holder, hostname: "elsewhere" }));
    await expect(clearLocks("lab", locks)).rejects.toThrow(
      /process 1 of me on elsewhere, since .*npm run pulumi -- cancel --yes -s lab/,
    );
    expect([existsSync(dead), existsSync(foreign)]).toEqual([false, true]);
  });
});

describe("the lock of a run", () => {
  const lock = () => join(folder, ".gpubox-dev.lock");
  /** A run of gpubox that has the lock, and goes on. */
  const startRun = async () => {
    const module = join(import.meta.dirname, "../../../../cli/pulumi/run-lock.ts");
    const program = `import { holdStack } from "${module}"; console.log(holdStack("${lock()}")?.pid); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [said] = await once(child.stdout, "data");
    return { child, said: String(said).trim() };
  };

  it("names the run that is at work to any other, and is free once that has ended, however it did", async () => {
    const first = await startRun();
    expect(first.said).toBe("undefined");
    expect(holdStack(lock())?.pid).toBe(first.child.pid);
    const second = await startRun();
    expect(second.said).toBe(String(first.child.pid));
    for (const { child } of [first, second]) {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }
    expect(existsSync(lock())).toBe(true);
    expect(holdStack(lock())).toBeUndefined();
    expect(JSON.parse(readFileSync(lock(), "utf8")).pid).toBe(process.pid);
    // A command may take it at several steps.
    expect(holdStack(lock())).toBeUndefined();
    expect(readdirSync(folder)).toEqual([".gpubox-dev.lock"]);
  });

  it.each([
    ["is cut short", '{"pid":'],
    ["is of a process whose number another has now", { timestamp: "2026-01-02T03:04:05Z" }],
    ["is of another machine, whose engine has a lock of its own", { hostname: "elsewhere" }],
  ])("that %s is taken over", (_, left) => {
    const whole = {
      pid: process.pid,
      username: "me",
      hostname: hostname(),
      timestamp: new Date().toISOString(),
    };
    writeFileSync(lock(), typeof left === "string" ? left : JSON.stringify({ ...whole, ...left }));
    const before = readFileSync(lock(), "utf8");
    expect(holdStack(lock())).toBeUndefined();
    expect(readFileSync(lock(), "utf8")).not.toBe(before);
  });

  it("that cannot be written leaves it to the engine's", () => {
    expect(holdStack(join(folder, "gone", "lock"))).toBeUndefined();
  });
});

describe("files of the backend that were cut short", () => {
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  const mend = () => mendBackend(stackPlaces(folder, "gpubox", "dev"));
  const sidecars = [
    ".pulumi/meta.yaml.attrs",
    ".pulumi/stacks/gpubox/dev.json.attrs",
    ".pulumi/history/gpubox/dev/dev-2.history.json.attrs",
  ];

  it.each(["", '{"user.cac'])("are dropped where they hold nothing: %j", (text) => {
    for (const sidecar of sidecars) write(sidecar, text);
    write(".pulumi/stacks/gpubox/lab.json.attrs", '{"md5":"x"}');
    write(".pulumi/stacks/gpubox/dev.json", '{"half');
    mend();
    expect(sidecars.filter((path) => existsSync(join(folder, path)))).toEqual([]);
    expect(existsSync(join(folder, ".pulumi/stacks/gpubox/lab.json.attrs"))).toBe(true);
    expect(readFileSync(join(folder, ".pulumi/stacks/gpubox/dev.json"), "utf8")).toBe('{"half');
  });

  it("include the version of the backend", () => {
    mend();
    expect(existsSync(join(folder, ".pulumi"))).toBe(false);
    write(".pulumi/meta.yaml", "");
    mend();
    expect(readFileSync(join(folder, ".pulumi/meta.yaml"), "utf8")).toBe("version: 1\n");
  });
});
