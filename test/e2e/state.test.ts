/** What can become of the state and its locks, with a notebook running: nothing of it is lost, and the way back is said. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readLocks } from "../../cli/pulumi/recover.ts";
import { type LoopbackServer, startLoopbackServer } from "../support/loopback-server.ts";
import type { Outcome, Person } from "../support/person.ts";
import { killAll, processesOf } from "../support/processes.ts";
import { describeWithDaemon } from "../support/requirements.ts";
import { StackState } from "../support/state.ts";

/** Longest wait for a data set, in milliseconds. */
const PATIENCE_MS = 180_000;

describeWithDaemon("the state", () => {
  let person: Person;
  let server: LoopbackServer;
  let state: StackState;
  let sets = 0;

  /** Gives the next run a data set to fetch, which arrives once the answer is called; `isThere` then. */
  const addData = () => {
    const folder = `set-${++sets}`;
    const path = `/${folder}.txt`;
    const { promise, resolve: arrive } = Promise.withResolvers<void>();
    // A run that should have been refused would wait for it as well, and longer than its test.
    setTimeout(arrive, PATIENCE_MS).unref();
    server.serve(path, Buffer.from(folder), { after: promise });
    const sha256 = createHash("sha256").update(folder).digest("hex");
    state.add({ url: server.url(path), sha256, folder });
    return { arrive, isThere: () => existsSync(join(person.root, "data", folder, path)) };
  };
  /** A run that is at work on a data set until that arrives, and what its engine's lock says. */
  const runAtWork = async () => {
    const data = addData();
    const run = person.npm("start");
    await expect.poll(() => readLocks(state.places.locks), { timeout: 60_000 }).toHaveLength(1);
    const [lock] = readLocks(state.places.locks);
    return { ...data, run, holder: `process ${lock?.holder?.pid} of` };
  };
  const namesHolder = ({ exitCode, all }: Outcome, holder: string) => {
    expect(exitCode, all).not.toBe(0);
    expect(all).toContain(`in use by ${holder}`);
    expect(all).toContain(`on ${hostname()}, since `);
  };

  beforeAll(async () => {
    server = await startLoopbackServer();
    state = await StackState.create();
    person = state.person;
  });
  afterAll(async () => {
    await state?.end();
    await server?.close();
  });

  describe("cut short", () => {
    it("(half of it) is set aside and restored by the command that is printed", async () => {
      await state.comesBackAfter(() => state.cutShort(1 / 2, ["start"]));
    });

    it("(all of it) is left as it is by whatever works on it, and restored", async () => {
      await state.cutShort(0, ["preview", "refresh"]);
    });

    it("together with every backup: what it made is removed and made again, as the message says", async () => {
      writeFileSync(join(person.root, "data", "mine.txt"), "mine");
      await state.loseEveryVersion();
      expect(readFileSync(join(person.root, "data", "mine.txt"), "utf8")).toBe("mine");
    });
  });

  it("with what the engine was writing when it was killed is mended by the next start", async () => {
    for (const file of [`${state.file}.attrs`, join(state.places.root, "meta.yaml.attrs")])
      truncateSync(file, 5);
    truncateSync(join(state.places.root, "meta.yaml"), 0);
    writeFileSync(`${state.file}.1795539849274441400.tmp`, "{");
    const { arrive, isThere } = addData();
    arrive();
    await state.start();
    expect(isThere()).toBe(true);
  });

  describe("locked", () => {
    const holder = { username: "ada", hostname: hostname(), timestamp: "2026-01-02T03:04:05Z" };
    const lock = (name: string, content: string) => {
      mkdirSync(state.places.locks, { recursive: true });
      writeFileSync(join(state.places.locks, name), content);
    };

    it("by engines that were killed, one of them while it wrote its lock, is unlocked", async () => {
      const killed = await runAtWork();
      killAll(processesOf(person.home));
      await killed.run;
      killed.arrive();
      lock("empty.json", "");
      lock("half.json", '{"pid":12,"user');
      lock("half.json.1795539849274441400.tmp", "");
      lock("reused.json", JSON.stringify({ ...holder, pid: process.pid }));
      const again = await person.npm("start");
      expect(again.all).toContain(`cleared the lock of an earlier run that was killed (${killed.holder}`);
      await state.expectWhole(again);
      expect(killed.isThere()).toBe(true);
    });

    it("by a machine that cannot be asked names it, and the command that unlocks it works", async () => {
      lock("elsewhere.json", JSON.stringify({ ...holder, pid: 1, hostname: "elsewhere" }));
      const { exitCode, all } = await person.npm("start");
      expect(exitCode).not.toBe(0);
      expect(all).toMatch(/in use by process 1 of ada on elsewhere, since 2026-01-02T03:04:05Z/);
      const [, script, rest = ""] = /`npm run (\w+) -- ([^`]+)`/.exec(all) ?? [];
      const cancelled = await person.npm(script as string, ...rest.split(" "));
      expect(cancelled.exitCode, cancelled.all).toBe(0);
      await state.start();
    });

    it("by an engine that goes on though its command was killed: the next one leaves, and names it", async () => {
      const engine = await runAtWork();
      killAll(processesOf(person.home).filter(({ args }) => args.includes("cli/")));
      namesHolder(await person.npm("start"), engine.holder);
      engine.arrive();
      await engine.run;
      // The engine goes on, with the lock, until it has ended.
      await expect.poll(() => readdirSync(state.places.locks), { timeout: 60_000 }).toEqual([]);
      expect(engine.isThere()).toBe(true);
      await state.start();
    });

    it("by a run at work: a second one names it and leaves, and the first ends well", async () => {
      const first = await runAtWork();
      for (const [script, ...args] of [["start"], ["destroy", "--yes"]] as [string, ...string[]][])
        namesHolder(await person.npm(script, ...args), first.holder);
      first.arrive();
      await state.expectWhole(await first.run);
      expect(first.isThere()).toBe(true);
    });

    it("by two that start at once: whichever leaves says why, and the stack is whole", async () => {
      state.change();
      const both = await Promise.all([person.npm("start"), person.npm("start")]);
      for (const { all } of both.filter(({ exitCode }) => exitCode !== 0)) {
        expect(all).toMatch(/in use by process \d+/);
        // The engine's own advice is to remove a lock whose holder is alive.
        expect(all).not.toContain("pulumi cancel`");
      }
      await state.start();
    });
  });

  it("on a disk without room for it: what the messages say leads back, once there is room", async () => {
    await state.fillDisk([16]);
  });
});
