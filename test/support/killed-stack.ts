/** A stack whose `npm start` is killed again and again: what each run has to do, and what must be whole afterwards. */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { stackPlaces } from "../../cli/pulumi/checkpoint.ts";
import { type ArchiveEntry, zip } from "./archives.ts";
import { type Daemon, startDaemon } from "./daemon.ts";
import { gitAs } from "./git-server.ts";
import { status } from "./jupyter.ts";
import { inWords, type Kill, type Moment, VICTIMS, type Victims } from "./kills.ts";
import { gitHandler, type LoopbackServer, startLoopbackServer } from "./loopback-server.ts";
import { createPerson, type Person } from "./person.ts";
import { killAll, processes, processesOf } from "./processes.ts";

const UID = 1000;
const LABEL = { filters: JSON.stringify({ label: ["gpubox.stack=gpubox/dev"] }) };
/** Bytes of a data set, and how many of them are served in a second. */
const SIZE = 300_000;
const RATE = 250_000;
/** What the last step of a build does for two seconds: without it, a changed image is there in less than one. */
const STEP = "sleep 2.0";

export class KilledStack {
  readonly #daemon: Daemon;
  readonly #person: Person;
  readonly #server: LoopbackServer;
  readonly #events: Interface;
  /** What the daemon did to containers since the last run began. */
  readonly #actions = new Set<string>();
  readonly #sets: { folder: string; files: ArchiveEntry[] }[] = [];
  /** How often there was something to change. */
  #changes = 0;
  /** The notebook's, where there is a stack. */
  #token: string | undefined;
  /** Whether the person has files of their own in `code` and `data`. */
  #hasMine = false;
  /** What was done since everything was whole. */
  #story: string[] = [];

  /** A person with nothing yet, and servers of a data set and a repository. */
  static async create(): Promise<KilledStack> {
    const daemon = await startDaemon({ group: String(UID) });
    const person = await createPerson({ daemon, uid: UID });
    const server = await startLoopbackServer();
    makeRepository(person.home);
    slowBuilds(person.project);
    server.handle("/git/", gitHandler("/git/", person.home));
    const events = await daemon.client.getEvents({ filters: { type: ["container"] } });
    return new KilledStack(daemon, person, server, createInterface({ input: events }));
  }

  private constructor(daemon: Daemon, person: Person, server: LoopbackServer, events: Interface) {
    this.#daemon = daemon;
    this.#person = person;
    this.#server = server;
    this.#events = events;
    events.on("line", (line) => this.#actions.add(JSON.parse(line).Action));
  }

  async end(): Promise<void> {
    this.#events.close();
    await this.#person.remove();
    await this.#server.close();
    await this.#daemon.end();
  }

  /** Sees to it that the next run has all of a stack to make, or only what changed. */
  async beginWith(what: "nothing" | "a stack"): Promise<void> {
    if (what === "nothing" && this.#token) {
      const { exitCode, all } = await this.#person.npm("destroy", "--yes");
      expect(exitCode, all).toBe(0);
      this.#token = undefined;
    }
    if (what === "a stack" && !this.#token) {
      this.#change();
      await this.goOn();
    }
  }

  /**
   * Kills an `npm start` that has everything to do that could be hit.
   *
   * @returns what was hit: not always what was meant, as before there is an engine, the command is what there is to kill; nothing
   * where the kill came too late
   */
  async kill(kill: Kill): Promise<Victims | undefined> {
    this.#change();
    if (kill.moment === "build") this.#changeImage();
    this.#story.push(inWords(kill));
    this.#actions.clear();
    let ended = false;
    const run = this.#person.npm("start").finally(() => {
      ended = true;
    });
    while (!ended && !this.#hasBegun(kill.moment)) await sleep(20);
    await Promise.race([run, sleep(kill.delay)]);
    const tooLate = ended;
    const there = processesOf(this.#person.home);
    const meant = there.filter(VICTIMS[kill.victims]);
    killAll(meant.length > 0 ? meant : there);
    const { exitCode, all } = await run;
    this.#story.push(all);
    // A run that was not killed has no reason to fail.
    if (tooLate) expect(exitCode, this.#story.join("\n---\n")).toBe(0);
    this.#expectNoHalfSets();
    if (exitCode === 0) return undefined;
    return meant.length > 0 ? kill.victims : "everything";
  }

  /** Another `npm start` makes everything whole. */
  async goOn(): Promise<void> {
    const { exitCode, all, stdout } = await this.#person.npm("start");
    this.#story.push(all);
    try {
      expect(exitCode).toBe(0);
      await this.#expectWhole(stdout);
    } catch (error) {
      throw new Error(this.#story.join("\n---\n"), { cause: error });
    }
    this.#story = [];
  }

  /** Everything that a kill could hit, but for an image: a new data set, another commit, a new container. */
  #change(): void {
    const folder = `set-${++this.#changes}`;
    const files = Array.from({ length: 10 }, (_, index) => ({
      path: `file-${index}`,
      content: randomBytes((SIZE / 10) * 0.75).toString("base64"),
    }));
    const body = zip(files);
    this.#sets.push({ folder, files });
    this.#server.serve(`/${folder}.zip`, body, { rate: RATE });
    const { tag, environment } = this.#wanted();
    this.#person.configure({
      image: { target: "lab" },
      notebooks: [{ name: "container1", gpus: "none", environment }],
      code: [{ url: this.#server.url("/git/course"), ref: tag, folder: "course" }],
      data: [
        {
          url: this.#server.url(`/${folder}.zip`),
          sha256: createHash("sha256").update(body).digest("hex"),
          folder,
        },
      ],
    });
  }

  #changeImage(): void {
    const starter = join(this.#person.project, "docker", "notebooks", "where-things-live.ipynb");
    writeFileSync(starter, `${readFileSync(starter, "utf8").trimEnd()}${"\n".repeat(1 + this.#changes)}`);
  }

  /** What the configuration says, as it was last changed. */
  #wanted() {
    return {
      folder: `set-${this.#changes}`,
      tag: `v${1 + (this.#changes % 2)}`,
      environment: { ROUND: String(this.#changes) },
    };
  }

  /** Whether what a moment is named for has begun in this run. */
  #hasBegun(moment: Moment): boolean {
    const archive = `/${this.#wanted().folder}.zip`;
    const signs: Record<Moment, () => boolean> = {
      start: () => true,
      download: () => this.#server.requests.some(({ method, url }) => method === "GET" && url === archive),
      build: () => processes().some(({ args }) => args === STEP),
      container: () => this.#actions.has("kill") || this.#actions.has("create"),
      notebook: () => this.#actions.has("start"),
    };
    return signs[moment]();
  }

  /** A data set is there as a whole, or not at all. */
  #expectNoHalfSets(): void {
    for (const { folder, files } of this.#sets) {
      const at = join(this.#person.root, "data", folder);
      if (!existsSync(at)) continue;
      for (const { path, content } of files)
        expect(readFileSync(join(at, path), "utf8") === content, path).toBe(true);
      expect(readdirSync(at).sort()).toEqual([".gpubox.json", ...files.map(({ path }) => path)]);
    }
  }

  async #expectWhole(output: string): Promise<void> {
    const { client } = this.#daemon;
    const { home, root } = this.#person;
    const { folder, tag, environment } = this.#wanted();
    expect((await client.listContainers({ all: true })).map(({ Names }) => Names)).toEqual([["/container1"]]);
    expect(await client.listNetworks(LABEL)).toHaveLength(1);
    expect((await client.listVolumes(LABEL)).Volumes).toHaveLength(1);
    const [url = ""] = /http:\S+token=\w+/.exec(output) ?? [];
    expect(await status(url, "/api/contents")).toBe(200);
    const { Config } = await client.getContainer("container1").inspect();
    expect(Config.Env).toContain(`ROUND=${environment.ROUND}`);

    this.#expectNoHalfSets();
    expect(existsSync(join(root, "data", folder))).toBe(true);
    const working = join(root, "data", ".gpubox", folder);
    expect(existsSync(working) ? readdirSync(working) : ["lock"]).toEqual(["lock"]);
    expect(readFileSync(join(root, "code", "course", "lesson.txt"), "utf8")).toBe(`${tag}\n`);
    this.#expectMine();

    const places = stackPlaces(join(home, ".gpubox", "state"), "gpubox", "dev");
    const { checkpoint } = JSON.parse(readFileSync(`${places.state}.json`, "utf8"));
    expect(checkpoint.latest.pending_operations ?? []).toEqual([]);
    expect(readdirSync(places.locks)).toEqual([]);
    // Pulumi's own plugins outlive an engine that was killed: they look every few minutes whether it is there.
    const left = () => processesOf(home).filter(({ args }) => !/\/pulumi-(language|resource)-/.test(args));
    await expect.poll(left, { timeout: 10_000 }).toEqual([]);

    const token = new URL(url).searchParams.get("token") as string;
    if (this.#token) expect(token, "the token").toBe(this.#token);
    this.#token = token;
  }

  /** The person's own files, which they put there as soon as they can. */
  #expectMine(): void {
    for (const part of ["code", "data"]) {
      const file = join(this.#person.root, part, "mine.txt");
      if (this.#hasMine) expect(readFileSync(file, "utf8")).toBe("mine");
      else writeFileSync(file, "mine");
    }
    this.#hasMine = true;
  }
}

function slowBuilds(project: string): void {
  const file = join(project, "docker", "Dockerfile");
  const recipe = readFileSync(file, "utf8");
  const slow = recipe.replace("RUN chmod", `RUN ${STEP} && chmod`);
  expect(slow).not.toBe(recipe);
  writeFileSync(file, slow);
}

/** A repository `course` with the tags v1 and v2. */
function makeRepository(home: string): void {
  const folder = join(home, "course");
  mkdirSync(folder);
  const git = (...args: string[]) => gitAs(home)(folder, ...args);
  git("init", "--quiet");
  for (const tag of ["v1", "v2"]) {
    writeFileSync(join(folder, "lesson.txt"), `${tag}\n`);
    git("add", ".");
    git("commit", "--quiet", "--message", tag);
    git("tag", tag);
  }
}
