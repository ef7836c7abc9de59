/**
 * SIGKILL in the middle of `npm start`, fifty times: in its own start, in downloads, in image builds, while containers
 * are made and while Jupyter is waited for. Every other `npm start` after one is killed too; the next makes everything whole.
 */
import { createHash, randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { stackPlaces } from "../../cli/state-file.ts";
import { type ArchiveEntry, zip } from "../support/archives.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { status } from "../support/jupyter.ts";
import { gitHandler, type LoopbackServer, startLoopbackServer } from "../support/loopback-server.ts";
import { createPerson, type Person } from "../support/person.ts";
import { killAll, processesOf, type RunningProcess } from "../support/processes.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;
const ROUNDS = 50;
// On two slow cores a round takes some fifteen seconds.
vi.setConfig({ testTimeout: 30 * 60_000 });

const LABEL = { filters: JSON.stringify({ label: ["gpubox.stack=gpubox/dev"] }) };
/** Bytes of a data set, and how many of them are served in a second. */
const SIZE = 300_000;
const RATE = 250_000;

/** When a round's kill comes: so many milliseconds at most after something has begun. */
const MOMENTS = { start: 2_500, download: 1_300, build: 2_500, container: 400, notebook: 2_000 };
type Moment = keyof typeof MOMENTS;

/** What a kill hits. A script that outlives its run holds its lock, and the next run waits for it. */
const VICTIMS: Record<string, (process: RunningProcess) => boolean> = {
  "the engine": ({ name, args }) => name === "pulumi" && / up /.test(args),
  "the command, the engine and its plugins": ({ name }) => /^(node|pulumi)/.test(name),
  everything: () => true,
};

/** Random numbers that come again with the same seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describeWithDaemon("killed", () => {
  const seed = Number(process.env.GPUBOX_TEST_SEED ?? randomBytes(4).readUInt32LE());
  const next = random(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(next() * values.length)] as T;
  const signs = new EventEmitter();
  const sets: { folder: string; files: ArchiveEntry[] }[] = [];
  let daemon: Daemon;
  let person: Person;
  let server: LoopbackServer;

  beforeAll(async () => {
    daemon = await startDaemon({ group: String(UID) });
    person = await createPerson({ daemon, uid: UID });
    server = await startLoopbackServer();
    await makeRepository(join(person.home, "course"));
    server.handle("/git/", gitHandler("/git/", person.home));
    const events = await daemon.client.getEvents({ filters: { type: ["container"] } });
    events.on("data", (chunk: Buffer) => {
      for (const line of chunk.toString().trim().split("\n")) signs.emit(JSON.parse(line).Action);
    });
  });
  afterAll(async () => {
    await person?.npm("destroy", "--yes");
    await person?.remove();
    await server?.close();
    await daemon?.end();
  });

  /** Everything that a kill could hit: a new data set, another commit, a new container, and now and then a new image. */
  function prepare(round: number, moment: Moment): void {
    const folder = `set-${round}`;
    const files = Array.from({ length: 10 }, (_, index) => ({
      path: `file-${index}`,
      content: randomBytes((SIZE / 10) * 0.75).toString("base64"),
    }));
    const body = zip(files);
    sets.push({ folder, files });
    server.serve(`/${folder}.zip`, body, { rate: RATE });
    person.configure({
      image: { target: "lab" },
      notebooks: [{ name: "container1", gpus: "none", environment: { ROUND: String(round) } }],
      code: [{ url: server.url("/git/course"), ref: `v${1 + (round % 2)}`, folder: "course" }],
      data: [{ url: server.url(`/${folder}.zip`), sha256: sha256(body), folder }],
    });
    if (moment !== "build") return;
    const starter = join(person.project, "docker", "notebooks", "where-things-live.ipynb");
    writeFileSync(starter, `${readFileSync(starter, "utf8").trimEnd()}${"\n".repeat(1 + round)}`);
  }

  /** Waits for what a moment comes after. */
  async function sign(moment: Moment, round: number): Promise<void> {
    if (moment === "container") await Promise.race([once(signs, "kill"), once(signs, "create")]);
    if (moment === "notebook") await once(signs, "start");
    const isThere: Partial<Record<Moment, () => boolean>> = {
      download: () =>
        server.requests.some(({ url, method }) => method === "GET" && url === `/set-${round}.zip`),
      build: () => processesOf(person.home).some(({ args }) => args.includes("resource-docker")),
    };
    while (isThere[moment]?.() === false) await sleep(20);
  }

  /** A data set is there as a whole, or not at all. */
  function expectNoHalfSets(): void {
    for (const { folder, files } of sets) {
      const at = join(person.root, "data", folder);
      if (!existsSync(at)) continue;
      for (const { path, content } of files)
        expect(readFileSync(join(at, path), "utf8") === content, path).toBe(true);
      expect(readdirSync(at).sort()).toEqual([".gpubox.json", ...files.map(({ path }) => path)]);
    }
  }

  async function expectWhole(round: number, output: string): Promise<string> {
    const { client } = daemon;
    expect((await client.listContainers({ all: true })).map(({ Names }) => Names)).toEqual([["/container1"]]);
    expect(await client.listNetworks(LABEL)).toHaveLength(1);
    expect((await client.listVolumes(LABEL)).Volumes).toHaveLength(1);
    const [url = ""] = /http:\S+token=\w+/.exec(output) ?? [];
    expect(await status(url, "/api/contents")).toBe(200);
    const { Config } = await client.getContainer("container1").inspect();
    expect(Config.Env).toContain(`ROUND=${round}`);

    expectNoHalfSets();
    expect(existsSync(join(person.root, "data", `set-${round}`))).toBe(true);
    const working = join(person.root, "data", ".gpubox", `set-${round}`);
    expect(existsSync(working) ? readdirSync(working) : ["lock"]).toEqual(["lock"]);
    expect(readFileSync(join(person.root, "code", "course", "lesson.txt"), "utf8")).toBe(
      `v${1 + (round % 2)}\n`,
    );
    for (const part of ["code", "data"]) {
      expect(readFileSync(join(person.root, part, "mine.txt"), "utf8")).toBe("mine");
    }

    const places = stackPlaces(join(person.home, ".gpubox", "state"), "gpubox", "dev");
    const { checkpoint } = JSON.parse(readFileSync(`${places.state}.json`, "utf8"));
    expect(checkpoint.latest.pending_operations ?? []).toEqual([]);
    expect(readdirSync(places.locks)).toEqual([]);
    await expect.poll(() => processesOf(person.home), { timeout: 10_000 }).toEqual([]);
    return new URL(url).searchParams.get("token") as string;
  }

  it(`${ROUNDS} times at random moments (seed ${seed}), it goes on where it was`, async () => {
    prepare(0, "start");
    const first = await person.npm("start");
    expect(first.exitCode, first.all).toBe(0);
    for (const part of ["code", "data"]) writeFileSync(join(person.root, part, "mine.txt"), "mine");
    let token = await expectWhole(0, first.stdout);
    const hits: Record<string, number> = {};

    let story: string[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      const moment = (Object.keys(MOMENTS) as Moment[])[round % 5] as Moment;
      const victims = pick(Object.keys(VICTIMS));
      const delay = Math.floor(next() * MOMENTS[moment]);
      story.push(`seed ${seed}, round ${round}: ${victims}, ${delay} ms after ${moment}`);
      // Each round has everything to change, and every sixth everything to make.
      if (round % 6 === 1) {
        const destroyed = await person.npm("destroy", "--yes");
        expect(destroyed.exitCode, destroyed.all).toBe(0);
        token = "";
      }
      prepare(round, moment);

      const run = person.npm("start");
      await Promise.race([run, sign(moment, round).then(() => sleep(delay))]);
      const there = processesOf(person.home);
      const chosen = there.filter(VICTIMS[victims] as (typeof VICTIMS)[string]);
      // Before there is an engine, the command is what there is to kill.
      killAll(chosen.length > 0 ? chosen : there);
      const killed = await run;
      story.push(killed.all);
      if (killed.exitCode !== 0) hits[moment] = (hits[moment] ?? 0) + 1;
      expectNoHalfSets();
      // Every other time, the run after a kill is killed itself.
      if (round % 2 === 1) continue;

      const again = await person.npm("start");
      story.push(again.all);
      expect(again.exitCode, story.join("\n---\n")).toBe(0);
      const now = await expectWhole(round, again.stdout).catch((error) => {
        throw new Error(story.join("\n---\n"), { cause: error });
      });
      if (token) expect(now, `${story[0]}: the token`).toBe(token);
      token = now;
      story = [];
    }
    process.stderr.write(`killed (seed ${seed}): ${JSON.stringify(hits)}\n`);
    // A kill that came too late hit nothing.
    expect(Object.values(hits).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(ROUNDS * 0.9);
  });
});

function sha256(body: Buffer): string {
  return createHash("sha256").update(body).digest("hex");
}

/** A repository with the tags v1 and v2. */
async function makeRepository(folder: string): Promise<void> {
  mkdirSync(folder);
  const git = (...args: string[]) =>
    execa("git", ["-c", "user.name=t", "-c", "user.email=t@example.org", "-C", folder, ...args]);
  await git("init", "-q");
  for (const tag of ["v1", "v2"]) {
    writeFileSync(join(folder, "lesson.txt"), `${tag}\n`);
    await git("add", ".");
    await git("commit", "-qm", tag);
    await git("tag", tag);
  }
}
