/** A stack with a notebook on this machine, what befalls its state, and what has to come of that. */
import { readdirSync, readFileSync, statfsSync, statSync, truncateSync } from "node:fs";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { expect } from "vitest";
import { type StackPlaces, stackPlaces } from "../../cli/pulumi/checkpoint.ts";
import { damage } from "../../cli/pulumi/damaged-state.ts";
import { readLocks } from "../../cli/pulumi/recover.ts";
import { type Daemon, startDaemon } from "./daemon.ts";
import { status } from "./jupyter.ts";
import { createPerson, type Outcome, type Person } from "./person.ts";

const UID = 1000;
const CONFIG = { image: { target: "lab" } };
const NOTEBOOK = { name: "container1", gpus: "none" };

/** What a command is refused with where the state is damaged. */
const SET_ASIDE = /^ {2}(mv .*)$/m;

export class StackState {
  readonly daemon: Daemon;
  readonly person: Person;
  #round = 0;
  #data: Record<string, unknown>[] = [];

  private constructor(daemon: Daemon, person: Person) {
    this.daemon = daemon;
    this.person = person;
  }

  /** A person's stack that is up. */
  static async create(): Promise<StackState> {
    const daemon = await startDaemon({ group: String(UID) });
    const state = new StackState(daemon, await createPerson({ daemon, uid: UID }));
    state.change();
    await state.start();
    return state;
  }

  async end(): Promise<void> {
    await this.person.remove();
    await this.daemon.end();
  }

  /** Its files. */
  get places(): StackPlaces {
    return stackPlaces(join(this.person.home, ".gpubox", "state"), "gpubox", "dev");
  }

  get file(): string {
    return `${this.places.state}.json`;
  }

  /** Gives the next run a container to replace. */
  change(): void {
    this.#round++;
    this.#configure();
  }

  /** Gives the next run a data set to fetch. */
  add(set: Record<string, unknown>): void {
    this.#data.push(set);
    this.#configure();
  }

  #configure(): void {
    const environment = { ROUND: String(this.#round) };
    this.person.configure({ ...CONFIG, data: this.#data, notebooks: [{ ...NOTEBOOK, environment }] });
  }

  /** Brings the stack up. @returns the notebook's url */
  async start(): Promise<string> {
    return await this.expectWhole(await this.person.npm("start"));
  }

  /** A run ended well, and nothing is left of what went wrong before it. @returns the notebook's url */
  async expectWhole({ exitCode, all, stdout }: Outcome): Promise<string> {
    expect(exitCode, all).toBe(0);
    const names = (await this.daemon.client.listContainers({ all: true })).map(({ Names }) => Names);
    expect(names).toEqual([["/container1"]]);
    const [url = ""] = /http:\S+token=\w+/.exec(stdout) ?? [];
    expect(await status(url, "/api/contents")).toBe(200);
    expect(damage(this.file)).toBeUndefined();
    expect(readLocks(this.places.locks)).toEqual([]);
    return url;
  }

  /** Runs a command of a message, to the letter, as the person does. */
  async follow(message: string, pattern: RegExp): Promise<void> {
    const [, command] = pattern.exec(message) ?? [];
    expect(command, message).toBeDefined();
    const outcome = await this.person.sh(command as string);
    expect(outcome.exitCode, `${command}: ${outcome.all}`).toBe(0);
  }

  /** Cuts the state off at a part of its length: each command refuses it, and what the last one prints restores it. */
  async cutShort(part: number, commands: readonly string[]): Promise<void> {
    truncateSync(this.file, Math.floor(statSync(this.file).size * part));
    const damaged = readFileSync(this.file, "utf8");
    let message = "";
    for (const command of commands) {
      const refused = await this.person.npm(command);
      expect(refused.exitCode, refused.all).not.toBe(0);
      expect(refused.all).toContain(`the state of stack dev is damaged: ${this.file}`);
      expect(refused.all).not.toMatch(/^ +at /m);
      expect(readFileSync(this.file, "utf8")).toBe(damaged);
      message = refused.all;
    }
    await this.follow(message, SET_ASIDE);
    expect(damage(this.file)).toBeUndefined();
    const folder = dirname(this.file);
    const kept = readdirSync(folder).filter((name) => name.includes("damaged"));
    expect(kept.map((name) => readFileSync(join(folder, name), "utf8"))).toContain(damaged);
  }

  /** The stack that a damaged state was restored for is the one that there was. */
  async comesBackAfter(fault: () => Promise<void>): Promise<void> {
    const container = async () => (await this.daemon.client.getContainer("container1").inspect()).Id;
    const [before, { stdout: url }] = [await container(), await this.person.npm("url")];
    await fault();
    expect(await this.start()).toBe(url);
    expect(await container()).toBe(before);
    expect((await this.person.npm("start")).stdout).toMatch(/^unchanged/m);
  }

  /** Fills the disk of the state up to so many kilobytes each time: what the messages say leads back, once there is room. */
  async fillDisk(rooms: readonly number[]): Promise<void> {
    const home = join(this.person.home, ".gpubox");
    const { uid, gid } = statSync(home);
    const resize = (size: string) => execa("mount", ["-o", `remount,size=${size}`, home]);
    await execa("cp", ["-a", home, `${home}.kept`]);
    await execa("mount", ["-t", "tmpfs", "-o", `size=64m,uid=${uid},gid=${gid},mode=700`, "tmpfs", home]);
    try {
      await execa("cp", ["-a", `${home}.kept/.`, home]);
      for (const room of rooms) {
        const { blocks, bfree, bsize } = statfsSync(home);
        await resize(`${((blocks - bfree) * bsize) / 1024 + room}k`);
        this.change();
        const full = await this.person.npm("start");
        expect(full.exitCode, `${room} kB: ${full.all}`).not.toBe(0);
        expect(full.all, `${room} kB`).toMatch(/no space left on device/);
        await resize("64m");
        // The engine itself may have cut its state short.
        let again = await this.person.npm("start");
        for (const command of [SET_ASIDE, /`(docker rm -f [^`]+)`/]) {
          if (!command.test(again.all)) continue;
          await this.follow(again.all, command);
          again = await this.person.npm("start");
        }
        await this.expectWhole(again);
      }
      await execa("cp", ["-a", `${home}/.`, `${home}.kept`]);
    } finally {
      await execa("umount", ["-l", home]);
      await execa("cp", ["-a", `${home}.kept/.`, home]);
      await execa("rm", ["-r", `${home}.kept`]);
    }
  }

  /** Every version of the state is damaged: what it made is removed and made again, as the message says. */
  async loseEveryVersion(): Promise<void> {
    const folders = [dirname(this.file), this.places.backups];
    const { stdout: versions } = await execa("find", [...folders, "-type", "f"]);
    for (const file of versions.split("\n").filter((name) => !name.endsWith(".attrs")))
      truncateSync(file, 10);
    const { all } = await this.person.npm("start");
    await this.follow(all, SET_ASIDE);
    expect(all).toMatch(/^ {2}npm run adopt$/m);
    const adopted = await this.person.npm("adopt", "--yes");
    expect(adopted.exitCode, adopted.all).toBe(0);
    await this.start();
  }
}
