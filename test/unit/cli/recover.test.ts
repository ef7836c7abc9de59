import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { changedNothing } from "../../../cli/commands/up.ts";
import { refuseDamagedState } from "../../../cli/damaged-state.ts";
import { followsConfiguration } from "../../../cli/reconcile.ts";
import { clearLocks, type Holder, isDead, type Lock, mendBackend, readLocks } from "../../../cli/recover.ts";
import { type State, type StateResource, tainted, unfinished, withoutUnfinished } from "../../../cli/state.ts";
import { stackPlaces } from "../../../cli/state-file.ts";

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

describe("a damaged state", () => {
  const places = () => stackPlaces(folder, "gpubox", "dev");
  const write = (file: string, content: string | Buffer, minutesAgo = 0) => {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    const time = new Date(Date.now() - minutesAgo * 60_000);
    utimesSync(file, time, time);
  };
  const refuse = () => refuseDamagedState({ stack: "dev", label: "gpubox/dev" }, places());
  const said = () => {
    try {
      refuse();
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error("it was not refused");
  };
  /** Runs the first command of the message, as a person copies it. */
  const follow = () => execFileSync("sh", ["-ec", / {2}(mv .*)/.exec(said())?.[1] as string]);
  const state = (text: string) => JSON.stringify({ version: 3, checkpoint: text });

  it("is none where there is no state, or a whole one, packed or not", () => {
    refuse();
    write(`${places().state}.json`, state("whole"));
    write(`${places().state}.json.gz`, gzipSync(state("whole")));
    write(`${places().state}.json.zst`, zstdCompressSync(state("whole")));
    refuse();
  });

  it.each([
    ["empty", ""],
    ["half", state("whole").slice(0, 20)],
    ["zeros", "\0".repeat(100)],
  ])("(%s) is put aside and replaced by its newest whole backup, by the command that is printed", (_, text) => {
    const file = `${places().state}.json`;
    write(file, text);
    write(`${file}.bak`, state("older"), 2);
    write(join(places().backups, "dev.2.json"), state("newer"), 1);
    write(join(places().backups, "dev.3.json"), "{");
    write(join(places().backups, "dev.3.json.attrs"), "{}");
    expect(said()).toContain(file);
    follow();
    refuse();
    expect(readFileSync(file, "utf8")).toBe(state("newer"));
    const [aside] = readdirSync(dirname(file)).filter((name) => name.includes("damaged"));
    expect(readFileSync(join(dirname(file), aside as string), "utf8")).toBe(text);
  });

  it("may be packed, and so may its backup", () => {
    write(`${places().state}.json`, "{");
    write(`${places().state}.json.gz.bak`, gzipSync(state("packed")));
    follow();
    refuse();
    expect(gunzipSync(readFileSync(`${places().state}.json.gz`)).toString()).toBe(state("packed"));
  });

  it("without a whole backup is begun anew, and what it made is named", () => {
    write(`${places().state}.json`, "");
    write(`${places().state}.json.bak`, "");
    expect(said()).toMatch(/docker ps -aq --filter label=gpubox\.stack=gpubox\/dev/);
    follow();
    refuse();
    expect(existsSync(`${places().state}.json`)).toBe(false);
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

describe("what a run that did not end well may have changed on a host", () => {
  const script = (urn: string, other: Partial<StateResource> = {}): StateResource => ({
    urn: `urn:pulumi:dev::gpubox::${urn}`,
    type: "command:local:Command",
    inputs: { create: "…" },
    ...other,
  });
  const inWorkspace = (parent: string, name: string) =>
    `gpubox:workspace:Workspace$gpubox:workspace:${parent}$command:local:Command::${name}`;
  const checkout = script(inWorkspace("CodeRepository", "code-course-checkout"));

  it("is what its configuration has a script put there", () => {
    expect(followsConfiguration(checkout)).toBe(true);
    expect(followsConfiguration(script(inWorkspace("Dataset", "data-set-download")))).toBe(true);
    expect(followsConfiguration(script("gpubox:host:AwsHost$command:local:Command::host-idle-stop"))).toBe(
      true,
    );
  });
  it.each([
    ["a script that changes nothing", script(inWorkspace("Notebook", "container1-ready"))],
    ["the folder that all is below", script("gpubox:host:LocalHost$command:local:Command::host-root")],
    ["what runs on delete", { ...checkout, inputs: { delete: "…" } }],
    ["what is replaced already", { ...checkout, delete: true }],
    ["the entry around it", { ...checkout, type: "gpubox:workspace:CodeRepository" }],
  ])("is not %s", (_, resource) => expect(followsConfiguration(resource)).toBe(false));

  it("is marked once, and nothing else is touched", () => {
    const other = script("other");
    const state: State = {
      version: 4,
      features: ["replaceWith"],
      deployment: { resources: [other, checkout] },
    };
    const marked = tainted(state, followsConfiguration);
    expect(marked).toEqual({ ...state, deployment: { resources: [other, { ...checkout, taint: true }] } });
    expect(tainted(marked as State, followsConfiguration)).toBeUndefined();
    expect(tainted({ version: 3, deployment: {} }, followsConfiguration)).toBeUndefined();
  });
});

describe("changedNothing", () => {
  const update = { startTime: Date.parse("2026-01-02T03:04:05Z"), kind: "update", result: "succeeded" };
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
