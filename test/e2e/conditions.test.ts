/** Whatever a notebook's container is at, each command does what a person expects, and a change of the configuration mends it. */
import { once } from "node:events";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished } from "vitest";
import { type Daemon, laneFolder, startDaemon } from "../support/daemon.ts";
import { FaultyStack, fails, NOTEBOOK } from "../support/faults.ts";
import { createPerson, type Outcome, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;
/** How the wait for a notebook ends that does not stay up. */
const LOOPS = /keeps stopping with exit code 127|stops and is started again and again/;

describeWithDaemon("a notebook's container", () => {
  let daemon: Daemon;
  let person: Person;
  let stack: FaultyStack;

  const inspect = () => stack.container.inspect();
  const state = async () => (await inspect()).State.Status;
  const reaches = (status: string) => expect.poll(state, { timeout: 120_000, interval: 250 }).toBe(status);
  const start = () => person.npm("start");
  /** Docker waits longer each time: by then, for longer than a command takes. */
  const loops = async () => {
    const restarts = async () => (await inspect()).RestartCount;
    await expect.poll(restarts, { timeout: 180_000, interval: 250 }).toBeGreaterThan(6);
    await reaches("restarting");
  };
  /** The configuration with changes to its notebook. */
  const notebook = (changes: Record<string, unknown>) =>
    stack.configure({ notebooks: [{ ...NOTEBOOK, ...changes }] });
  /** A command failed with these words, and not in the middle of a program. */
  const isRefused = (outcome: Outcome, ...messages: RegExp[]) => {
    fails(outcome, ...messages);
    expect(outcome.all).not.toMatch(/^\s+at .*:\d+:\d+\)?$/m);
    expect(outcome.all).not.toMatch(/^unchanged/m);
  };
  const shown = async () => (await person.npm("status")).stdout;
  const doctor = () => person.npm("doctor");

  beforeAll(async () => {
    daemon = await startDaemon({ group: String(UID) });
    person = await createPerson({ daemon, uid: UID });
    stack = new FaultyStack(daemon, person);
    stack.configure();
    await stack.succeeds();
  });
  beforeEach(() => stack.configure());
  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
  });

  it("that is stopped while another program takes its port: named, and another port mends it", async () => {
    const { Id } = await inspect();
    await person.npm("stop");
    const program = createServer().listen(8888, "127.0.0.1");
    await once(program, "listening");
    onTestFinished(() => void program.close());
    isRefused(await start(), /notebooks\[0\]\.port: port 8888 is taken by another program: give container1/);
    isRefused(await doctor(), /port 8888 is taken by another program/);
    expect(await inspect()).toMatchObject({ Id, State: { Status: "exited" } });
    notebook({ port: 8890 });
    await stack.succeeds();
    expect((await inspect()).Id).not.toBe(Id);
  });

  it("that is stopped while somebody removes its network: made anew, said in a line", async () => {
    await stack.succeeds();
    await person.npm("stop");
    await daemon.client.getNetwork("gpubox-dev").remove();
    const { all } = await stack.succeeds();
    expect(all).toMatch(/^container1 cannot be started \(.*network.*not found\); creating it again$/m);
  });

  it("that Docker makes and cannot start: told, and mended by the configuration", async () => {
    const source = join(person.home, "folder");
    mkdirSync(source);
    notebook({ volumes: [{ source, target: "/etc/passwd" }] });
    isRefused(await start(), /not a directory/);
    expect(await state()).toBe("created");
    expect(await shown()).toMatch(/^container1 +created +http/);
    expect((await doctor()).all).toMatch(/^warn +notebook container1 +created/m);
    expect((await person.npm("stop")).stderr).toContain("no notebook is running");
    isRefused(await start(), /not a directory/);
    stack.configure();
    await stack.succeeds();
  });

  it("that stops again and again: told, stopped by stop, and mended by the configuration", async () => {
    notebook({ environment: { PATH: "/nowhere" } });
    isRefused(await start(), LOOPS);
    await loops();
    const told = await person.npm("status");
    expect(told.stdout).toMatch(/^container1 +restarting +http/);
    expect(told.stderr).toMatch(/^container1 keeps stopping: `docker logs container1` shows why/m);
    await reaches("restarting");
    expect((await doctor()).all).toMatch(/^warn +notebook container1 +restarting/m);
    await reaches("restarting");
    isRefused(await start(), LOOPS);
    await loops();
    expect((await person.npm("stop")).stderr).toContain("stopped container1 (it kept restarting)");
    expect((await inspect()).State).toMatchObject({ Status: "exited", Restarting: false });
    isRefused(await start(), LOOPS);
    stack.configure();
    await stack.succeeds();
  });

  it("that has come to stop again and again, through what was done in it, is made anew, said in a line", async () => {
    await stack.succeeds();
    const inside = async (command: string) => {
      const { exitCode, stderr } = await execa(
        "docker",
        ["exec", "-u", "0", NOTEBOOK.name, "sh", "-c", command],
        { env: { DOCKER_HOST: daemon.host }, reject: false },
      );
      expect(exitCode, stderr).toBe(0);
    };
    const remove = () => inside('rm "$(command -v start-notebook.sh)"');
    // While it runs in between, as here nearly always, it is not taken for well. Docker waits no longer after ten seconds.
    await inside('printf "#!/bin/sh\\nsleep 12\\nexit 1\\n" >"$(command -v start-notebook.sh)"');
    process.kill((await inspect()).State.Pid, "SIGKILL");
    await expect.poll(async () => (await inspect()).RestartCount, { timeout: 60_000 }).toBeGreaterThan(0);
    await reaches("running");
    isRefused(
      await start(),
      /container1 was started but does not answer \(container container1 (keeps stopping|stops and is started again).*`docker logs container1`/,
    );
    await remove();
    await loops();
    const looping = await stack.succeeds();
    expect(looping.all).toMatch(
      /^container1 cannot be started \((it|container container1) .* with exit code 127.*\); creating it again$/m,
    );
    await remove();
    await person.npm("stop");
    const stopped = await stack.succeeds();
    expect(stopped.all).toMatch(
      /^container1 cannot be started \(container container1 .* exit code 127, .*\); creating it again$/m,
    );
  });

  it("that is paused: told, goes on with start, and is stopped by stop", async () => {
    const { Id } = await inspect();
    await stack.container.pause();
    expect(await shown()).toMatch(/^container1 +paused +http/);
    const checks = await doctor();
    expect(checks.exitCode, checks.all).toBe(0);
    expect(checks.all).toContain("container1 is paused: `npm start -- -s dev` resumes it");
    expect((await start()).stdout).toMatch(/^unchanged/m);
    expect(await state()).toBe("running");
    await stack.container.pause();
    expect((await person.npm("stop")).stderr).toContain("stopped container1 (it was paused)");
    expect(await state()).toBe("exited");
    expect(await shown()).toMatch(/^container1 +stopped +http/);
    await stack.succeeds();
    expect((await inspect()).Id).toBe(Id);
  });

  it("that Docker could not remove is told, and made anew", async () => {
    const { Id } = await inspect();
    const file = join(laneFolder(), "data", "containers", Id, "hostname");
    await execa("chattr", ["+i", file]);
    await expect(stack.container.remove({ force: true })).rejects.toThrow(/remov/);
    await execa("chattr", ["-i", file]);
    expect(await state()).toBe("dead");
    expect(await shown()).toMatch(/^container1 +dead +http/);
    expect((await doctor()).all).toMatch(/^warn +notebook container1 +(dead|removing)/m);
    const { all } = await stack.succeeds();
    expect(all).toMatch(/^container1 cannot be started \(.*\); creating it again$/m);
  });

  it("whose root is gone is not started on an empty one, by nobody, and goes on once it is back", async () => {
    const away = `${person.root}.away`;
    const { Id } = await inspect();
    renameSync(person.root, away);
    const isTold = async () => {
      isRefused(
        await start(),
        /gpubox:root: \S+\/code and \S+\/data are gone, and the notebooks of this stack have them: is the disk mounted\?/,
      );
      isRefused(await doctor(), /^fail +root .*\n +gpubox:root: .* is the disk mounted\?/m);
      expect(existsSync(person.root)).toBe(false);
    };
    await isTold();
    await person.npm("stop");
    await isTold();
    // As after a reboot, in which the disk is late.
    await daemon.stop();
    await daemon.start();
    expect(existsSync(person.root)).toBe(false);
    mkdirSync(person.root);
    isRefused(await start(), /is the disk mounted\?/);
    await execa("rmdir", [person.root]);
    renameSync(away, person.root);
    await stack.succeeds();
    expect((await inspect()).Id).toBe(Id);
  });

  it("is not given a folder that is not there, and none is made in its place", async () => {
    const source = join(person.home, "models");
    notebook({ volumes: [{ source, target: "/models" }] });
    isRefused(
      await start(),
      /notebooks\[0\]\.volumes\[0\]\.source: \S+\/models does not exist: .*`mkdir -p \S+`/,
    );
    expect(existsSync(source)).toBe(false);
  });

  it("that swaps its port with another comes up by one start", async () => {
    const pair = (first: number, second: number) =>
      stack.configure({
        notebooks: [
          { ...NOTEBOOK, port: first },
          { ...NOTEBOOK, name: "container2", port: second },
        ],
      });
    pair(8888, 8889);
    await stack.succeeds();
    pair(8889, 8888);
    await stack.succeeds();
    expect(await shown()).toMatch(/^container1 +up .*:8889\/.*\ncontainer2 +up .*:8888\//);
  });
});
