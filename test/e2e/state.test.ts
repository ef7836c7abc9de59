/** What can become of the state and its locks, with a notebook running: nothing of it is lost, and the way back is said. */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { damage } from "../../cli/damaged-state.ts";
import { readLocks } from "../../cli/recover.ts";
import { stackPlaces } from "../../cli/state-file.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { status } from "../support/jupyter.ts";
import { createPerson, type Outcome, type Person } from "../support/person.ts";
import { killAll, processesOf } from "../support/processes.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;
const CONFIG = { image: { target: "lab" }, notebooks: [{ name: "container1", gpus: "none" }] };

describeWithDaemon("the state", () => {
  let daemon: Daemon;
  let person: Person;
  let round = 0;

  const places = () => stackPlaces(join(person.home, ".gpubox", "state"), "gpubox", "dev");
  const stateFile = () => `${places().state}.json`;
  const container = async () => (await daemon.client.getContainer("container1").inspect()).Id;
  /** A container to replace: work for the engine. */
  const change = () => {
    const environment = { ROUND: String(++round) };
    person.configure({ ...CONFIG, notebooks: [{ ...CONFIG.notebooks[0], environment }] });
  };
  const isWhole = async ({ exitCode, all, stdout }: Outcome) => {
    expect(exitCode, all).toBe(0);
    const names = (await daemon.client.listContainers({ all: true })).map(({ Names }) => Names);
    expect(names).toEqual([["/container1"]]);
    const [url = ""] = /http:\S+token=\w+/.exec(stdout) ?? [];
    expect(await status(url, "/api/contents")).toBe(200);
    expect(damage(stateFile())).toBeUndefined();
    expect(readLocks(places().locks)).toEqual([]);
    return url;
  };
  /** Runs a command of a message, to the letter, as the person does. */
  const follow = async (message: string, pattern: RegExp) => {
    const [, command] = pattern.exec(message) ?? [];
    expect(command, message).toBeDefined();
    const outcome = await person.sh(command as string);
    expect(outcome.exitCode, `${command}: ${outcome.all}`).toBe(0);
  };

  beforeAll(async () => {
    daemon = await startDaemon({ group: String(UID) });
    person = await createPerson({ daemon, uid: UID });
    change();
    await isWhole(await person.npm("start"));
  });
  afterAll(async () => {
    await person?.npm("destroy", "--yes");
    await person?.remove();
    await daemon?.end();
  });

  describe("cut short", () => {
    it.each([
      ["half of it", () => Math.floor(statSync(stateFile()).size / 2)],
      ["all but nothing", () => 0],
    ])("(%s) is set aside and restored by the command that is printed", async (_, length) => {
      const [before, { stdout: url }] = [await container(), await person.npm("url")];
      truncateSync(stateFile(), length());
      const damaged = readFileSync(stateFile(), "utf8");
      for (const command of ["start", "preview", "refresh"]) {
        const refused = await person.npm(command);
        expect(refused.exitCode, refused.all).not.toBe(0);
        expect(refused.all).toContain(`the state of stack dev is damaged: ${stateFile()}`);
        expect(refused.all).not.toMatch(/^ +at /m);
        expect(readFileSync(stateFile(), "utf8")).toBe(damaged);
      }
      await follow((await person.npm("start")).all, /^ {2}(mv .*)$/m);
      const kept = readdirSync(dirname(stateFile())).filter((name) => name.includes("damaged"));
      expect(kept.map((name) => readFileSync(join(dirname(stateFile()), name), "utf8"))).toContain(damaged);

      expect(await isWhole(await person.npm("start"))).toBe(url);
      expect(await container()).toBe(before);
      expect((await person.npm("start")).stdout).toMatch(/^unchanged/m);
    });

    it("together with every backup: what it made is removed and made again, as the message says", async () => {
      writeFileSync(join(person.root, "data", "mine.txt"), "mine");
      const { stdout: backups } = await execa("find", [dirname(stateFile()), places().backups, "-type", "f"]);
      for (const file of backups.split("\n").filter((name) => !name.endsWith(".attrs")))
        truncateSync(file, 10);
      const { all } = await person.npm("start");
      await follow(all, /^ {2}(mv .*)$/m);
      await follow(all, /^ {2}(docker ps .*)$/m);
      await follow(all, /^ {2}(docker network .*)$/m);
      await isWhole(await person.npm("start"));
      expect(readFileSync(join(person.root, "data", "mine.txt"), "utf8")).toBe("mine");
    });
  });

  it("with what the engine was writing when it was killed is mended by the next start", async () => {
    for (const file of [`${stateFile()}.attrs`, join(places().root, "meta.yaml.attrs")])
      truncateSync(file, 5);
    truncateSync(join(places().root, "meta.yaml"), 0);
    writeFileSync(`${stateFile()}.1795539849274441400.tmp`, "{");
    change();
    await isWhole(await person.npm("start"));
  });

  describe("locked", () => {
    const holder = { username: "ada", hostname: hostname(), timestamp: "2026-01-02T03:04:05Z" };
    const lock = (name: string, content: string) => {
      mkdirSync(places().locks, { recursive: true });
      writeFileSync(join(places().locks, name), content);
    };
    beforeEach(change);

    it("by engines that were killed, one of them while it wrote its lock, is unlocked", async () => {
      const run = person.npm("start");
      await expect.poll(() => readLocks(places().locks), { timeout: 60_000 }).toHaveLength(1);
      killAll(processesOf(person.home));
      await run;
      const [left] = readLocks(places().locks);
      lock("empty.json", "");
      lock("half.json", '{"pid":12,"user');
      lock("half.json.1795539849274441400.tmp", "");
      lock("reused.json", JSON.stringify({ ...holder, pid: process.pid }));
      const again = await person.npm("start");
      expect(again.all).toContain(
        `cleared the lock of an earlier run that was killed (process ${left?.holder?.pid} of`,
      );
      await isWhole(again);
    });

    it("by a machine that cannot be asked names it, and the command that unlocks it works", async () => {
      lock("elsewhere.json", JSON.stringify({ ...holder, pid: 1, hostname: "elsewhere" }));
      const { exitCode, all } = await person.npm("start");
      expect(exitCode).not.toBe(0);
      expect(all).toMatch(/being worked on by process 1 of ada on elsewhere, since 2026-01-02T03:04:05Z/);
      const [, script, rest = ""] = /`npm run (\w+) -- ([^`]+)`/.exec(all) ?? [];
      const cancelled = await person.npm(script as string, ...rest.split(" "));
      expect(cancelled.exitCode, cancelled.all).toBe(0);
      await isWhole(await person.npm("start"));
    });

    it("by an engine that goes on though its command was killed: the next one leaves, and names it", async () => {
      const run = person.npm("start");
      await expect.poll(() => readLocks(places().locks), { timeout: 60_000 }).toHaveLength(1);
      const [held] = readLocks(places().locks);
      killAll(processesOf(person.home).filter(({ args }) => args.includes("cli/")));
      const refused = await person.npm("start");
      expect(refused.exitCode, refused.all).not.toBe(0);
      expect(refused.all).toContain(`being worked on by process ${held?.holder?.pid} of`);
      // Its output is the engine's as well, and ends with it.
      await run;
      await isWhole(await person.npm("start"));
    });

    it("by a run at work: a second one names it and leaves, and the first ends well", async () => {
      const first = person.npm("start");
      await expect.poll(() => readLocks(places().locks), { timeout: 60_000 }).toHaveLength(1);
      const [held] = readLocks(places().locks);
      for (const [script, ...args] of [["start"], ["destroy", "--yes"]] as [string, ...string[]][]) {
        const second = await person.npm(script, ...args);
        expect(second.exitCode, second.all).not.toBe(0);
        expect(second.all).toContain(`being worked on by process ${held?.holder?.pid} of`);
        expect(second.all).toContain(`on ${hostname()}, since `);
      }
      await isWhole(await first);
    });

    it("by two that start at once: whichever leaves says why, and the stack is whole", async () => {
      const both = await Promise.all([person.npm("start"), person.npm("start")]);
      for (const { all } of both.filter(({ exitCode }) => exitCode !== 0)) {
        expect(all).toMatch(/being worked on by process \d+|currently locked by 1 lock\(s\)[\s\S]*pid \d+/);
      }
      await isWhole(await person.npm("start"));
    });
  });

  it("on a disk that fills up: what the messages say leads back, once there is room", async () => {
    const home = join(person.home, ".gpubox");
    const resize = (size: string) => execa("mount", ["-o", `remount,size=${size}`, home]);
    await execa("cp", ["-a", home, `${home}.kept`]);
    await execa("mount", ["-t", "tmpfs", "-o", `size=64m,uid=${UID},gid=${UID},mode=700`, "tmpfs", home]);
    try {
      await execa("cp", ["-a", `${home}.kept/.`, home]);
      // No room for the lock, for the state, for its history.
      for (const room of [0, 16, 48]) {
        const { blocks, bfree, bsize } = statfsSync(home);
        await resize(`${((blocks - bfree) * bsize) / 1024 + room}k`);
        change();
        const full = await person.npm("start");
        expect(full.exitCode, `${room} kB: ${full.all}`).not.toBe(0);
        expect(full.all, `${room} kB`).toMatch(/no space left on device/);
        await resize("64m");
        // The engine itself may have cut its state short.
        let again = await person.npm("start");
        for (const command of [/^ {2}(mv .*)$/m, /`(docker rm -f [^`]+)`/]) {
          if (!command.test(again.all)) continue;
          await follow(again.all, command);
          again = await person.npm("start");
        }
        await isWhole(again);
      }
      await execa("cp", ["-a", `${home}/.`, `${home}.kept`]);
    } finally {
      await execa("umount", ["-l", home]);
      await execa("cp", ["-a", `${home}.kept/.`, home]);
    }
  });
});
