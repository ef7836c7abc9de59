/** A stack with a notebook on this machine, what befalls it, and what has to come of that. */
import { EventEmitter, once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type Docker from "dockerode";
import { execa } from "execa";
import { expect } from "vitest";
import type { Daemon } from "./daemon.ts";
import { gitAs } from "./git-server.ts";
import { status } from "./jupyter.ts";
import type { LoopbackServer } from "./loopback-server.ts";
import type { Outcome, Person } from "./person.ts";
import { killAll, processesOf } from "./processes.ts";

/** The notebook that there is in every test. */
export const NOTEBOOK = { name: "container1", gpus: "none" };

/** What befalls a notebook: by a hand at work, after which a run has it back, or so that it is back by itself. */
export const NOTEBOOK_FAULTS: Record<string, (stack: FaultyStack) => Promise<void>> = {
  "is stopped": ({ container }) => container.stop(),
  "is killed by hand": ({ container }) => container.kill(),
  "is paused": ({ container }) => container.pause(),
  "is removed": ({ container }) => container.remove({ force: true }),
  "is removed, with network, volume and image": async ({ container, daemon: { client } }) => {
    await container.remove({ force: true });
    await client.getNetwork("gpubox-dev").remove();
    await client.getVolume("gpubox-dev-container1-home").remove();
    // By all of its names: the ready-made images of the tests have another one for it.
    const { Id } = await client.getImage("gpubox-dev").inspect();
    await client.getImage(Id).remove({ force: true });
  },
  "is back by itself when its main process is killed": async (stack) => {
    const { State, RestartCount } = await stack.container.inspect();
    process.kill(State.Pid, "SIGKILL");
    await expect
      .poll(async () => (await stack.container.inspect()).RestartCount, { timeout: 60_000 })
      .toBe(RestartCount + 1);
    await stack.answers();
  },
  "is back by itself when the machine loses its power": async (stack) => {
    const { Id } = await stack.container.inspect();
    await stack.daemon.cutPower();
    await stack.daemon.start();
    await stack.answers();
    expect((await stack.container.inspect()).Id).toBe(Id);
  },
};

/** Faults after which the next run goes on with the container that there was. */
export const KEEPS_CONTAINER = /stopped|killed|paused|power/;

export class FaultyStack {
  readonly daemon: Daemon;
  readonly person: Person;
  readonly container: Docker.Container;
  /** Of the notebook, token included, since the stack was last made. */
  url = "";

  constructor(daemon: Daemon, person: Person) {
    this.daemon = daemon;
    this.person = person;
    this.container = daemon.client.getContainer(NOTEBOOK.name);
  }

  /** Writes the stack's configuration, with changes to what it is in every test. */
  configure(changes: Record<string, unknown> = {}): void {
    this.person.configure({ image: { target: "lab" }, notebooks: [NOTEBOOK], ...changes });
  }

  /** Names of all containers on the daemon. */
  async containers(): Promise<(string | undefined)[]> {
    const all = await this.daemon.client.listContainers({ all: true });
    return all.map(({ Names }) => Names[0]?.slice(1)).sort();
  }

  /** `npm start`, which need not look ahead for what to ask, ends well, and the notebook answers. */
  async succeeds(...args: string[]): Promise<Outcome> {
    const outcome = await this.person.npm("start", "--yes", ...args);
    expect(outcome.exitCode, outcome.all).toBe(0);
    this.url = (await this.person.npm("url")).stdout;
    expect(await status(this.url, "/api/contents")).toBe(200);
    return outcome;
  }

  /** `npm start` brings the notebook back as it was, token included. */
  async isBack(): Promise<void> {
    const { exitCode, all } = await this.person.npm("start");
    expect(exitCode, all).toBe(0);
    expect(all).toContain(this.url);
    expect(await this.containers()).toEqual([NOTEBOOK.name]);
    expect(await status(this.url, "/api/contents")).toBe(200);
  }

  /** The notebook answers soon, without anybody's doing. */
  async answers(): Promise<void> {
    await expect
      .poll(() => status(this.url, "/api/contents").catch(() => 0), { timeout: 120_000, interval: 250 })
      .toBe(200);
  }

  /** A fault of NOTEBOOK_FAULTS befalls the notebook, and the next run has everything as it was. */
  async recoversFrom(name: string): Promise<void> {
    const files = ["code", "data"].map((part) => join(this.person.root, part, "mine.txt"));
    for (const file of files) writeFileSync(file, "mine");
    const { Id } = await this.container.inspect();
    await NOTEBOOK_FAULTS[name]?.(this);
    await this.isBack();
    if (KEEPS_CONTAINER.test(name)) expect((await this.container.inspect()).Id, name).toBe(Id);
    for (const file of files) expect(readFileSync(file, "utf8")).toBe("mine");
  }

  /** The daemon is gone for good: the stack is forgotten as the message says. */
  async forgetDaemon(): Promise<void> {
    await this.daemon.stop();
    const { all } = await this.person.npm("destroy", "--yes");
    await this.daemon.start();
    const [, script, rest = ""] = /`npm run (\w+) -- (stack rm [^`]+)`/.exec(all) ?? [];
    const forgotten = await this.person.npm(script as string, ...rest.split(" "), "--yes");
    expect(forgotten.exitCode, forgotten.all).toBe(0);
    // Another daemon has nothing of it.
    await this.#removeByHand();
    const { Volumes } = await this.daemon.client.listVolumes({
      filters: { label: ["gpubox.stack=gpubox/dev"] },
    });
    for (const { Name } of Volumes) await this.daemon.client.getVolume(Name).remove();
  }

  /** The stack is torn down while the daemon is gone: what is left is said, and goes once it is there, whoever was first. */
  async tearDownWithoutDaemon(times = 1): Promise<void> {
    await this.daemon.stop();
    try {
      fails(
        await this.person.npm("destroy", "--yes"),
        /no Docker daemon answers at unix:/,
        /containers, networks and volumes of stack dev stay as they are/,
        /your files stay/,
      );
      fails(await this.person.npm("start"), /no Docker daemon answers at unix:/);
    } finally {
      await this.daemon.start();
    }
    await this.#removeByHand();
    for (let time = 0; time < times; time++) {
      const { exitCode, all } = await this.person.npm("destroy", "--yes");
      expect(exitCode, all).toBe(0);
      expect(all).toMatch(/What stays: your files|nothing to/);
    }
    expect(await this.containers()).toEqual([]);
  }

  async #removeByHand(): Promise<void> {
    await this.container.remove({ force: true });
    await this.daemon.client.getNetwork("gpubox-dev").remove();
  }
}

/** A command failed, and said these. */
export function fails({ exitCode, all }: Outcome, ...messages: (string | RegExp)[]): void {
  expect(exitCode, all).not.toBe(0);
  for (const message of messages) expect(all).toMatch(message);
}

/** Code at v1, which moves on to v2, halfway through which a run can be killed, or fails. */
export class MovingCode {
  readonly url: string;
  /** Where it is put. */
  readonly folder: string;
  readonly #stack: FaultyStack;
  readonly #alongside: Record<string, unknown>;
  readonly #repository: string;
  /** Of v2, and there is none. */
  readonly #submodule: string;
  /** `request`, where a run waits for the submodule; without a listener it is told that there is none. */
  readonly #asked = new EventEmitter();

  /** @param alongside what else there is in the configuration */
  constructor(stack: FaultyStack, server: LoopbackServer, alongside: Record<string, unknown> = {}) {
    const { home, root } = stack.person;
    this.#stack = stack;
    this.#alongside = alongside;
    this.#repository = join(home, "course.git");
    this.url = `file://${this.#repository}`;
    this.folder = join(root, "code", "course");
    this.#submodule = server.url("/submodule.git");
    server.handle("/submodule.git", (_request, response) => {
      if (!this.#asked.emit("request")) response.writeHead(404).end();
    });
  }

  /** Makes the repository. */
  async make(): Promise<void> {
    const work = `${this.#repository}.work`;
    mkdirSync(work);
    const git = gitAs(work);
    const commit = (lesson: number) => {
      writeFileSync(join(work, `lesson${lesson}.txt`), `lesson ${lesson}\n`);
      git(work, "add", ".");
      git(work, "commit", "-qm", `lesson ${lesson}`);
      git(work, "tag", `v${lesson}`);
    };
    git(work, "init", "-q");
    commit(1);
    writeFileSync(
      join(work, ".gitmodules"),
      `[submodule "data"]\n\tpath = data\n\turl = ${this.#submodule}\n`,
    );
    git(work, "update-index", "--add", "--cacheinfo", `160000,${git(work, "rev-parse", "HEAD")},data`);
    mkdirSync(join(work, "data"));
    commit(2);
    git(work, "clone", "-q", "--bare", work, this.#repository);
    // Git reads no repository of somebody else's.
    await execa("chown", ["-R", `--reference=${this.#stack.person.project}`, this.#repository]);
  }

  /** Has the configuration want a tag. */
  at(ref: "v1" | "v2"): void {
    const code = [{ url: this.url, ref, folder: "course", submodules: ref === "v2" }];
    this.#stack.configure({ ...this.#alongside, code });
  }

  /** A run to v2 is killed while it waits for the submodule, and the configuration goes back to v1. */
  async isKilledAndTakenBack(): Promise<void> {
    this.at("v2");
    const killed = this.#stack.person.npm("start");
    await once(this.#asked, "request");
    killAll(processesOf(this.#stack.person.home));
    expect((await killed).exitCode).not.toBe(0);
    await this.#goesBack();
  }

  /** A run to v2 fails, and the configuration goes back to v1. */
  async failsAndIsTakenBack(): Promise<void> {
    this.at("v2");
    fails(await this.#stack.person.npm("start"), /cannot fetch the submodules/);
    await this.#goesBack();
  }

  async #goesBack(): Promise<void> {
    const isThere = (lesson: number) => existsSync(join(this.folder, `lesson${lesson}.txt`));
    expect(isThere(2)).toBe(true);
    this.at("v1");
    await this.#stack.succeeds();
    expect([isThere(1), isThere(2)]).toEqual([true, false]);
  }
}
